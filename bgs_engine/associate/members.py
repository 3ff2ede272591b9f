"""Which Gaussians belong to which mask, to compare masks of different views."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bgs_engine.associate.one_hot import ones_at
from bgs_engine.associate.votes import Votes


@dataclass(frozen=True)
class MemberConfig:
    """Which views of a Gaussian count, and how many Gaussians take part."""

    least_through: tuple[float, ...] = (0.5, 0.2, 0.0)
    """Least mean transmittance before a Gaussian, by level; the last value holds for all deeper levels. A Gaussian
    behind a wall belongs to no mask on the wall. Small parts need all their Gaussians (docs/lab-book.md)."""
    faint: float = 0.1  # of the weight in a Gaussian's best view: a view with less shows it through other matter
    max_gaussians: int = 300_000  # take part, drawn evenly: it bounds the cost for any scene


def members(votes: Votes, masks: sp.csr_matrix, level: int, config: MemberConfig) -> sp.csr_matrix:
    """CSR float32 [G, masks] with a one at the heaviest mask of a Gaussian in each view that shows it clearly.

    Args:
        votes: of all views.
        masks: CSR float32 [N, masks], `votes.mask_matrix(level)`.
        level: from 1.
        config: which views count.
    """
    mask_view = votes.mask_view[level - 1]
    voting = np.flatnonzero(np.diff(masks.indptr))
    drawn = voting[:: max(1, -(-len(voting) // config.max_gaussians))]
    coo = masks[drawn].tocoo()
    row, col, weight = coo.row, coo.col, coo.data
    view = mask_view[col]
    order = np.lexsort((-weight, view, row))
    row, col, weight, view = row[order], col[order], weight[order], view[order]
    first = np.ones(len(row), bool)
    first[1:] = (row[1:] != row[:-1]) | (view[1:] != view[:-1])
    row, col, weight = row[first], col[first], weight[first]
    best = np.zeros(len(drawn), np.float32)
    np.maximum.at(best, row, weight)
    clear = weight >= config.faint * best[row]
    least = config.least_through[min(level, len(config.least_through)) - 1]
    if least > 0:
        seen = np.asarray(votes.clear_matrix(level, drawn)[row, col]).ravel()
        clear &= seen >= least * weight
    return ones_at(row[clear], col[clear], (len(drawn), masks.shape[1]))
