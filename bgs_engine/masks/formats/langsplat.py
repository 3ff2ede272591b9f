"""Masks of LangSplat: maps of ids at several sizes, in one array a view."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bgs_engine.io.arrays import load_array
from bgs_engine.masks.formats.mask_format import MaskFormat, ScoredMask, damaged, masks_of_ids

MOST_MAPS = 64  # LangSplat has four
LARGEST_ID = 2.0**31


def read(path: Path, most: int) -> Iterator[ScoredMask]:
    """A mask for every id of every map. The file cannot run code: objects in it are refused."""
    maps = load_array(path, "Write the masks again.")
    if maps.ndim not in (2, 3) or maps.dtype.kind not in "iuf" or 0 in maps.shape:
        raise damaged(path, "id maps [4, height, width]", ValueError(f"its shape is {maps.shape} {maps.dtype}"))
    maps = maps.reshape(-1, *maps.shape[-2:])
    if len(maps) > MOST_MAPS or maps[0].size > most:
        raise damaged(path, "id maps [4, height, width]", ValueError(f"its shape is {maps.shape}"))
    for id_map in maps:  # one at a time: they may be of another type
        whole = np.nan_to_num(id_map, nan=-1).clip(-1, LARGEST_ID).astype(np.int64)
        yield from masks_of_ids(whole[None], 0)


FORMAT = MaskFormat("LangSplat", "ids [4, H, W], -1 = none", read, ("_s.npy", ".npy"), "language_features")
