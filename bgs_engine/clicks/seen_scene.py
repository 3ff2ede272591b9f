"""The views of a session: their weights, which of them show a place or a thing best, and what lies at a place."""

from collections.abc import Callable, Sequence

import numpy as np

from bgs_engine.clicks.view_weights import ViewWeights, view_weights
from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.core.cameras import Camera
from bgs_engine.masks.agreement.members import FAINT
from bgs_engine.raster.cpu.fragments import FragmentLister
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene

MEMORY_BYTES = 600_000_000  # of the weights held
SAMPLE = 15_000  # Gaussians that stand for the scene where views are compared
NEAR = 15_000  # Gaussians nearest to a place: all of them count where masks are compared, so that small things do
LEAST_OPACITY = 0.1  # a fainter Gaussian decides nothing
LEAST_SEEN = 0.05  # pixels of the grid
EDGE_SHARE = 0.15  # of the picture's shorter side: nearer to the edge a thing may be cut off
UNLIKE = 0.02  # added to how much a direction of view differs, so that near views of one side count too
LEAST_SHOWN = 25  # pixels of the grid: a view that shows less of a thing says nothing about it
NEAREST = 8  # Gaussians that stand for a place that no view shows


class SeenScene:
    """N Gaussians as V views show them."""

    def __init__(self, scene: RasterScene, cameras: Sequence[Camera]) -> None:
        """Nothing is computed yet. cameras: in the scene's coordinates."""
        self.scene = scene
        self.cameras = list(cameras)
        self._builder, self._lister = ViewBuilder(scene), FragmentLister()
        self._held: ByteCache[ViewWeights] = ByteCache(self._made, MEMORY_BYTES)
        self._solid = np.flatnonzero(scene.opacities >= LEAST_OPACITY)
        self.sample = _every(self._solid, SAMPLE)[0]
        self.most = np.zeros(len(scene), np.float32)  # the weight of each Gaussian in its best view so far
        self._known: set[int] = set()

    def __len__(self) -> int:
        return len(self.cameras)

    def view(self, number: int) -> ViewWeights:
        """The weights of a view. The first time takes some tenths of a second."""
        return self._held[number]

    def work_ahead(self) -> bool:
        """Make the weights of one more view; False: all have been made."""
        left = next((number for number in range(len(self)) if number not in self._known), None)
        if left is None:
            return False
        self.view(left)
        return True

    def clear(self, number: int) -> np.ndarray:
        """The Gaussians that a view shows clearly, bool [N]."""
        return self.view(number).seen >= np.maximum(FAINT * self.most, LEAST_SEEN)

    def showing(
        self, place: np.ndarray, count: int, check: Callable[[], None], among: Sequence[int] | None = None
    ) -> list[tuple[int, np.ndarray]]:
        """At most `count` views that show a place [3], from different sides, and the pixel (x, y) of the place.

        among: the numbers of the views that may be chosen; None: all.
        """
        found, quality, direction = [], [], []
        for number in range(len(self)) if among is None else among:
            check()
            camera = self.cameras[number]
            xy, seen = self.view(number).visible(place[None])
            if seen[0]:
                away = place - camera.position
                distance = float(np.linalg.norm(away))
                edge = min(*xy[0], camera.width - xy[0, 0], camera.height - xy[0, 1])
                share = edge / (EDGE_SHARE * min(camera.width, camera.height))
                found.append((number, xy[0]))
                quality.append(min(1.0, share) * (camera.fx if camera.orthographic else camera.fx / distance))
                direction.append(camera.forward if camera.orthographic else away / distance)
        if not found:
            return []
        worth, sides = np.sqrt(np.array(quality) / max(quality)), np.array(direction)
        chosen = [int(worth.argmax())]
        while len(chosen) < min(count, len(found)):
            gain = worth * (1 - (sides @ sides[chosen].T).max(1) + UNLIKE)
            gain[chosen] = -1
            chosen.append(int(gain.argmax()))
        return [found[k] for k in chosen]

    def covering(self, thing: np.ndarray, count: int, among: Sequence[int]) -> list[int]:
        """At most `count` of the views `among` that together show most of a thing, bool [N], clearly."""
        weight = self.scene.opacities[self.sample] * thing[self.sample]
        left = [k for k in among if float(self.view(k).seen[thing].sum()) >= LEAST_SHOWN]
        clear = {k: self.clear(k)[self.sample] for k in left}
        times = np.zeros(len(self.sample), np.float32)
        chosen: list[int] = []
        while left and len(chosen) < count:
            gain = [float((weight * clear[k] / (1 + times)).sum()) for k in left]
            chosen.append(left.pop(int(np.argmax(gain))))
            times += clear[chosen[-1]]
        return chosen

    def sample_around(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Gaussians int [S] that stand for the scene around a place [3], how many each stands for int32 [S])."""
        far = ((self.scene.means[self._solid] - place.astype(np.float32)) ** 2).sum(1)
        near = np.zeros(len(far), bool)
        near[np.argpartition(far, min(NEAR, len(far)) - 1)[:NEAR]] = True
        rest, step = _every(self._solid[~near], SAMPLE)
        rows = np.concatenate([self._solid[near], rest])
        return rows, np.concatenate([np.ones(int(near.sum()), np.int32), np.full(len(rest), step, np.int32)])

    def at(self, place: np.ndarray, views: list[tuple[int, np.ndarray]]) -> np.ndarray:
        """How much each Gaussian makes up a place [3], float32 [N], sum 1: by its weights in views that show it."""
        share = np.zeros(len(self.scene), np.float32)
        for number, xy in views:
            view = self.view(number)
            row = view.by_pixel[view.pixel_of(xy)]
            share[row.indices] += row.data
        if not share.any():
            far = ((self.scene.means[self.sample] - place) ** 2).sum(1)
            share[self.sample[np.argsort(far)[:NEAREST]]] = 1
        return share / share.sum()

    def _made(self, number: int) -> ViewWeights:
        made = view_weights(self.scene, self._builder, self._lister, self.cameras[number])
        np.maximum(self.most, made.seen, out=self.most)
        self._known.add(number)
        return made


def _every(rows: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """(At most `count` of some rows, one of how many each is): the scene is in the order of a space-filling curve."""
    step = max(1, -(-len(rows) // count))
    return rows[::step], step
