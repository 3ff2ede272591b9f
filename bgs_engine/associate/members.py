"""Which Gaussians belong to which mask, to compare masks of different views."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bgs_engine.associate.kernels import heaviest_masks
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
    least = config.least_through[min(level, len(config.least_through)) - 1]
    held = np.empty(int(np.diff(votes.matrix.indptr)[drawn].sum()), np.int32)
    where = np.empty(len(drawn) + 1, np.int64)
    heaviest_masks(
        drawn, votes.matrix.indptr, votes.matrix.indices, votes.matrix.data, votes.through,
        votes.node_masks[:, level - 1], mask_view, int(mask_view.max(initial=-1)) + 1, np.float32(config.faint),
        np.float32(least), where, held,
    )  # fmt: skip
    held = held[: where[-1]]
    return sp.csr_matrix((np.ones(len(held), np.float32), held, where), (len(drawn), masks.shape[1]))
