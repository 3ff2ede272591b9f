"""The objectives: gradients against finite differences, and what each term of the paper's loss does."""

import numpy as np
import pytest

from bgs_engine.associate.mask_children import MaskChildren
from bgs_engine.core.codes import BitLayout
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.objectives import ContrastiveObjective, SegmentObjective

LAYOUT = BitLayout((3, 2))
# Two coarse masks; the first is divided at level 2, the second is not; the last pixel is unlabelled.
LABELS = np.array([[1, 1], [1, 1], [1, 2], [2, 3], [2, 3], [0, 0]], np.int32)


def features(seed: int = 0) -> np.ndarray:
    """Away from 0.5, where binarisation jumps."""
    rng = np.random.default_rng(seed)
    sides = rng.choice([0.0, 0.55], (len(LABELS), LAYOUT.total))
    return (sides + rng.uniform(0.05, 0.4, sides.shape)).astype(np.float32)


def numeric_gradient(objective, at: np.ndarray) -> np.ndarray:
    out = np.zeros_like(at)
    for index in np.ndindex(*at.shape):
        low, high = at.copy(), at.copy()
        low[index] -= 1e-2
        high[index] += 1e-2
        out[index] = (objective(high, LABELS, 0)[0] - objective(low, LABELS, 0)[0]) / 2e-2
    return out


@pytest.mark.parametrize(
    "objective",
    [
        ContrastiveObjective(LAYOUT, TrainConfig()),
        ContrastiveObjective(LAYOUT, TrainConfig(progressive=False, virtual_negative=0.0)),
        SegmentObjective(LAYOUT, MaskChildren(({(0, 1): 5, (0, 2): 2}, {(0, 1): 1, (0, 2): 3, (0, 3): 0}))),
    ],
    ids=["contrastive", "plain contrastive", "segments"],
)
def test_gradient_is_the_slope_of_the_loss(objective):
    _, gradient = objective(features(), LABELS, 0)
    # Differences of a float32 loss over a step of 0.02: three digits.
    np.testing.assert_allclose(gradient, numeric_gradient(objective, features()), atol=3e-3)


def test_unlabelled_pixels_feel_only_the_regulariser():
    _, gradient = ContrastiveObjective(LAYOUT, TrainConfig(regulariser=0.0))(features(), LABELS, 0)
    assert not gradient[-1].any()
    assert gradient[:-1].any(1).all()


def test_groups_are_isolated_at_finer_levels():
    """Moving the pixels of one coarse mask changes nothing for the finer bits of another (equation 6)."""
    objective = ContrastiveObjective(LAYOUT, TrainConfig(regulariser=0.0))
    moved = features()
    moved[3:5, 3:] = 1 - moved[3:5, 3:]
    one, other = objective(features(), LABELS, 0)[1], objective(moved, LABELS, 0)[1]
    np.testing.assert_allclose(one[:3, 3:], other[:3, 3:], atol=1e-7)
    together = ContrastiveObjective(LAYOUT, TrainConfig(regulariser=0.0, progressive=False))
    assert np.abs(together(features(), LABELS, 0)[1] - together(moved, LABELS, 0)[1])[:3, 3:].max() > 1e-3


def test_virtual_negative_pulls_undivided_masks_to_zero():
    """Mask 2 has no siblings at level 2; only with the virtual negative do its bits feel a force towards 0."""
    same = np.full((len(LABELS), LAYOUT.total), 0.8, np.float32)
    with_it = ContrastiveObjective(LAYOUT, TrainConfig(regulariser=0.0))(same, LABELS, 0)[1]
    without = ContrastiveObjective(LAYOUT, TrainConfig(regulariser=0.0, virtual_negative=0.0))(same, LABELS, 0)[1]
    assert (with_it[3:5, 3:] > 1e-3).all()  # a positive gradient: the step goes down
    assert np.abs(without[3:5, 3:]).max() < 1e-6


def test_straight_through_sees_binary_distances():
    """Binarised forward: two masks on the same side of 0.5 are at distance 0 whatever the features are."""
    config = TrainConfig(regulariser=0.0, straight_through=True)
    near = np.where(features() > 0.5, 0.6, 0.4).astype(np.float32)
    far = np.where(features() > 0.5, 1.0, 0.0).astype(np.float32)
    objective = ContrastiveObjective(LAYOUT, config)
    assert objective(near, LABELS, 0)[0] == pytest.approx(objective(far, LABELS, 0)[0], abs=1e-6)


def test_settled_bits_and_contradicted_masks_have_no_gradient():
    objective = SegmentObjective(LAYOUT, MaskChildren(({(0, 1): 7}, {(0, 1): 3})))
    settled = np.ones((len(LABELS), LAYOUT.total), np.float32)
    loss, gradient = objective(settled, LABELS, 0)
    assert loss == 0 and not gradient.any()
    _, gradient = objective(1 - settled, LABELS, 0)
    assert gradient[:2].all()  # mask 1 at both levels: every bit is wrong
    assert gradient[2, :3].all() and not gradient[2, 3:].any()  # its level-2 mask is not known
    assert not gradient[3:].any()  # mask 2 is contradicted, the last pixel unlabelled
    assert not objective(1 - settled, LABELS, 1)[1].any()  # ids mean something within one view only
