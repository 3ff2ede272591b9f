"""Which Gaussians make up which mask, for comparing masks of different views."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bgs_engine.associate.one_hot import ones_at
from bgs_engine.associate.votes import Votes


@dataclass(frozen=True)
class MemberConfig:
    """Which views of a Gaussian count, and how many Gaussians are asked."""

    least_through: tuple[float, ...] = (0.5, 0.2, 0.0)
    """By level, the last for all deeper ones: least mean transmittance before a Gaussian. What shines through a wall
    belongs to no mask on the wall; but small parts need every Gaussian they can get (measured in docs/method.md)."""
    faint: float = 0.1  # of a Gaussian's best view: where less of it shows, it shines through what hides it
    max_gaussians: int = 300_000  # that take part, evenly drawn: bounds the cost for any scene


def members(votes: Votes, masks: sp.csr_matrix, level: int, config: MemberConfig) -> sp.csr_matrix:
    """Binary CSR float32 [G, masks]: the mask a Gaussian contributes to most, in each view that shows it clearly.

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
