"""`bgs export --fill` writes the rest of the splat, and what closes the holes of the exported labels."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.cli.main import main
from bgs_engine.core.label_table import build_label_table
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.output_place import partial_folder
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import codes_in, finish, open_run, write_run
from tests.helpers import made_hole
from tests.helpers.made_hole import BOX, FLOOR, GREY, HOLE, LAYOUT, STEP


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of the floor with a hole below a box."""
    path, codes = made_hole.write(tmp_path / "room.ply")
    ply = read_ply(path)
    splat = load_gaussians(ply)
    folder = tmp_path / "run"
    table = build_label_table(LAYOUT, codes, splat.means, splat.opacities, splat.base_colors)
    write_run(partial_folder(folder), ply, codes, splat.opacities, table, {})
    finish(folder)
    return folder


def labels_of(path: Path) -> np.ndarray:
    codes = codes_in(read_ply(path))
    assert codes is not None
    return LAYOUT.labels(codes, 2)


def test_the_rest_keeps_its_bytes_and_the_hole_is_closed(run: Path, tmp_path: Path) -> None:
    out, box = tmp_path / "out", BOX[0] * 16 + BOX[1]
    assert main(["export", str(run), "-o", str(out), "--level", "2", "--label", str(box), "--fill"]) == 0
    assert {path.name for path in out.glob("*.ply")} == {"filled.ply", next(iter(out.glob(f"*{box}.ply"))).name}
    source, made = open_run(run), read_ply(out / "filled.ply")
    rest = np.flatnonzero(LAYOUT.labels(source.codes, 2) != box)
    assert (made.take(np.arange(len(rest))) == source.ply.take(rest)).all()
    copies = np.arange(len(rest), made.count)
    assert 100 < len(copies) < 300  # the hole had room for 13 x 13 discs; its rim counts or not
    fill = load_gaussians(made).take(copies)
    assert np.abs(fill.means[:, 2]).max() < 1e-3 and (np.abs(fill.means[:, :2]) < HOLE + 3 * STEP).all()
    assert np.allclose(fill.base_colors, GREY, atol=0.02)
    # A label of its own, beside the floor: under the floor's parent, and no label that was there before.
    labels = labels_of(out / "filled.ply")[copies]
    assert len(np.unique(labels)) == 1 and labels[0] >> 4 == FLOOR[0]
    assert labels[0] not in LAYOUT.labels(source.codes, 2)


def test_plain_has_62_floats(run: Path, tmp_path: Path) -> None:
    box = str(BOX[0])
    assert main(["export", str(run), "-o", str(tmp_path), "--level", "1", "--label", box, "--fill", "--plain"]) == 0
    assert len(read_ply(tmp_path / "filled.ply").names) == 62


def test_needs_labels(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "-o", str(tmp_path), "--fill"]) != 0
    assert "--fill needs --label" in capsys.readouterr().err
