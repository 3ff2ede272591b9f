"""COCO run-length encoding, both forms: a list of run lengths, or the compressed string of pycocotools.

Runs alternate between 0 and 1, start with 0 and go down the columns. Decoding alone is a few lines of NumPy; it spares
users a compiled dependency.
"""

from typing import Any

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.io.images import MAX_PIXELS


def decode_rle(segmentation: Any, name: str, most: int = MAX_PIXELS) -> np.ndarray:
    """The mask, bool [H, W], of {"size": [H, W], "counts": string or list}.

    Raises:
        InputError: anything else, runs that do not fill the mask, or a mask of more than `most` pixels.
    """
    try:
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        if not 0 < height * width <= most or height < 1:
            raise ValueError(f"its size is {str(width)[:12]} x {str(height)[:12]}")
        runs = _unpack(counts.encode("ascii")) if isinstance(counts, str) else np.array(counts, np.int64)
        if runs.ndim != 1 or (runs < 0).any() or int(runs.sum()) != height * width or (runs > height * width).any():
            raise ValueError("the runs do not fill the mask")
    except (TypeError, KeyError, ValueError, OverflowError, AttributeError, IndexError) as error:
        raise InputError(f"{name} holds a damaged COCO mask ({error}).", "Write the masks again.") from None
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _unpack(text: bytes) -> np.ndarray:
    """Run lengths of a compressed string: 5 bits a character, 32 = more follows, differences from run 3."""
    digits = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not len(digits) or digits.min() < 0 or digits.max() > 63:
        raise ValueError("no run lengths")
    last = (digits & 32) == 0
    if not last[-1]:
        raise ValueError("the string is cut off")
    starts = np.concatenate([[0], np.nonzero(last)[0][:-1] + 1])
    lengths = np.diff(np.concatenate([starts, [len(digits)]]))
    if lengths.max() > 12:  # 60 bits
        raise ValueError("a run is too long")
    place = np.arange(len(digits)) - np.repeat(starts, lengths)
    values = np.add.reduceat((digits & 31) << (5 * place), starts)
    values = np.where(digits[last] & 16, values - (np.int64(1) << (5 * lengths)), values)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
