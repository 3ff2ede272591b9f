"""Crumbs: single Gaussians whose label none of their neighbours shares, taken over by what surrounds them.

They come from votes of one or two pixels and from bits flipped in training; nobody sees them in the whole scene, and
everybody does once an object is cut out. Thin things survive: along a rod, neighbours share the label. Sizes are not
looked at, so a large Gaussian among small ones of another thing is lost as well: off by default (docs/method.md).
"""

import numpy as np
from scipy.spatial import cKDTree

from bgs_engine.codes import BitLayout

NEIGHBOURS = 12
ALONE = 2  # a Gaussian whose label at most this many neighbours share is a crumb ...
SURROUNDED = 7  # ... if at least this many neighbours agree on another one
ROUNDS = 2


def remove_crumbs(codes: np.ndarray, means: np.ndarray, layout: BitLayout) -> np.ndarray:
    """Codes int32 [N] without crumbs, coarse levels first; a crumb takes a neighbour's whole code.

    Args:
        codes: int32 [N].
        means: float32 [N, 3], scene units.
        layout: of the codes.
    """
    if len(codes) <= NEIGHBOURS:
        return codes
    near = np.asarray(cKDTree(means).query(means, k=NEIGHBOURS + 1, workers=-1)[1])[:, 1:].astype(np.int32)
    codes = codes.copy()
    for _ in range(ROUNDS):
        for level in range(1, layout.levels + 1):
            labels = layout.labels(codes, level)
            alone = np.flatnonzero((labels[near] == labels[:, None]).sum(1) <= ALONE)
            around = labels[near[alone]]
            winner, votes = _commonest(around)
            taken = np.flatnonzero(votes >= SURROUNDED)
            source = (around[taken] == winner[taken, None]).argmax(1)
            codes[alone[taken]] = codes[near[alone[taken], source]]
    return codes


def _commonest(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The commonest value of each row and how often it occurs; values [K, M]."""
    ordered = np.sort(values, axis=1)
    run = np.ones(ordered.shape, np.int32)
    for k in range(1, ordered.shape[1]):
        run[:, k] = np.where(ordered[:, k] == ordered[:, k - 1], run[:, k - 1] + 1, 1)
    best = run.argmax(1)
    rows = np.arange(len(values))
    return ordered[rows, best], run[rows, best]
