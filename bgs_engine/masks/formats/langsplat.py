"""Masks of LangSplat: maps of ids at several sizes, in one array a view."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bgs_engine.io.images import MAX_PIXELS
from bgs_engine.masks.formats.mask_format import MaskFormat, ScoredMask, damaged, masks_of_ids


def read(path: Path) -> Iterator[ScoredMask]:
    """A mask for every id of every map. `allow_pickle=False` keeps the file from running code."""
    try:
        maps = np.load(path, allow_pickle=False)
        if maps.ndim not in (2, 3) or maps.dtype.kind not in "iuf" or maps.size > 4 * MAX_PIXELS:
            raise ValueError(f"its shape is {maps.shape} {maps.dtype}")
    except (OSError, ValueError, EOFError) as error:
        raise damaged(path, "id maps [4, height, width]", error) from None
    return masks_of_ids(np.nan_to_num(maps, nan=-1).reshape(-1, *maps.shape[-2:]).astype(np.int64), 0)


FORMAT = MaskFormat("LangSplat", "ids [4, H, W], -1 = none", read, ("_s.npy", ".npy"), "language_features")
