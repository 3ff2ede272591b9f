"""Names of labels as names of files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgs_engine.core.file_names import MOST_BYTES, RESERVED, safe_name, safe_names


def test_two_labels_of_one_name_get_two_files() -> None:
    assert safe_names(["Chair", "chair", "Chair", "Chair (2)"]) == ["Chair", "chair (2)", "Chair (3)", "Chair (2) (2)"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a/b", "a_b"),
        ("a:b", "a_b"),
        ("..", "unnamed"),
        (".", "unnamed"),
        ("", "unnamed"),
        ("  ", "unnamed"),
        ("CON", "CON_"),
        ("nul.txt", "nul.txt_"),
        ("end. ", "end"),
        ("a\nb\x1b[31m", "a_b_[31m"),
        ("\ud800", "?".replace("?", "_")),
    ],
)
def test_names_that_systems_refuse(name: str, wanted: str) -> None:
    assert safe_name(name) == wanted


def test_long_names_are_cut_between_letters() -> None:
    names = safe_names(["桌" * 300, "桌" * 300, "x" * 300])
    assert all(len(name.encode()) <= MOST_BYTES for name in names) and len(set(names)) == 3


@given(st.lists(st.text(max_size=40), max_size=12))
def test_any_names_make_different_files(names: list[str]) -> None:
    out = safe_names(names)
    assert len({name.casefold() for name in out}) == len(names)
    for name in out:
        assert Path(name).name == name and name.strip(" .") == name and len(name.encode()) <= MOST_BYTES
        assert name.split(".")[0].lower() not in RESERVED


def test_the_files_can_be_made(tmp_path: Path) -> None:
    for name in safe_names(["Chair", "chair", "a/b", "a:b", "", "..", "CON", "é" * 300, "é" * 300]):
        (tmp_path / f"{name}.ply").touch()
    assert len(list(tmp_path.iterdir())) == 9
