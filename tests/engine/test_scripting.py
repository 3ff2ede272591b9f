"""`bgs_engine.open_run` for scripts: its examples and its notebook run, and what they print is stored in it."""

import contextlib
import doctest
import io
import json
from pathlib import Path

import numpy as np
import pytest

import bgs_engine
from bgs_engine.cli import main
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.io.ply import read_ply
from bgs_engine.output import scripting
from tests.engine.test_label_names import run as run
from tools.environments import ROOT

NOTEBOOK = ROOT / "docs" / "guide" / "scripting.ipynb"


def test_examples(run: Path, tmp_path: Path) -> None:
    assert main(["names", str(run)]) == 0
    found = doctest.testmod(scripting, extraglobs={"RUN": run, "OUT": tmp_path / "out"}, verbose=False)
    assert found.failed == 0 and found.attempted >= 8


def test_notebook(run: Path, tmp_path: Path) -> None:
    """Each cell runs, and prints what the notebook shows."""
    assert main(["names", str(run)]) == 0
    names: dict[str, object] = {"RUN": run, "OUT": tmp_path / "out"}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec("".join(cell["source"]), names)
            assert printed.getvalue() == "".join("".join(out["text"]) for out in cell["outputs"])
    assert NOTEBOOK.stat().st_size < 10_000


def test_subsets_fit_the_codes_and_the_files(run: Path, tmp_path: Path) -> None:
    opened = bgs_engine.open_run(run)
    one, other = opened.names(2)[:2]
    rows = opened.rows(one, other)
    assert len(rows) == one.count + other.count and (np.diff(rows) > 0).all()
    assert set(opened.labels(2)[rows].tolist()) == {one.label, other.label}
    paths = opened.export([one, other], tmp_path / "out", plain=True)
    assert [read_ply(path).count for path in paths] == [one.count, other.count]
    assert len(opened.positions()) == len(opened.rows()) == 0 and opened.parent(opened.names(1)[0]) is None
    assert opened.children(one) == []


def test_wrong_questions_are_refused(run: Path, tmp_path: Path) -> None:
    opened = bgs_engine.open_run(run)
    with pytest.raises(UsageError, match="no level 3"):
        opened.labels(3)
    with pytest.raises(UsageError, match="no label to export"):
        opened.export([], tmp_path / "out")
    with pytest.raises(UsageError, match="2 levels"):
        opened.export([opened.names(1)[0], opened.names(2)[0]], tmp_path / "out")
    with pytest.raises(InputError):
        bgs_engine.open_run(tmp_path / "nothing")
