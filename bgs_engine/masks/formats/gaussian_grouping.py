"""Masks of Gaussian Grouping: one picture of ids a view."""

from collections.abc import Iterator
from pathlib import Path

from bgs_engine.io.images import read_label_png
from bgs_engine.masks.formats.mask_format import MaskFormat, ScoredMask, masks_of_ids


def read(path: Path, most: int) -> Iterator[ScoredMask]:
    """A mask for every id above 0."""
    return masks_of_ids(read_label_png(path, most=most)[None], 1)


# The rank: a .png beside masks in another format may be the view's own picture.
FORMAT = MaskFormat("Gaussian Grouping", "ids, 0 = none", read, (".png",), "object_mask", rank=1)
