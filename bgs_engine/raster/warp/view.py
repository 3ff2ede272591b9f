"""Everything about one view that does not depend on features: projected records and tile lists, on the device."""

from dataclasses import dataclass

import numpy as np
import warp as wp

from bgs_engine.core.cameras import Camera
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.semantics import TILE
from bgs_engine.raster.warp.kernels import project as projection
from bgs_engine.raster.warp.kernels import tiles

POOL_KEEPS = 1 << 30  # bytes
KEPT = 5  # columns of a record that compositing needs: centre and conic


@dataclass(frozen=True)
class DeviceView:
    """Projected records and tile lists of one camera, as `raster.cpu.view.View` holds them.

    order int32 [M]: scene number of each visible Gaussian, near to far (its position in here is its rank);
    records float32 [M, 5+]: x, y, conic xx, xy, yy; offsets int32 [T + 1] and ranks int32 [K]: the tiles' lists.
    The arrays may be longer than M and K: what is beyond is not referred to.
    """

    width: int
    height: int
    tile: int
    tiles_x: int
    order: wp.array
    records: wp.array
    offsets: wp.array
    ranks: wp.array

    @property
    def nbytes(self) -> int:
        """Device memory held, bytes."""
        return sum(array.capacity for array in (self.order, self.records, self.offsets, self.ranks))


class DeviceScene:
    """Geometry of N Gaussians on a device, uploaded once: means [N, 3], covs [N, 6], opacities [N], float32."""

    def __init__(self, scene: RasterScene, device: str) -> None:
        keep_freed_memory(device)
        self.device = device
        self.count = len(scene)
        self.means = to_device(scene.means, wp.float32, device)
        self.covs = to_device(scene.covs, wp.float32, device)
        self.opacities = to_device(scene.opacities, wp.float32, device)

    @property
    def nbytes(self) -> int:
        """Device memory held, bytes."""
        return self.means.capacity + self.covs.capacity + self.opacities.capacity


class DeviceViewBuilder:
    """Builds views of one scene; scratch arrays (about 90 bytes a Gaussian) are shared by all of them."""

    def __init__(self, scene: DeviceScene, tile: int = TILE) -> None:
        self.scene, self.tile = scene, tile
        n, device = max(scene.count, 1), scene.device
        self.records = wp.empty((n, projection.RECORD), dtype=wp.float32, device=device)
        self.ordered = wp.empty((n, projection.RECORD), dtype=wp.float32, device=device)
        self.depths = wp.empty(2 * n, dtype=wp.float32, device=device)
        self.ids = wp.empty(2 * n, dtype=wp.int32, device=device)
        self.counts = wp.empty(n, dtype=wp.int32, device=device)
        self.ends = wp.empty(n, dtype=wp.int32, device=device)
        self.visible = wp.zeros(1, dtype=wp.int32, device=device)
        self.pair_tiles = wp.empty(0, dtype=wp.int32, device=device)
        self.pair_ranks = wp.empty(0, dtype=wp.int32, device=device)

    @property
    def nbytes(self) -> int:
        """Device memory held, bytes."""
        held = (self.records, self.ordered, self.depths, self.ids, self.counts, self.ends)
        return sum(array.capacity for array in (*held, self.pair_tiles, self.pair_ranks))

    def build(self, camera: Camera) -> DeviceView:
        """Project, cull, sort by depth and list per tile. Waits for the device once: the sizes decide allocations.

        The lists do not depend on opacity, so they stay right while it trains.
        """
        n = self.scene.count
        tiles_x, tiles_y = self.project(camera, tight=False)
        pairs, visible = self.sizes()
        self.reserve(pairs)
        offsets = self.list_tiles(tiles_x, tiles_y, pairs)
        order = wp.empty(visible, dtype=wp.int32, device=self.scene.device)
        records = wp.empty((visible, KEPT), dtype=wp.float32, device=self.scene.device)
        ranks = wp.empty(pairs, dtype=wp.int32, device=self.scene.device)
        if n and visible:
            wp.copy(order, self.ids, count=visible)
            wp.launch(tiles.keep_first_columns, (visible, KEPT), [self.ordered], [records], device=self.scene.device)
        if pairs:
            wp.copy(ranks, self.pair_ranks, count=pairs)
        return DeviceView(camera.width, camera.height, self.tile, tiles_x, order, records, offsets, ranks)

    def project(self, camera: Camera, tight: bool) -> tuple[int, int]:
        """Everything up to the number of pairs, which stays on the device; returns the picture's size in tiles.

        tight: lists only what the scene's present opacities can show.
        """
        scene, device = self.scene, self.scene.device
        tiles_x, tiles_y = -(-camera.width // self.tile), -(-camera.height // self.tile)
        if scene.count == 0:
            self.ends.zero_()
            return tiles_x, tiles_y
        wp.launch(
            projection.project,
            scene.count,
            [scene.means, scene.covs, scene.opacities, int(tight), pinhole(camera)],
            [self.records, self.depths, self.ids],
            device=device,
        )
        wp.utils.radix_sort_pairs(self.depths, self.ids, scene.count)  # stable: equal depths keep the scene's order
        wp.launch(
            tiles.gather_and_count,
            scene.count,
            [self.records, self.ids, self.depths, tiles_x, tiles_y, self.tile],
            [self.ordered, self.counts],
            device=device,
        )
        wp.utils.array_scan(self.counts, self.ends, inclusive=True)
        return tiles_x, tiles_y

    def sizes(self) -> tuple[int, int]:
        """(pairs, visible Gaussians) of the last `project`; waits for the device."""
        if self.scene.count:
            wp.launch(tiles.count_visible, 1, [self.depths, self.scene.count], [self.visible], device=self.scene.device)
        return int(self.ends[-1:].numpy()[0]), int(self.visible.numpy()[0])

    def reserve(self, pairs: int) -> None:
        """Make room for that many pairs; the sort needs it twice."""
        if self.pair_tiles.size < 2 * pairs:
            self.pair_tiles = self.pair_ranks = wp.empty(0, dtype=wp.int32, device=self.scene.device)  # free first
            self.pair_tiles = wp.empty(2 * pairs, dtype=wp.int32, device=self.scene.device)
            self.pair_ranks = wp.empty(2 * pairs, dtype=wp.int32, device=self.scene.device)

    def list_tiles(self, tiles_x: int, tiles_y: int, capacity: int) -> wp.array:
        """Fill and sort at most `capacity` pairs of the last `project`; returns offsets int32 [T + 1].

        Never waits for the device. The lists lie in `pair_ranks`.
        """
        scene, device, count = self.scene, self.scene.device, tiles_x * tiles_y
        offsets = wp.zeros(count + 1, dtype=wp.int32, device=device)
        if capacity == 0 or scene.count == 0:
            return offsets
        self.pair_tiles[:capacity].fill_(count)  # behind the last tile: places without a pair sort to the end
        wp.launch(
            tiles.fill_pairs,
            scene.count,
            [self.ordered, self.counts, self.ends, tiles_x, tiles_y, self.tile, capacity],
            [self.pair_tiles, self.pair_ranks],
            device=device,
        )
        wp.utils.radix_sort_pairs(self.pair_tiles, self.pair_ranks, capacity, 0, count.bit_length())
        wp.launch(tiles.find_stretches, count + 1, [self.pair_tiles, self.ends, capacity], [offsets], device=device)
        return offsets


def keep_freed_memory(device: str) -> None:
    """Let Warp's pool keep freed memory up to `POOL_KEEPS`.

    Otherwise the pool returns it whenever the host waits, and takes it back for the next view: that costs milliseconds.
    """
    if wp.get_device(device).is_cuda and wp.is_mempool_enabled(device):
        wp.set_mempool_release_threshold(device, POOL_KEEPS)


def pinhole(camera: Camera) -> projection.Pinhole:
    """The kernels' form of a camera."""
    out = projection.Pinhole()
    out.viewmat = wp.mat44(*np.asarray(camera.viewmat, np.float32).ravel().tolist())
    for name in ("fx", "fy", "cx", "cy", "width", "height"):
        setattr(out, name, float(getattr(camera, name)))
    return out


def to_device(values: np.ndarray, dtype: type, device: str) -> wp.array:
    """A copy of a NumPy array on the device (on "cpu" too: nothing is shared)."""
    return wp.array(np.ascontiguousarray(values), dtype=dtype, device=device, copy=True)
