"""Merging, consensus and codes on votes whose answer is known."""

import numpy as np
import pytest
import scipy.sparse as sp

from bgs_engine.associate.assign import codes_from_segments
from bgs_engine.associate.consensus import ConsensusConfig, LevelSegments, settle
from bgs_engine.associate.mask_children import MaskChildren
from bgs_engine.associate.members import MemberConfig, members
from bgs_engine.associate.merge import MergeConfig, merge_masks
from bgs_engine.associate.one_hot import columns_scaled, columns_summed, one_hot, rows_summed
from bgs_engine.associate.spread import Neighbours, SpreadConfig
from bgs_engine.associate.stage import Association
from bgs_engine.associate.votes import Votes, combinations_of
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError


def votes_of(views: list[list[range]], gaussians: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """Masks as ranges of Gaussians, view by view → (CSR [N, masks], view of each mask)."""
    columns = [(v, rows) for v, masks in enumerate(views) for rows in masks]
    matrix = np.zeros((gaussians, len(columns)), np.float32)
    for k, (_, rows) in enumerate(columns):
        matrix[rows, k] = 1
    return sp.csr_matrix(matrix), np.array([v for v, _ in columns])


def test_masks_of_one_thing_become_one_segment():
    """Two things of 100 Gaussians; each view sees other parts of them and numbers them its own way."""
    views = [
        [range(0, 80), range(100, 190)],
        [range(120, 200), range(10, 100)],
        [range(5, 95)],
        [range(105, 200), range(0, 90)],
    ]
    masks, view = votes_of(views, 200)
    segment = merge_masks(masks, view, None, MergeConfig())
    things = [0 if rows.start < 100 else 1 for masks_ in views for rows in masks_]
    assert len(set(segment)) == 2
    assert all(segment[i] == segment[j] for i in range(7) for j in range(7) if things[i] == things[j])


def test_disjoint_masks_of_one_view_stay_apart():
    """Both halves overlap the lump of a third view alike; it may join one of them, but not bring them together."""
    masks, view = votes_of([[range(0, 50), range(50, 100)]] * 2 + [[range(0, 100)]], 100)
    segment = merge_masks(masks, view, None, MergeConfig())
    assert segment[0] == segment[2] != segment[1] == segment[3]


def test_a_lump_is_outvoted_and_contradicted():
    """Three views part two things, one lumps them: the lump ends without a segment, the things stay apart."""
    views = [[range(0, 50), range(50, 100)]] * 3 + [[range(0, 100)]]
    masks, view = votes_of(views, 100)
    config = ConsensusConfig(least_fit=0.6)  # the lump fits each half by 0.5
    result = settle(masks, view, merge_masks(masks, view, None, MergeConfig()), None, config)
    assert len(set(result.labels[:50])) == 1 and len(set(result.labels[50:])) == 1
    assert result.labels[0] != result.labels[99]
    assert result.segment_of_mask[-1] == -1 and (result.segment_of_mask[:-1] >= 0).all()
    assert result.agreement == (pytest.approx(350 / 400), pytest.approx(300 / 330))  # the lump counts 0.3


def test_finer_segments_stay_inside_coarser_ones():
    above = np.repeat([0, 1], 50).astype(np.int32)
    views = [[range(0, 25), range(25, 60)]] * 3  # the second mask leaks ten Gaussians over the coarse border
    masks, view = votes_of(views, 100)
    result = settle(masks, view, merge_masks(masks, view, None, MergeConfig()), above, ConsensusConfig())
    assert (result.labels[50:] == -1).all()
    assert result.parent.tolist() == [0, 0]


@pytest.mark.parametrize(("lumps", "segments"), [(0, 2), (1, 2), (2, 1)])
def test_what_one_view_shows_is_kept_only_where_few_see_it(lumps: int, segments: int) -> None:
    """One view parts two things; so many others see both and show them as one."""
    masks, view = votes_of([[range(0, 50), range(50, 100)], *[[range(0, 100)]] * lumps, *[[range(0, 50)]] * 2], 100)
    merged = np.array([0, 1, *[0] * lumps, 0, 0])
    result = settle(masks, view, merged, None, ConsensusConfig(rounds=0))
    assert len(result.parent) == segments


def test_undivided_masks_are_found():
    """Node 0 fills its coarse mask; nodes 1 and 2 share theirs."""
    matrix = sp.csr_matrix(np.array([[10, 0, 0], [0, 6, 4]], np.float32))
    node_masks = np.array([[0, 0], [1, 1], [1, 2]], np.int32)
    view = [np.zeros(2, np.int32), np.zeros(3, np.int32)]
    votes = Votes(matrix, np.full(4, 255, np.uint8), node_masks, view, view)
    assert votes.undivided(2).tolist() == [True, False, False]
    assert not votes.undivided(1).any()


def two_views() -> Votes:
    """Four Gaussians, views 0 and 1 with two masks each, one level; view 1 shows the third through another."""
    matrix = sp.csr_matrix(np.array([[9, 0, 9, 0], [9, 1, 0.5, 0], [0, 9, 9, 0], [0, 9, 0, 9]], np.float32))
    through = np.full(matrix.nnz, 255, np.uint8)
    through[matrix.indptr[2] + 1] = 60
    view = [np.array([0, 0, 1, 1], np.int32)]
    return Votes(matrix, through, np.arange(4, dtype=np.int32)[:, None], view, view)


@pytest.mark.parametrize("least_through, third", [(0.0, [0, 1, 1, 0]), (0.2, [0, 1, 1, 0]), (0.5, [0, 1, 0, 0])])
def test_members_are_seen_clearly(least_through: float, third: list[int]):
    """The second has one mask a view, and view 1 shows it too faintly to count."""
    votes = two_views()
    found = members(votes, votes.mask_matrix(1), 1, MemberConfig(least_through=(least_through,)))
    assert found.toarray().tolist() == [[1, 0, 1, 0], [1, 0, 0, 0], third, [0, 1, 0, 1]]


def test_masks_of_different_coarser_segments_do_not_merge():
    masks, view = votes_of([[range(0, 50)], [range(0, 50)], [range(0, 50)]], 100)
    segment = merge_masks(masks, view, np.array([0, 1, 0]), MergeConfig())
    assert segment[0] == segment[2] != segment[1]
    assert len(set(merge_masks(masks, view, None, MergeConfig()))) == 1


def test_combinations_are_the_distinct_columns():
    ids = np.array([[0, 1, 1, 2, 1, 0], [0, 5, 6, 0, 5, 0]], np.int32)
    combinations, node = combinations_of(ids)
    assert node.tolist()[0] == node.tolist()[5] == -1
    assert (ids[:, 1:5] == combinations[node[1:5]].T).all()
    assert node[1] == node[4] != node[2]


def test_one_hot_leaves_negative_rows_empty():
    groups = np.array([2, -1, 0, 2], np.int32)
    assert one_hot(groups).toarray().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert one_hot(groups, 4).shape == (4, 4)


def test_sums_over_groups_are_those_of_the_products():
    """`columns_summed` and `rows_summed` against SciPy's products with `one_hot`, also for empty rows and no group."""
    rng = np.random.default_rng(0)
    few = rng.random((200, 30)) < 0.1  # most rows have a few entries, some have none
    matrix = sp.csr_matrix(few * rng.random((200, 30), np.float32))
    columns, rows = rng.integers(-1, 5, 30), rng.integers(-1, 4, 200)
    summed = columns_summed(matrix, columns, 6)
    # Sums of a few numbers below one: float32 differs by its last bits.
    np.testing.assert_allclose(summed.toarray(), (matrix @ one_hot(columns, 6)).toarray(), atol=1e-6)
    assert (summed.getnnz(1) == (matrix @ one_hot(columns, 6)).getnnz(1)).all()  # no place is there twice
    np.testing.assert_allclose(rows_summed(matrix, rows, 4), (one_hot(rows, 4).T @ matrix).toarray(), atol=1e-5)
    weight = rng.random(30, np.float32)
    assert (columns_scaled(matrix, weight).toarray() == matrix.toarray() * weight).all()


def test_codes_nest_and_differ():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 4, (500, 3))
    layout = BitLayout((4, 3, 3))
    codes = codes_from_segments(labels, layout, seed=1)
    for level in range(1, 4):
        found = layout.labels(codes, level)
        paths, code_of_path = np.unique(labels[:, :level], axis=0, return_inverse=True)
        pairs = np.unique(np.stack([code_of_path.ravel(), found], 1), axis=0)
        assert len(pairs) == len(paths) == len(np.unique(found))  # one code for each path, and no two alike
    assert (codes_from_segments(labels, layout, seed=1) == codes).all()


def test_too_few_bits_say_how_many_are_needed():
    labels = np.arange(9)[:, None]
    with pytest.raises(UsageError, match="at least 4 bits"):
        codes_from_segments(labels, BitLayout((3,)), seed=0)


def segments(votes: list[list[float]], parent: list[int]) -> LevelSegments:
    matrix = sp.csr_matrix(np.array(votes, np.float32))
    labels = np.where(matrix.sum(1).A1 > 0, np.asarray(matrix.argmax(1)).ravel(), -1).astype(np.int32)
    return LevelSegments(labels, matrix, np.zeros(0, np.int32), np.array(parent, np.int32), (1, 1))


def test_what_is_hardly_seen_follows_its_neighbours_and_what_is_well_seen_does_not():
    """A row of Gaussians: the third saw a crack's light, the sixth is another thing in full view."""
    votes: list[list[float]] = [[9, 0], [9, 0], [0, 0.1], [9, 0], [9, 0], [0, 90], [9, 0], [0, 0]]
    means = np.stack([np.arange(8), np.zeros(8), np.zeros(8)], 1)
    neighbours = Neighbours(means, np.ones(8), SpreadConfig(neighbours=4))
    labels, confidence = neighbours.spread(segments(votes, [-1, -1]), None)
    assert labels.tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    assert confidence[0] > confidence[2] > 0 and confidence[5] > 0.7


def test_neighbours_across_a_coarser_border_say_nothing():
    coarse = segments([[9, 0], [9, 0], [0, 9], [0, 9]], [-1, -1])
    fine = segments([[9, 0, 0], [0, 0, 0], [0, 9, 0], [0, 0, 9]], [0, 1, 1])
    means = np.stack([np.array([0, 2, 2.1, 2.2]), np.zeros(4), np.zeros(4)], 1)
    neighbours = Neighbours(means, np.ones(4), SpreadConfig(neighbours=2))
    above, _ = neighbours.spread(coarse, None)
    assert above.tolist() == [0, 0, 1, 1]
    assert neighbours.spread(fine, above)[0].tolist() == [0, 0, 1, 2]  # the second: far from the first, near the others


def test_spreading_matches_its_equation():
    """One round's result on random votes, against the sum written with dense arrays."""
    rng = np.random.default_rng(0)
    n, s = 40, 3
    votes = rng.random((n, s)).astype(np.float32) * (rng.random((n, s)) < 0.6)
    means = rng.random((n, 3))
    config = SpreadConfig(neighbours=5, rounds=3)
    sizes = rng.uniform(0.5, 2, n)
    labels, confidence = Neighbours(means, sizes, config).spread(segments(votes.tolist(), [-1] * s), None)
    distance = np.linalg.norm(means[:, None] - means[None], axis=2)
    near = np.argsort(distance, axis=1)[:, 1:6]
    like = (np.minimum(sizes[:, None], sizes[near]) / np.maximum(sizes[:, None], sizes[near])) ** 2
    like /= like.sum(1, keepdims=True)
    weight = votes.sum(1)
    k = config.strength * np.median(weight[weight > 0])
    opinion = np.zeros((n, s))
    for _ in range(config.rounds):
        opinion = (votes + k * (opinion[near] * like[..., None]).sum(1)) / (weight + k)[:, None]
    assert (labels == opinion.argmax(1)).all()
    np.testing.assert_allclose(confidence, opinion.max(1), rtol=1e-5)


def test_rounding_makes_no_confidence_above_1():
    """Every vote is for one segment, so each share is 1 but for rounding. A run with more cannot be read."""
    rng = np.random.default_rng(0)
    n = 2000
    neighbours = Neighbours(rng.random((n, 3)), rng.uniform(0.5, 2, n), SpreadConfig(rounds=100))
    _, confidence = neighbours.spread(segments(rng.random((n, 1)).tolist(), [-1]), None)
    assert confidence.min() > 0.999 and confidence.max() <= 1


def test_confidence_in_another_code_is_what_speaks_against_the_own():
    found = Association(np.array([5, 6], np.int32), np.array([0.9, 0.7], np.float32), MaskChildren(()))
    np.testing.assert_allclose(found.confidence_of(np.array([5, 7], np.int32)), [0.9, 0.3], rtol=1e-6)
