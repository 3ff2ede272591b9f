"""From a prompt in a view to labels of the run, and from labels to their mask in another view."""

import math
from dataclasses import dataclass

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.output.protocols.annotation import Annotation, read_mask, read_scribble
from bgs_engine.output.protocols.label_choice import Labels, best_label, choose, gains_of_mask, members
from bgs_engine.raster.cpu.fragments import FragmentLister, tile_order
from bgs_engine.raster.cpu.frame import blend
from bgs_engine.raster.cpu.view import View, ViewBuilder
from bgs_engine.raster.scene import RasterScene

MOST_PIXELS = 100_000  # that are weighed of a prompt; more need much memory and change nothing
HALF = 0.5  # of a pixel's light: what catches more is seen there
CHANNELS = 3  # masks that are drawn at once, as the colours of one picture


@dataclass(frozen=True)
class Found:
    """What a prompt found. labels: the set that fits it best; label: the single one. With the Gaussians of each."""

    labels: Labels
    label: tuple[int, int]
    of_labels: np.ndarray  # bool [N], scene order
    of_label: np.ndarray


class Pointer:
    """Answers prompts for one run."""

    def __init__(self, scene: RasterScene, codes: np.ndarray, opacities: np.ndarray, layout: BitLayout) -> None:
        """codes int32 [N], opacities float32 [N], both in scene order."""
        self._codes, self._opacities, self._layout = codes, opacities, layout
        self._builder = ViewBuilder(scene)

    def view(self, camera: Camera) -> View:
        """The view of a camera, which must be in the scene's frame."""
        return self._builder.build(camera)

    def find(self, annotation: Annotation, camera: Camera) -> Found:
        """The labels that the prompt points at. The camera is that of the prompt, in the scene's frame.

        Raises:
            InputError: the two scribbles of a prompt have different sizes.
        """
        view = self.view(camera)
        if annotation.beside is None:
            mask = read_mask(annotation.prompt.path)
            size = float(mask.sum())
            inside, beside = self._weights(view, mask), self._weights(view, ~mask)
            gains = gains_of_mask(self._codes, inside, beside, size)
            label = best_label(
                self._codes,
                self._layout,
                lambda place, n: np.bincount(place, inside, n) / (size + np.bincount(place, beside, n)),
            )
        else:
            drawn, avoided = read_scribble(annotation.prompt.path), read_scribble(annotation.beside)
            if drawn.shape != avoided.shape:
                raise InputError(f"The scribbles of {annotation.name} differ in size.", "Copy them again.")
            gains = self._weights(view, drawn) / drawn.sum() - self._weights(view, avoided) / avoided.sum()
            label = best_label(self._codes, self._layout, lambda place, n: np.bincount(place, gains, n))
        labels = choose(self._codes, gains, self._layout)
        one = members(self._codes, [label], self._layout)
        return Found(labels, label, members(self._codes, labels, self._layout), one)

    def masks(self, view: View, sets: list[np.ndarray]) -> list[np.ndarray]:
        """Where each set of Gaussians (bool [N]) catches more than half of the light, bool [H, W] each."""
        drawn: list[np.ndarray] = []
        for start in range(0, len(sets), CHANNELS):
            some = sets[start : start + CHANNELS]
            colors = np.zeros((len(view.order), CHANNELS), np.float32)
            for k, gaussians in enumerate(some):
                colors[:, k] = gaussians[view.order]
            image = blend(view, self._opacities, colors)[0]
            drawn += [image[..., k] > HALF for k in range(len(some))]
        return drawn

    def _weights(self, view: View, pixels: np.ndarray) -> np.ndarray:
        """Each Gaussian's summed weight in some pixels (bool [H, W]), float64 [N], pixels."""
        count = np.count_nonzero(pixels)
        step = max(1, math.ceil(math.sqrt(count / MOST_PIXELS)))
        ys, xs = np.nonzero(pixels[::step, ::step])
        px, py = (xs * step).astype(np.int32), (ys * step).astype(np.int32)
        order = tile_order(px, py, view.width)
        fragments = FragmentLister().list(view, px[order], py[order], self._opacities)
        lists = fragments.by_gaussian()
        out = np.zeros(len(self._codes))
        if len(lists.rows):
            out[lists.rows] = np.add.reduceat(fragments.weight[lists.fragment], lists.offsets[:-1])
        return out * (count / max(len(px), 1))
