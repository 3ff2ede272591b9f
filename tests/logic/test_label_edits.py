"""Loose parts, splitting, and which labels are the same after an edit."""

import time

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.loose_parts import loose_parts, near, touching_distance
from blender_bgs.logic.label_edits import join_target, partners_after, split
from blender_bgs.logic.label_tree import CodeTable, reassign

LAYOUT = BitLayout((4, 3, 2))


def code(*locals_: int) -> int:
    return int(LAYOUT.pack([np.array([n]) for n in locals_])[0])


def codes_of(*each: tuple[int, ...]) -> np.ndarray:
    return np.array([code(*one) for one in each], np.int32)


def test_pieces_are_what_a_gap_separates() -> None:
    rng = np.random.default_rng(0)
    centers = np.array([(0, 0, 0), (10, 0, 0), (0, 7, 3)])
    counts = (500, 300, 100)
    points = np.concatenate([rng.uniform(-1, 1, (n, 3)) + c for n, c in zip(counts, centers, strict=True)])
    order = rng.permutation(len(points))
    pieces = loose_parts(points[order], np.ones(len(points), bool), 1.0)
    assert np.array_equal(pieces, np.repeat(np.arange(3), counts)[order])
    assert (loose_parts(points, np.ones(len(points), bool), 20.0) == 0).all()


def test_a_chain_is_one_piece_however_long() -> None:
    line = np.stack([np.arange(5000) * 0.9, np.zeros(5000), np.zeros(5000)], 1)
    assert (loose_parts(line, np.ones(5000, bool), 1.0) == 0).all()
    line[2500:, 0] += 3  # a gap wider than two cells
    assert np.array_equal(loose_parts(line, np.ones(5000, bool), 1.0), np.repeat([0, 1], 2500))


def test_haze_connects_nothing_and_goes_with_its_neighbours() -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [3, 0, 0], [90, 0, 0]])
    solid = np.array([True, False, False, True, True, False])
    pieces = loose_parts(points, solid, 0.9)
    assert pieces[3] == pieces[4] == 0 and pieces[0] == 1
    assert pieces[1] in (0, 1) and pieces[5] == 0  # nothing is near the last one: it stays with the largest


def test_a_distance_that_cannot_be() -> None:
    points = np.array([[0.0, 0, 0], [1e7, 0, 0]])
    for distance in (0.0, -1.0, 1e-3):
        with pytest.raises(UsageError, match="too small"):
            loose_parts(points, np.ones(2, bool), distance)
    assert len(loose_parts(np.zeros((0, 3)), np.zeros(0, bool), 1.0)) == 0
    # three standard deviations of each of two Gaussians
    assert touching_distance(np.array([[1.0, 2, 1], [4, 1, 1], [2, 2, 2]])) == 12.0


def test_what_is_near_some_points() -> None:
    points = np.array([[0.0, 0, 0], [1.5, 0, 0], [2.5, 0, 0], [0, 9, 0]])
    # Cells are 1 wide: 1.5 lies in the cell beside that of 0, 2.5 in the one after it.
    assert near(points, np.array([True, False, False, False]), 1.0).tolist() == [True, True, False, False]
    assert not near(points, np.zeros(4, bool), 1.0).any()


def test_a_million_points_in_time() -> None:
    """Two seconds on two idle cores; here processor time, and three times of it for a busy machine."""
    points = np.random.default_rng(0).random((1_000_000, 3)) * 100
    started = time.process_time()
    pieces = loose_parts(points, np.ones(len(points), bool), 0.6)
    seconds = time.process_time() - started
    assert len(pieces) == 1_000_000 and seconds < 6, seconds
    print(f"\nloose parts of 1M points: {seconds:.2f} s")


def test_split_keeps_children_and_changes_only_its_level() -> None:
    codes = codes_of((1, 0, 0), (1, 0, 1), (1, 2, 3), (1, 2, 3), (5, 1, 1))
    pieces = np.array([0, 1, 1, 0, 9])  # that of another label does not count
    out = split(codes, LAYOUT, 1, 1, pieces)
    assert np.array_equal(out, codes_of((1, 0, 0), (0, 0, 1), (0, 2, 3), (1, 2, 3), (5, 1, 1)))
    label = code(1, 0, 0) >> 2  # level 2: its child numbers 0 and 2 are in use
    assert np.array_equal(
        split(codes, LAYOUT, 2, label, pieces),
        codes_of((1, 0, 0), (1, 1, 1), (1, 2, 3), (1, 2, 3), (5, 1, 1)),
    )


def test_split_says_when_numbers_run_out() -> None:
    codes = codes_of(*((1, 0, n % 4) for n in range(9)))
    with pytest.raises(UsageError, match="in use"):
        split(codes, LAYOUT, 2, code(1, 0, 0) >> 2, np.arange(9))  # 8 child numbers, 9 pieces


def test_moved_labels_keep_their_identity_and_merged_ones_do_not() -> None:
    codes = codes_of((1, 0, 0), (1, 2, 1), (3, 0, 2), (3, 5, 0))
    new = reassign(codes, np.array([False, False, True, True]), LAYOUT, 1, 1)
    # Child number 0 of label 1 is taken, so the first child of label 3 gets another number; 5 stays.
    assert np.array_equal(new, codes_of((1, 0, 0), (1, 2, 1), (1, 1, 2), (1, 5, 0)))
    found = partners_after(CodeTable.of(codes, LAYOUT), CodeTable.of(new, LAYOUT))
    label = {n: {one: code(*one) >> s for one in ((1, 0, 0), (1, 2, 0), (1, 1, 0), (1, 5, 0), (3, 0, 0), (3, 5, 0))}
             for n, s in ((1, 5), (2, 2), (3, 0))}  # fmt: skip
    assert found[(1, 1)] == (1, 1) and (1, 3) not in found  # it went into an older label
    assert found[(2, label[2][(3, 0, 0)])] == (2, label[2][(1, 1, 0)])
    assert found[(2, label[2][(3, 5, 0)])] == (2, label[2][(1, 5, 0)])
    assert found[(3, code(3, 0, 2))] == (3, code(1, 1, 2))


def test_what_several_labels_are_joined_into() -> None:
    assert join_target(7, [3, 7]) == 7 and join_target(9, [3, 7]) == 3 and join_target(None, [3, 7]) == 3
    with pytest.raises(UsageError, match="Select several"):
        join_target(7, [7])
