"""Tells whether a PLY has the Gaussians that it had: a hash of their positions in row order.

Labels belong to rows. A file that another program sorted, or that another splat has replaced, may have the same number
of rows. Colours and codes do not count, so a run's scene.ply keeps the mark of its source.
"""

import hashlib

import numpy as np

from bgs_engine.io.ply import SplatPly


def position_mark(positions: np.ndarray) -> str:
    """The number of Gaussians and a 128-bit hash of their positions, float32 [N, 3], in row order."""
    raw = np.ascontiguousarray(positions, "<f4").tobytes()
    return f"{len(positions)}:{hashlib.blake2b(raw, digest_size=16).hexdigest()}"


def mark_of(ply: SplatPly) -> str:
    """The mark of an opened PLY. It reads the file once.

    Raises:
        InputError: the file can no longer be read.
    """
    return position_mark(ply.columns(("x", "y", "z")))
