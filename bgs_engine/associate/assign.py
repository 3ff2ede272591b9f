"""From segments to codes: nested labels and distinct child numbers, drawn at random.

Random numbers differ in half of their bits. Where three segments blend in a pixel, most bits still follow the
heaviest. Numbers with one set bit for each child were measured to be worse (docs/lab-book.md).
"""

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError


def codes_from_segments(labels: np.ndarray, layout: BitLayout, seed: int) -> np.ndarray:
    """Codes, int32 [N], from nested segments int32 [N, L]; -1 (none) counts as one more segment.

    Siblings get distinct child numbers; an only child gets 0, as training would pull it (equation 7).

    Raises:
        UsageError: a parent has more children than its level has bits for.
    """
    rng = np.random.default_rng(seed)
    parent = np.zeros(len(labels), np.int64)
    parts = []
    for level, bits in enumerate(layout.level_bits[: labels.shape[1]], 1):
        own = labels[:, level - 1].astype(np.int64) + 1
        width = int(own.max(initial=0)) + 1
        pairs, member = np.unique(parent * width + own, return_inverse=True)
        _, family_start, family_size = np.unique(pairs // width, return_index=True, return_counts=True)
        most = int(family_size.max())
        if most > 1 << bits:
            raise UsageError(
                f"Level {level} needs {most:,} children in one parent, but has {bits} bits for {1 << bits:,}.",
                f"Give level {level} at least {(most - 1).bit_length()} bits with --level-bits.",
            )
        child = np.zeros(len(pairs), np.uint32)
        for start, size in zip(family_start, family_size, strict=True):
            if size > 1:
                child[start : start + size] = rng.choice(1 << bits, size, replace=False)
        parts.append(child[member])
        parent = member.astype(np.int64)
    parts += [np.zeros(len(labels), np.uint32)] * (layout.levels - len(parts))
    return layout.pack(parts)
