"""Names of labels: unique, and alike those of their objects."""

import pytest

from blender_bgs.logic.label_names import copies_of, is_name_of, unique_name
from blender_bgs.logic.label_tree import build_entries
from tests.logic.test_logic import make_table


@pytest.mark.parametrize(
    ("name", "taken", "wanted"),
    [
        ("Chair", {"Table"}, "Chair"),
        ("Chair", {"Chair"}, "Chair.001"),
        ("Chair", {"Chair", "Chair.001"}, "Chair.002"),
        ("Chair.007", {"Chair.007"}, "Chair.008"),
        ("Chair.1", {"Chair.1"}, "Chair.1.001"),  # Blender's numbers have three digits
    ],
)
def test_a_taken_name_gets_a_number(name: str, taken: set[str], wanted: str) -> None:
    assert unique_name(name, taken) == wanted


def test_what_counts_as_the_name_of_a_label() -> None:
    assert is_name_of("Chair", "Chair") and is_name_of("Chair.003", "Chair") and is_name_of("Chair.003", "Chair.003")
    assert not is_name_of("Chair", "Chair.003") and not is_name_of("Armchair", "Chair") and not is_name_of("C", "Chair")
    assert is_name_of("x" * 63, "x" * 80) and is_name_of("x" * 59 + ".001", "x" * 80)  # Blender cut it off
    assert not is_name_of("x" * 40, "x" * 80)


def test_given_names_are_made_unique_and_empty_ones_automatic() -> None:
    _, _, table = make_table()
    labels = [entry for entry in build_entries(table) if entry.level == 1]
    names = {labels[0].key: "Chair", labels[1].key: " Chair ", labels[2].key: "  "}
    found = {entry.key: entry.name for entry in build_entries(table, names)}
    assert [found[one.key] for one in labels[:3]] == ["Chair", "Chair.001", "L1_3"]
    assert len({(entry.level, entry.name) for entry in build_entries(table, names)}) == len(found)


def test_copies_differ_in_their_numbers_alone() -> None:
    known = ["red chair 1", "red chair 12", "red chair", "chair 1", "red chair, left 2", "red chair x"]
    assert copies_of(["red chair 12"], known) == {"red chair 1", "red chair 12"}
    assert copies_of(["red chair", "chair"], known) == set()
