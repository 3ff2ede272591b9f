"""The association as one function: votes, then for each level merging, consensus and spreading, then codes."""

from dataclasses import dataclass, field

import numpy as np

from bgs_engine.associate.assign import codes_from_segments
from bgs_engine.associate.consensus import ConsensusConfig, LevelSegments, segment_around, settle, taken_as_given
from bgs_engine.associate.mask_children import MaskChildren
from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.associate.members import MemberConfig, members
from bgs_engine.associate.merge import MergeConfig, merge_masks
from bgs_engine.associate.one_hot import columns_scaled
from bgs_engine.associate.spread import Neighbours, SpreadConfig
from bgs_engine.associate.votes import VoteCollector, Votes, collect_votes
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.raster.scene import RasterScene


@dataclass(frozen=True)
class AssociateConfig:
    """Thresholds of the association, with the measurements behind them in docs/method.md."""

    members: MemberConfig = field(default_factory=MemberConfig)
    merge: MergeConfig = field(default_factory=MergeConfig)
    consensus: ConsensusConfig = field(default_factory=ConsensusConfig)
    spread: SpreadConfig = field(default_factory=SpreadConfig)


@dataclass(frozen=True)
class Association:
    """The segmentation on which the masks of all views agree.

    codes: int32 [N], scene order.
    confidence: float32 [N] in 0..1: the share of a Gaussian's votes and its neighbours' opinion that agrees with its
        segment, at the level where the share is smallest.
    mask_children: the child number of each mask's segment.
    """

    codes: np.ndarray
    confidence: np.ndarray
    mask_children: MaskChildren

    def confidence_of(self, codes: np.ndarray) -> np.ndarray:
        """Confidence in other codes, float32 [N] in 0..1; codes int32 [N].

        Where a code differs from the association's, it is what speaks against the association's code.
        """
        return np.where(codes == self.codes, self.confidence, 1 - self.confidence)


def associate(
    views: MaskedViews,
    config: AssociateConfig,
    seed: int,
    reporter: Reporter,
    collect: VoteCollector = collect_votes,
) -> Association:
    """Segments of the scene from the masks of all views.

    Args:
        views: the scene with its cameras and masks.
        config: thresholds.
        seed: of the child numbers, which are drawn at random.
        reporter: told of the stages, the number of segments and the agreement of each level.
        collect: computes the votes.

    Raises:
        InputError: the cameras see nothing of the scene under any mask.
        UsageError: more segments than the layout has bits for.
    """
    reporter.stage("Collecting votes")
    votes = collect(views, reporter)
    if votes.matrix.nnz == 0:
        raise InputError(
            "The cameras see nothing of the scene where masks are.",
            "Check that the poses, the masks and the splat belong together.",
        )
    reporter.stage("Merging masks")
    neighbours = Neighbours(views.scene.means, _sizes(views.scene), config.spread)
    count = min(votes.levels, views.layout.levels)
    levels, labels, confidence = _settle_levels(votes, count, neighbours, views.same_ids, config, reporter)
    codes = codes_from_segments(labels, views.layout, seed)
    children = [_children_of_masks(votes, levels, labels, codes, views.layout, k) for k in range(count)]
    return Association(codes, confidence.min(1), MaskChildren(tuple(children)))


def _sizes(scene: RasterScene) -> np.ndarray:
    """Root mean square of each Gaussian's three standard deviations, float32 [N], scene units."""
    return np.sqrt(np.maximum(scene.covs[:, [0, 3, 5]].sum(1) / 3, 1e-20))


def _settle_levels(
    votes: Votes, count: int, neighbours: Neighbours, same_ids: bool, config: AssociateConfig, reporter: Reporter
) -> tuple[list[LevelSegments], np.ndarray, np.ndarray]:
    """(Segments of each level, labels int32 [N, L], confidence float32 [N, L]); each level nests in the one above."""
    levels: list[LevelSegments] = []
    labels, confidence = [], []
    above: np.ndarray | None = None
    for level in range(1, count + 1):
        reporter.progress(level - 1, count)
        masks, view = votes.mask_matrix(level), votes.mask_view[level - 1]
        within = None if above is None else segment_around(masks, above)
        if same_ids:  # the views were compared before
            levels.append(taken_as_given(masks, *votes.shared_ids(level), above))
        else:
            merged = merge_masks(members(votes, masks, level, config.members), view, within, config.merge)
            trust = np.where(votes.undivided(level), config.consensus.undivided_weight, 1).astype(np.float32)
            levels.append(settle(columns_scaled(masks, trust), view, merged, above, config.consensus))
        above, sure = neighbours.spread(levels[-1], above)
        labels.append(above)
        confidence.append(sure)
        if level == 1 and not len(levels[-1].parent):
            reporter.warning("The masks hold too few Gaussians to tell things apart: all Gaussians get one label.")
        reporter.metric(f"segments_level_{level}", len(levels[-1].parent))
        for when, share in zip(("before", "after"), levels[-1].agreement, strict=True):
            reporter.metric(f"agreement_level_{level}_{when}", round(share, 4))
    reporter.progress(count, count)
    return levels, np.stack(labels, 1), np.stack(confidence, 1)


def _children_of_masks(
    votes: Votes, levels: list[LevelSegments], labels: np.ndarray, codes: np.ndarray, layout: BitLayout, k: int
) -> dict[tuple[int, int], int]:
    """{(camera number, mask id): child number at level k + 1} of all masks whose segment has Gaussians."""
    child_of_segment = np.full(len(levels[k].parent) + 1, -1, np.int64)  # the last entry serves -1
    child_of_segment[labels[:, k]] = layout.local(codes, k + 1)
    child_of_segment[-1] = -1
    child = child_of_segment[levels[k].segment_of_mask]
    known = np.flatnonzero(child >= 0)
    keys = zip(votes.mask_view[k][known].tolist(), votes.mask_id[k][known].tolist(), strict=True)
    return dict(zip(keys, child[known].tolist(), strict=True))
