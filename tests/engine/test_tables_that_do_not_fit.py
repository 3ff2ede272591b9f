"""A labels.json that a person or a program changed: commands that need it say so, and no traceback appears."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgs_engine.cli import main
from bgs_engine.core.files import read_json, write_json
from tests.engine.test_label_names import run as run


def drop_one(levels: list[Any]) -> None:
    levels[1].pop()


def add_one(levels: list[Any]) -> None:
    levels[1].append({**levels[1][0], "label": 255, "name": "other"})


def empty(levels: list[Any]) -> None:
    levels[1].clear()


def far_number(levels: list[Any]) -> None:
    levels[1][0]["label"] = 1 << 70


def below_zero(levels: list[Any]) -> None:
    levels[1][0]["label"] = -7


@pytest.mark.parametrize("change", [drop_one, add_one, empty, far_number, below_zero])
@pytest.mark.parametrize(
    "command",
    [["graph", "-o", "graph", "--level", "2"], ["similar", "L2_004", "--level", "2"], ["names"], ["find", "red"]],
    ids=lambda command: command[0],
)
def test_labels_that_the_codes_do_not_have(
    run: Path,
    tmp_path: Path,
    change: Callable[[list[Any]], None],
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = read_json(run / "labels.json")
    change(table["levels"])
    write_json(run / "labels.json", table)
    monkeypatch.chdir(tmp_path)
    assert main([command[0], str(run), *command[1:]]) == 3
    said = capsys.readouterr().err
    assert "labels.json" in said and "Run the segmentation again." in said and "bug" not in said
    assert not (tmp_path / "graph").exists()


def test_a_centre_that_is_no_number(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (run / "labels.json").read_text()
    table = read_json(run / "labels.json")
    center = table["levels"][0][0]["center"]
    first = text.index(str(center[0]))
    (run / "labels.json").write_text(text[:first] + "NaN" + text[first + len(str(center[0])) :])
    assert main(["names", str(run)]) == 3
    assert "the center of label" in capsys.readouterr().err


def test_a_table_of_other_bits_and_a_cut_one(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = read_json(run / "labels.json")
    bits = ",".join(map(str, table["level_bits"]))
    write_json(run / "labels.json", {**table, "level_bits": [4, *table["level_bits"][1:]]})
    assert main(["find", str(run), "red"]) == 3
    said = capsys.readouterr().err
    assert f"labels.json has the level bits 4,{bits.partition(',')[2]}, and run.json has {bits}." in said
    (run / "labels.json").write_text('{"format": 1, "level_bits"')
    assert main(["find", str(run), "red"]) == 3
    said = capsys.readouterr().err
    assert "labels.json is not valid JSON" in said and "Run the segmentation again." in said


def test_automatic_names_of_the_wrong_kind_are_not_believed(run: Path) -> None:
    table = read_json(run / "labels.json")
    write_json(run / "labels.json", {**table, "automatic_names": [5, 6]})
    assert main(["names", str(run)]) == 0


def test_a_name_with_a_line_end_takes_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = read_json(run / "labels.json")
    table["levels"][0][0]["name"] = "one\ntwo"
    write_json(run / "labels.json", table)
    for command in (["find", str(run), "one"], ["names", str(run)]):
        assert main(command) == 0
        assert "one\\ntwo" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "  "])
def test_nothing_to_find(run: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", str(run), text]) == 2
    assert "There is no text to find." in capsys.readouterr().err
