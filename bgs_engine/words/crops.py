"""The best pictures of labels: cut out of the views that show most of them, with what is round them faded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.raster.semantics import EMPTY_CODE

MOST = 3  # pictures of a label
LEAST_PIXELS = 64  # of a label in a view
MARGIN = 0.15  # of the longer side of the label's box, on each side
FADED = 0.75  # how far the surroundings are mixed with grey: a model still sees where the thing stands
GREY = 127
HELD_BYTES = 256_000_000  # of code maps: each is needed twice
CUT = 0.5  # what a view counts that cuts the label off at its edge

Key = tuple[int, int]  # (level, label)


@dataclass(frozen=True)
class Crop:
    """A picture of a label: pixels, uint8 [H, W, 3]; mask, bool [H, W], where the label is.

    view: the number of the view. corner: the row and the column in its picture at which the crop begins.
    """

    key: Key
    view: int
    corner: tuple[int, int]
    pixels: np.ndarray
    mask: np.ndarray


def best_crops(
    cameras: Sequence[Camera],
    code_map: Callable[[Camera], np.ndarray],
    picture: Callable[[int], np.ndarray],
    layout: BitLayout,
) -> Iterator[Crop]:
    """At most `MOST` pictures of each label of each level, view by view.

    Args:
        cameras: the views.
        code_map: from a camera to the codes in its pixels, uint32 [H, W].
        picture: from the number of a view to its pixels, uint8 [H, W, 3].
        layout: of the codes.
    """
    held: dict[int, np.ndarray] = {}  # code maps, as long as all of them fit

    def codes_of(number: int) -> np.ndarray:
        found = held.get(number)
        if found is None:
            found = code_map(cameras[number])
            if found.nbytes * len(cameras) <= HELD_BYTES:
                held[number] = found
        return found

    shown: dict[Key, list[tuple[float, int]]] = {}
    for number in range(len(cameras)):
        codes = codes_of(number)
        for level in range(1, layout.levels + 1):
            for label, count, cut in _seen(codes, layout, level):
                shown.setdefault((level, label), []).append((count * (CUT if cut else 1), -number))
    wanted: dict[int, list[Key]] = {}
    for key, views in shown.items():
        for _, number in sorted(views, reverse=True)[:MOST]:
            wanted.setdefault(-number, []).append(key)
    for number in sorted(wanted):
        codes, pixels = codes_of(number), picture(number)
        for level, label in sorted(wanted[number]):
            mask = (layout.labels(codes, level) == label) & (codes != EMPTY_CODE)
            yield _cropped((level, label), number, pixels, mask)


def _seen(codes: np.ndarray, layout: BitLayout, level: int) -> Iterator[tuple[int, int, bool]]:
    """(label, pixels, whether the edge of the picture cuts it off) of the labels in a view."""
    labels, full = layout.labels(codes, level), codes != EMPTY_CODE
    ids, counts = np.unique(labels[full], return_counts=True)
    edge = np.zeros(codes.shape, bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    cut = set(labels[edge & full].tolist())
    for label, count in zip(ids.tolist(), counts.tolist(), strict=True):
        if count >= LEAST_PIXELS:
            yield label, count, label in cut


def _cropped(key: Key, view: int, pixels: np.ndarray, mask: np.ndarray) -> Crop:
    """A square round the label, as far as the picture goes."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = round(max(bottom - top, right - left) * (1 + 2 * MARGIN))
    where = []
    for low, high, most in ((top, bottom, mask.shape[0]), (left, right, mask.shape[1])):
        start = int(np.clip((low + high - side) // 2, 0, max(0, most - side)))
        where.append(slice(start, min(most, start + side)))
    cut, own = pixels[where[0], where[1]], mask[where[0], where[1]]
    faded = np.where(own[..., None], cut, cut * (1 - FADED) + GREY * FADED)
    return Crop(key, view, (where[0].start, where[1].start), np.rint(faded).astype(np.uint8), own)
