"""Orders points so that neighbours in space are neighbours in memory.

Morton, "A computer oriented geodetic data base", IBM 1966: the bits of the three cell numbers take turns.
"""

import numpy as np

_MORTON_BITS = 10  # per axis: 1024 cells an axis is finer than any cache line can use


def morton_order(means: np.ndarray) -> np.ndarray:
    """Row numbers sorted along a Z-order curve through the bulk of the points; means float32 [N, 3]."""
    low, high = np.percentile(means[:: max(1, len(means) // 100_000)], (1, 99), axis=0)  # a few far splats are usual
    span = max(float((high - low).max()), 1e-12)
    cells = ((means - low) / span).clip(0, 1) * ((1 << _MORTON_BITS) - 1)
    key = np.zeros(len(means), np.uint32)
    for axis in range(3):
        key |= _spread(cells[:, axis].astype(np.uint32)) << np.uint32(axis)
    return np.argsort(key, kind="stable")


def _spread(x: np.ndarray) -> np.ndarray:
    """Put two zero bits between the ten bits of each value."""
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        x = (x | (x << np.uint32(shift))) & np.uint32(mask)
    return x
