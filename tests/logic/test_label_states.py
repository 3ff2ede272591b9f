"""Sums over labels, clicks in a list, and which label of another level stands for one."""

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from blender_bgs.logic.label_states import clicked, codes_with, relative_at, sums_by_label
from blender_bgs.logic.label_tree import CodeTable

LAYOUT = BitLayout((2, 2))
CODES = np.array([0b0000, 0b0001, 0b0001, 0b1100, 0b1101, 0b1101, 0b1101], np.int32)


def test_sums_are_over_all_gaussians_of_a_label() -> None:
    table = CodeTable.of(CODES, LAYOUT)
    assert sums_by_label(table, table.counts) == {
        (1, 0): 3, (1, 3): 4, (2, 0b0000): 1, (2, 0b0001): 2, (2, 0b1100): 1, (2, 0b1101): 3,
    }  # fmt: skip
    assert sums_by_label(CodeTable.of(CODES[:0], LAYOUT), np.zeros(0, int)) == {}


def test_codes_with_labels_of_several_levels() -> None:
    table = CodeTable.of(CODES, LAYOUT)
    assert table.unique[codes_with(table, [(1, 3), (2, 0b0001), (3, 7)])].tolist() == [0b0001, 0b1100, 0b1101]
    assert not codes_with(table, []).any()


def test_the_largest_child_or_the_parent_stands_for_a_label() -> None:
    counts = sums_by_label(table := CodeTable.of(CODES, LAYOUT), table.counts)
    assert relative_at(LAYOUT, (1, 3), 2, counts) == (2, 0b1101)
    assert relative_at(LAYOUT, (2, 0b0001), 1, counts) == (1, 0)
    assert relative_at(LAYOUT, (2, 0b0001), 2, counts) == (2, 0b0001)
    assert relative_at(LAYOUT, (1, 2), 2, counts) is None


@pytest.mark.parametrize(
    ("extend", "fill", "wanted"),
    [(False, False, {9}), (True, False, {4, 9}), (False, True, {2, 7, 9}), (True, True, {2, 4, 7, 9})],
)
def test_clicks_in_a_list(extend: bool, fill: bool, wanted: set[int]) -> None:
    # The list shows the rows 4, 2, 7, 9; row 2 is active and row 4 is selected.
    assert clicked(9, 2, [4, 2, 7, 9], {4}, extend, fill) == wanted


def test_a_range_from_a_row_that_is_not_in_the_list_is_one_row() -> None:
    assert clicked(9, 3, [4, 2, 7, 9], {4}, extend=False, fill=True) == {9}
