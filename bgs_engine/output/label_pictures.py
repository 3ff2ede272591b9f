"""Pictures of codes: which label of a list each pixel shows, and in which colour."""

from collections.abc import Sequence

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.palette import Color, label_colors
from bgs_engine.io.pictures import to_bytes
from bgs_engine.raster.semantics import EMPTY_CODE


def label_places(codes: np.ndarray, layout: BitLayout, level: int, listed: Sequence[int]) -> np.ndarray:
    """Place (from 1) in the list of labels of each pixel's label at `level`, int32 [H, W]; codes uint32 [H, W].

    The place is 0 where a pixel is empty or its label is not in the list. Blending makes some codes that no Gaussian
    has.
    """
    if not listed:
        return np.zeros(codes.shape, np.int32)
    known = np.array(listed, np.uint32)
    labels = layout.labels(codes, level)
    order = np.argsort(known)
    at = np.searchsorted(known[order], labels).clip(0, len(known) - 1)
    found = (known[order][at] == labels) & (codes != EMPTY_CODE)
    return np.where(found, order[at] + 1, 0).astype(np.int32)


class LabelColors:
    """The colours of all labels of a run, those that the extension gives to a new cloud; codes int32 [N]."""

    def __init__(self, codes: np.ndarray, layout: BitLayout) -> None:
        self._layout = layout
        self._colors = label_colors(layout, *np.unique(codes.view(np.uint32), return_counts=True))

    def of(self, level: int) -> dict[int, Color]:
        """sRGB colour of each label of a level, largest label first."""
        return {label: color for (own, label), color in self._colors.items() if own == level}

    def picture(self, codes: np.ndarray, level: int) -> np.ndarray:
        """Colours of a code map uint32 [H, W], uint8 [H, W, 3]; black where `label_places` gives 0."""
        colors = self.of(level)
        table = to_bytes(np.array([(0, 0, 0), *colors.values()]))
        return table[label_places(codes, self._layout, level, list(colors))]
