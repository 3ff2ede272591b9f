"""Segments and votes refine each other until they agree.

After merging, some masks are still wrong: one joins two parts, another cuts a part in two. Two steps alternate. Every
Gaussian takes the segment that has most of its votes. Every mask takes the segment that it covers best in its view, or
none if it covers none well. A mask that joins two parts fits neither of them, and a piece of a part fits the whole
badly. The idea is that of expectation maximisation with hard assignments.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bgs_engine.associate.kernels import best_per_row
from bgs_engine.associate.one_hot import columns_scaled, columns_summed, one_hot, rows_summed


@dataclass(frozen=True)
class ConsensusConfig:
    """Thresholds of the consensus."""

    rounds: int = 4
    least_fit: float = 0.25  # IoU of a mask with its segment in its view; the other views contradict a mask below it
    undivided_weight: float = 0.1  # of the votes of a mask that fills its coarser mask: it may have missed a border
    lump_weight: float = 0.3  # of the votes of a mask that also swallows another segment
    lump_cover: float = 0.5  # of a segment's weight in the view: a mask that covers more swallows the segment
    least_views: int = 2  # a segment needs masks from this many views,
    least_share: float = 0.5  # or from this share of the views that see its Gaussians: some are seen by one view alone


@dataclass(frozen=True)
class LevelSegments:
    """The segments of one level.

    labels: int32 [N]: the segment of each Gaussian, -1 = none.
    votes: CSR float32 [N, segments]: the trusted weight of each Gaussian's votes by segment, pixels.
    segment_of_mask: int32 [masks], -1 = contradicted.
    parent: int32 [segments]: the segment one level up, -1 = none (level 1).
    agreement: the shares of all trusted votes that agree with their Gaussian's segment, 0..1, before and after.
    """

    labels: np.ndarray
    votes: sp.csr_matrix
    segment_of_mask: np.ndarray
    parent: np.ndarray
    agreement: tuple[float, float]


def settle(
    masks: sp.csr_matrix,
    mask_view: np.ndarray,
    segment_of_mask: np.ndarray,
    above: np.ndarray | None,
    config: ConsensusConfig,
) -> LevelSegments:
    """The segments of one level after `config.rounds` rounds of both steps.

    Args:
        masks: CSR float32 [N, masks]: the weights of the votes, pixels.
        mask_view: int32 [masks]: the camera number of each mask.
        segment_of_mask: int32 [masks]: the segments from merging.
        above: int32 [N]: the segments of the level above, in which this level must nest; None at level 1.
        config: rounds and thresholds.
    """
    trusted = masks
    agreement = []
    seen = _views_that_see(masks, mask_view)
    for last in [False] * config.rounds + [True]:
        segment_of_mask = _without_rarely_shown(segment_of_mask, mask_view, seen, config)
        votes = columns_summed(trusted, segment_of_mask)
        parent = _parents(votes, above)
        labels = _vote(votes, parent, above)
        agreement.append(_agreement(votes, labels, trusted))
        if not last:
            segment_of_mask, lumps = _reassign(masks, mask_view, labels, len(parent), config)
            trusted = columns_scaled(masks, np.where(lumps, np.float32(config.lump_weight), np.float32(1)))
    return LevelSegments(labels, votes, segment_of_mask, parent, (agreement[0], agreement[-1]))


def taken_as_given(
    masks: sp.csr_matrix, segment_of_mask: np.ndarray, parent: np.ndarray, above: np.ndarray | None
) -> LevelSegments:
    """The segments of one level where the views were compared before: only the votes are counted.

    Args:
        masks: CSR float32 [N, masks]: the weights of the votes, pixels.
        segment_of_mask: int32 [masks], of this level.
        parent: int32 [segments], the segment around each, one level up; -1 = none.
        above: int32 [N]: the segments of the level above, in which this level must nest; None at level 1.
    """
    votes = columns_summed(masks, segment_of_mask, len(parent))
    labels = _vote(votes, parent, above)
    agreement = _agreement(votes, labels, masks)
    return LevelSegments(labels, votes, segment_of_mask, parent, (agreement, agreement))


def _agreement(votes: sp.csr_matrix, labels: np.ndarray, masks: sp.csr_matrix) -> float:
    """Share of the masks' weight that lies where a Gaussian's label is the mask's segment, 0..1."""
    found = votes.tocoo()
    return float(found.data[labels[found.row] == found.col].sum() / max(float(masks.data.sum()), 1e-9))


def _views_that_see(masks: sp.csr_matrix, mask_view: np.ndarray) -> np.ndarray:
    """The number of views that see the Gaussians of each mask: their mean by weight in the mask, float [masks]."""
    views = np.diff(columns_summed(masks, mask_view).indptr).astype(np.float32)
    return (masks.T @ views) / np.maximum(np.asarray(masks.sum(0)).ravel(), 1e-9)


def _without_rarely_shown(
    segment_of_mask: np.ndarray, mask_view: np.ndarray, seen: np.ndarray, config: ConsensusConfig
) -> np.ndarray:
    """Segments of the masks, int32 [masks], without those that too few views show; numbered without gaps.

    seen: float [masks], from `_views_that_see`.
    """
    keep = segment_of_mask >= 0
    segment = segment_of_mask[keep]
    pairs = np.unique(np.stack([segment, mask_view[keep]], 1), axis=0)
    count = int(segment_of_mask.max(initial=0)) + 1
    views = np.bincount(pairs[:, 0], minlength=count)
    seen_by = np.bincount(segment, seen[keep], count) / np.maximum(np.bincount(segment, minlength=count), 1)
    number = np.full(count, -1, np.int32)
    alive = np.flatnonzero((views >= np.minimum(config.least_views, config.least_share * seen_by)) & (views > 0))
    number[alive] = np.arange(len(alive))
    return np.where(keep, number[np.maximum(segment_of_mask, 0)], -1).astype(np.int32)


def segment_around(masks: sp.csr_matrix, above: np.ndarray) -> np.ndarray:
    """The segment of `above` (int32 [N]) that holds most weight of each mask of CSR [N, masks]; int32 [masks]."""
    return np.asarray(rows_summed(masks, above, int(above.max(initial=0)) + 1).argmax(0), np.int32)


def _parents(votes: sp.csr_matrix, above: np.ndarray | None) -> np.ndarray:
    """The segment above that holds most votes of each segment, int32 [segments]; -1 without a level above."""
    return np.full(votes.shape[1], -1, np.int32) if above is None else segment_around(votes, above)


def _vote(votes: sp.csr_matrix, parent: np.ndarray, above: np.ndarray | None) -> np.ndarray:
    """Each Gaussian's heaviest segment within the one above: int32 [N], -1 = none."""
    n = votes.shape[0]
    allowed = np.full(n, -1, np.int32) if above is None else above
    best = np.empty(n, np.int32)
    best_per_row(votes.indptr, votes.indices, votes.data, allowed, parent, best)
    if above is not None:
        best[above < 0] = -1
    return best


def _reassign(
    masks: sp.csr_matrix, mask_view: np.ndarray, labels: np.ndarray, segments: int, config: ConsensusConfig
) -> tuple[np.ndarray, np.ndarray]:
    """(Segment of each mask int32 [masks], whether the mask also swallows another segment bool [masks]).

    A mask takes the segment with which it has the largest IoU within its view, or -1 below the least fit.
    """
    if not segments:  # every mask holds too few Gaussians
        return np.full(masks.shape[1], -1, np.int32), np.zeros(masks.shape[1], bool)
    shared = rows_summed(masks, labels, segments)  # [segments, masks], pixels
    in_view = np.asarray(shared @ one_hot(mask_view))[
        :, mask_view
    ]  # [segments, masks]: of the segment in the mask's view
    fit = shared / np.maximum(shared.sum(0) + in_view - shared, 1e-9)
    best, number = fit.argmax(0), np.arange(masks.shape[1])
    swallowed = (shared > config.lump_cover * in_view) & (shared > 0)
    swallowed[best, number] = False
    fits = fit[best, number] >= config.least_fit
    return np.where(fits, best, -1).astype(np.int32), np.asarray(swallowed.any(0))
