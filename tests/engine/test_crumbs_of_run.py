"""`bgs crumbs`: what it lists, what --apply saves, and that names and the engine's own answer stay."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.cli import main
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.label_table import build_label_table
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import finish, open_run, partial_folder, write_run
from tests.helpers import made_crumbs
from tests.helpers.made_crumbs import BOARD, FLOATERS, LEFT, LEVEL_BITS, RIGHT

LAYOUT = BitLayout(LEVEL_BITS)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of the splat of `made_crumbs`, whose left board is called Table."""
    path, codes = made_crumbs.write(tmp_path / "boards.ply")
    ply = read_ply(path)
    splat = load_gaussians(ply)
    table = build_label_table(LAYOUT, codes, splat.means, splat.opacities, splat.base_colors)
    next(row for row in table.levels[0] if row.label == LEFT[0]).name = "Table"
    folder = tmp_path / "run"
    write_run(partial_folder(folder), ply, codes, splat.opacities, table, {})
    finish(folder)
    return folder


def test_it_lists_and_writes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert main(["crumbs", str(run)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Level 1, strength 0.5: 4 Gaussians: 3 in floaters, 1 in strays.",
        "  Table (3): 4 Gaussians: 3 in floaters, 1 in strays",
    ]
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_apply_saves_codes_and_keeps_names(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = open_run(run)
    assert main(["crumbs", str(run), "--level", "2", "--apply"]) == 0
    assert "Nothing was deleted" in capsys.readouterr().out
    new = open_run(run)
    assert np.array_equal(new.codes[: 2 * BOARD], old.codes[: 2 * BOARD])
    assert new.codes[-1] == old.codes[BOARD]
    counts = {row.name: row.count for row in new.labels().of(1)}
    assert counts == {"L1_2": BOARD + 1, "Table": BOARD, "Crumbs": FLOATERS}
    assert sorted(row.name for row in new.labels().of(2)) == ["Floaters", "L2_1", "L2_2"]
    assert np.array_equal(np.load(run / "codes_engine.npy"), old.codes)
    assert LAYOUT.labels(new.codes, 1)[BOARD] == RIGHT[0]
    assert main(["crumbs", str(run), "--strength", "1", "--apply"]) == 0
    assert capsys.readouterr().out == "Level 1, strength 1: 0 Gaussians.\n"  # accepted crumbs are not found again


@pytest.mark.parametrize(("option", "value"), [("--level", "4"), ("--strength", "1.5")])
def test_what_does_not_exist_is_named(run: Path, option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crumbs", str(run), option, value, "--apply"]) == 2
    assert f"There is no {option[2:]} {value}" in capsys.readouterr().err
