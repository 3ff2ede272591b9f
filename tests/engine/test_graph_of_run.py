"""`bgs graph` writes the graph of a level as JSON and as a picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgs_engine.cli import main
from bgs_engine.core.files import read_json
from tests.engine.test_label_names import run as run


def test_json_and_picture(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["names", str(run)]) == 0
    assert main(["graph", str(run), "--level", "1", "-o", str(tmp_path / "out")]) == 0
    found = read_json(tmp_path / "out" / "graph.json")
    names = {row["label"]: row["name"] for row in found["labels"]}
    standing = {(names[one["upper"]], names[one["lower"]]) for one in found["standing"]}
    floor = names[1]
    assert {("red box, left", floor), ("blue ball 1", floor), ("My Post", floor)} <= standing
    assert {names[k] for one in found["touching"] for k in one["labels"] if floor in map(names.get, one["labels"])} >= {
        "red box, left", "My Post", floor
    }  # fmt: skip
    assert all(one["area"] > 0 for one in found["touching"])
    picture = np.asarray(Image.open(tmp_path / "out" / "graph.png"))
    assert picture.shape == (1200, 1200, 3) and (picture != 255).any()
    assert main(["graph", str(run), "--level", "9", "-o", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()
