"""Which labels a person mended, and what becomes of them in the codes of a new run."""

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.core.mended_labels import MendedLabels, find_mended, lay_over
from blender_bgs.logic.label_edits import split
from blender_bgs.logic.label_tree import free_label, reassign

LAYOUT = BitLayout((4, 3))


def four_things() -> np.ndarray:
    """Labels 1 to 4 of level 1, ten Gaussians each, half of them in child 0 and half in child 1."""
    return LAYOUT.pack([np.repeat([1, 2, 3, 4], 10), np.tile(np.repeat([0, 1], 5), 4)])


def rows_of(codes: np.ndarray, key: tuple[int, int], layout: BitLayout = LAYOUT) -> list[int]:
    return np.flatnonzero(layout.labels(codes, key[0]) == key[1]).tolist()


def test_nothing_is_mended_before_an_edit() -> None:
    assert find_mended(four_things(), four_things(), LAYOUT).keys == ()


def test_a_joined_label_is_mended_and_its_children_are_not() -> None:
    codes = four_things()
    joined = reassign(codes, LAYOUT.labels(codes, 1) == 2, LAYOUT, 1, 1)
    assert find_mended(codes, joined, LAYOUT).keys == ((1, 1),)


def test_both_labels_of_a_move_are_mended() -> None:
    codes = four_things()
    moved = reassign(codes, np.arange(40) < 3, LAYOUT, 1, 4)  # three of child 0 of label 1, to a child of their own
    assert find_mended(codes, moved, LAYOUT).keys == ((1, 1), (1, 4))


def test_a_label_that_was_only_renumbered_is_not_mended() -> None:
    codes = four_things()
    rows = LAYOUT.labels(codes, 1) == 3
    assert find_mended(codes, reassign(codes, rows, LAYOUT, 1, 9), LAYOUT).keys == ()


def test_both_pieces_of_a_split_are_mended_and_their_parent_is_not() -> None:
    codes = four_things()
    pieces = np.zeros(40, int)
    pieces[[0, 1]] = 1
    cut = split(codes, LAYOUT, 2, 1 << 3, pieces)
    assert find_mended(codes, cut, LAYOUT).keys == ((2, 8), (2, 10))


def test_a_joined_label_stays_one_and_the_rest_is_the_new_run() -> None:
    codes = four_things()
    joined = reassign(codes, LAYOUT.labels(codes, 1) == 2, LAYOUT, 1, 1)
    new = LAYOUT.pack([np.repeat([7, 8, 9, 9], 10), np.repeat([0, 1, 2, 3], 10)])  # finds 3 and 4 to be one thing
    laid = lay_over(new, LAYOUT, find_mended(codes, joined, LAYOUT))
    assert laid.keys == {(1, 1): (1, 1)}  # its old number is free in the new run
    assert rows_of(laid.codes, (1, 1)) == list(range(20))
    assert np.array_equal(laid.codes[20:], new[20:])
    assert np.array_equal(LAYOUT.local(laid.codes, 2)[:20], np.repeat([0, 1], 10))  # inside: what the new run says


def test_a_split_label_lies_under_the_label_that_holds_most_of_it() -> None:
    codes = four_things()
    pieces = np.zeros(40, int)
    pieces[[0, 1, 2]] = 1
    cut = split(codes, LAYOUT, 2, 1 << 3, pieces)  # children: 3, 2 and 5 Gaussians
    new = codes.copy()
    new[2] = new[39]  # the new run gives one of the three to label 4
    laid = lay_over(new, LAYOUT, find_mended(codes, cut, LAYOUT))
    assert laid.keys == {(2, 8): (2, 11), (2, 10): (2, 10)}  # the new run has an 8 of its own, so that is not free
    assert rows_of(laid.codes, (2, 10)) == [0, 1, 2] and rows_of(laid.codes, (2, 11)) == [3, 4]
    assert rows_of(laid.codes, (1, 1)) == list(range(10))
    assert np.array_equal(laid.codes[5:], new[5:])


def test_numbers_of_the_new_run_are_used_again_only_when_no_other_is_free() -> None:
    layout = BitLayout((1,))
    engine, edited = np.array([0, 0, 1, 1], np.int32), np.array([0, 1, 1, 1], np.int32)
    laid = lay_over(np.array([0, 0, 0, 1], np.int32), layout, find_mended(engine, edited, layout))
    assert laid.codes.tolist() == [0, 1, 1, 1]


def test_a_full_parent_ends_in_a_sentence() -> None:
    layout = BitLayout((1, 31))
    mended = MendedLabels(layout, np.array([0, 0, 1 << 31, 5], np.uint32).view(np.int32), ((1, 1),))
    new = np.array([0, 0, 0, 1 << 31], np.uint32).view(np.int32)
    with pytest.raises(UsageError, match="All 2 labels of level 1") as caught:
        lay_over(new, layout, mended)
    assert "Join" in caught.value.hint


def test_a_run_of_fewer_levels_is_refused() -> None:
    codes = four_things()
    cut = split(codes, LAYOUT, 2, 8, np.arange(40) % 2)
    with pytest.raises(UsageError, match="2 mended labels are finer than level 1"):
        lay_over(np.zeros(40, np.int32), BitLayout((4,)), find_mended(codes, cut, LAYOUT))


@pytest.mark.parametrize("seed", range(20))
def test_every_mended_label_keeps_its_gaussians_and_the_rest_keeps_its_codes(seed: int) -> None:
    """Random edits and an unrelated new run of 32 bits; the properties hold whatever the labels are."""
    rng, layout, count = np.random.default_rng(seed), BitLayout((12, 10, 10)), 400
    engine = layout.pack([rng.integers(0, n, count) for n in (5, 4, 3)])
    edited = engine
    for _ in range(6):
        level = int(rng.integers(1, 4))
        labels = layout.labels(edited, level)
        rows = (labels == rng.choice(labels)) & (rng.random(count) < rng.choice([0.3, 1.0]))
        target = int(rng.choice(labels))
        if rng.random() < 0.4:
            target = free_label(set(labels.tolist()), int(layout.parent(target, level)), layout, level)
        edited = reassign(edited, rows, layout, level, target)
    new = layout.pack([rng.integers(0, n, count) for n in (4, 3, 5)])
    mended = find_mended(engine, edited, layout)
    laid = lay_over(new, layout, mended)
    assert set(laid.keys) == set(mended.keys) and len(set(laid.keys.values())) == len(mended.keys)
    inside = np.zeros(count, bool)
    for old, now in laid.keys.items():
        rows = layout.labels(edited, old[0]) == old[1]
        inside |= rows
        assert np.array_equal(layout.labels(laid.codes, now[0]) == now[1], rows)
    assert np.array_equal(laid.codes[~inside], new[~inside])
    # A mended child of a mended label is its child again.
    for (level, label), now in laid.keys.items():
        above = (level - 1, int(layout.parent(label, level)))
        if above in laid.keys:
            assert layout.parent(now[1], level) == laid.keys[above][1]


def test_a_level_of_32_bits_has_room_for_mended_labels() -> None:
    """Its four billion numbers are not listed, and labels above 2^31 are numbers as others are."""
    layout = BitLayout((32,))
    codes = np.repeat(np.array([0xFFFFFFFF, 0x80000000], np.uint32), 10).view(np.int32)
    edited = codes.copy()
    edited[:3] = edited[10]
    mended = find_mended(codes, edited, layout)
    assert mended.keys == ((1, 0x80000000), (1, 0xFFFFFFFF))
    laid = lay_over(codes, layout, mended)
    sets = sorted(rows_of(laid.codes, key, layout) for key in laid.keys.values())
    assert sets == [[0, 1, 2, *range(10, 20)], list(range(3, 10))]
