"""Which label a fill gets: a free one beside the surface that it continues."""

from collections.abc import Collection

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError


def label_of_fill(codes: np.ndarray, layout: BitLayout, level: int, used: Collection[int]) -> int:
    """A free label of `level` under the parent of the label that most copies have.

    Args:
        codes: int32 [K], those of the Gaussians that were copied.
        layout: the bit layout.
        level: counted from 1.
        used: the labels of the level that are taken.

    Raises:
        UsageError: the parent has no free child number.
    """
    found, counts = np.unique(layout.labels(codes, level), return_counts=True)
    bits = layout.level_bits[level - 1]
    first = int(found[counts.argmax()]) >> bits << bits
    taken = set(used)
    for label in range(first, first + (1 << bits)):
        if label not in taken:
            return label
    raise UsageError(
        f"All {1 << bits:,} labels of level {level} here are in use, so there is none for the fill.",
        "Join labels, or choose a finer level.",
    )


def code_of_label(label: int, layout: BitLayout, level: int) -> np.int32:
    """The code of the first child of a label at all finer levels."""
    return np.uint32(label << (layout.total - layout.bits_to(level))).view(np.int32)
