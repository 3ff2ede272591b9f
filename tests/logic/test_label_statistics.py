"""Statistics of labels, against values that are worked out by hand."""

import numpy as np

from bgs_engine.core.codes import BitLayout
from blender_bgs.logic.carry_over import LabelSettings
from blender_bgs.logic.label_states import sums_by_label, sums_of_labels
from blender_bgs.logic.label_statistics import alike_in_color, in_box, in_sphere, shares, statistics
from blender_bgs.logic.label_tree import CodeTable

OF = np.array([1, 0, 1, 0, 1])
POSITIONS = np.array([(0, 0, 0), (5, 5, 5), (2, 1, 4), (7, 5, 9), (90, 90, 90)], np.float32)
OPACITIES = np.array([0.5, 0.2, 1.0, 0.4, 0.01], np.float32)  # the last is faint, so the box leaves it out
COLORS = np.array([(1, 0, 0), (0, 0, 1), (1, 0, 0), (0, 0, 1), (0, 1, 0)], np.float32)


def test_numbers_and_boxes() -> None:
    found = statistics(OF, 2, POSITIONS, OPACITIES, COLORS, np.array([1, 0, 1, 1, 0.25], np.float32))
    assert found.counts.tolist() == [2, 3]
    assert found.low.tolist() == [[5, 5, 5], [0, 0, 0]] and found.high.tolist() == [[7, 5, 9], [2, 1, 4]]
    assert found.sizes.tolist() == [4, 4] and found.heights.tolist() == [7, 2]
    assert np.allclose(found.opacities, [0.3, 1.51 / 3])
    assert found.confidences is not None and np.allclose(found.confidences, [0.5, 0.75])


def test_a_label_of_faint_gaussians_has_the_box_of_all() -> None:
    found = statistics(OF, 2, POSITIONS, OPACITIES * np.float32(0.01), COLORS)
    assert found.high.tolist() == [[7, 5, 9], [90, 90, 90]] and found.confidences is None


def test_no_gaussians() -> None:
    nothing = np.zeros((0, 3), np.float32)
    found = statistics(np.zeros(0, int), 0, nothing, np.zeros(0, np.float32), nothing)
    assert len(found.counts) == len(found.sizes) == len(found.heights) == 0


def test_colors_are_weighted_by_opacity() -> None:
    """Oklab: pure red and green are 0.52 apart, and 1 of 151 of the red label's light is green."""
    found = statistics(OF, 2, POSITIONS, OPACITIES, COLORS)
    assert alike_in_color(found.colors, (1, 0, 0), 0.02).tolist() == [False, True]
    assert alike_in_color(found.colors, (0, 0, 1), 0.001).tolist() == [True, False]
    assert alike_in_color(found.colors, (0, 1, 0), 0.4).tolist() == [False, False]


def test_black_and_white_are_one_apart() -> None:
    found = statistics(np.array([0]), 1, POSITIONS[:1], OPACITIES[:1], np.ones((1, 3), np.float32))
    assert alike_in_color(found.colors, (0, 0, 0), 1.001).all()
    assert not alike_in_color(found.colors, (0, 0, 0), 0.999).any()


def test_places() -> None:
    inside = in_box(POSITIONS, np.array([0, 0, 0]), np.array([5, 5, 5]))
    assert inside.tolist() == [True, True, True, False, False]
    assert np.allclose(shares(OF, 2, inside), [0.5, 2 / 3])
    assert in_sphere(POSITIONS, np.array([2, 1, 4]), 5.0991).tolist() == [True, True, True, False, False]  # sqrt(26)
    assert in_sphere(POSITIONS, np.array([2, 1, 4]), 5.0).tolist() == [True, False, True, False, False]  # sqrt(21)


def test_sums_for_rows_are_those_for_labels() -> None:
    rng = np.random.default_rng(0)
    layout = BitLayout((4, 3))
    table = CodeTable.of(rng.integers(-(2**31), 2**31, 900).astype(np.int32) & np.int32(-(2**25)), layout)
    amounts = rng.integers(0, 50, len(table.unique))
    wanted = sums_by_label(table, amounts)
    levels = np.array([level for level, _ in wanted] + [1, 2])
    labels = np.array([label for _, label in wanted] + [999, 999], np.uint32)  # there are no such labels
    assert sums_of_labels(table, amounts, levels, labels).tolist() == [*wanted.values(), 0, 0]


def test_locks_and_sets_go_with_their_labels() -> None:
    settings = LabelSettings(
        names={(1, 1): "Chair", (1, 2): "L1_2"}, locked={(1, 1), (1, 3)}, sets={"Both": {(1, 1), (1, 2), (1, 3)}}
    )
    new = settings.for_new_labels({(1, 1): (1, 8), (1, 2): (1, 9)})
    assert new.names == {(1, 8): "Chair"}
    assert new.locked == {(1, 8)} and new.sets == {"Both": {(1, 8), (1, 9)}}
