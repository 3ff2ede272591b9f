"""Warp kernels of training: sampling, both objectives, the optimiser.

Sums that many threads add to are kept as int64 multiples of 1 / FIXED: integers add up to the same in any order, so
a run on one card gives the same codes every time.
"""

import warp as wp

FIXED = wp.constant(float(1 << 40))  # a float32 times a power of two is exact; the largest sums stay below 2^60
