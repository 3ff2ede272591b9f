"""`bgs export --clean` leaves crumbs and what reaches into the air out of the labels, and keeps them in a file."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.cli.main import main
from bgs_engine.core.codes import CODE_BYTE_NAMES, BitLayout, code_bytes
from bgs_engine.core.label_table import build_label_table
from bgs_engine.io.gaussians import load_gaussians, logit
from bgs_engine.io.output_place import partial_folder
from bgs_engine.io.ply import read_ply, write_ply
from bgs_engine.io.run_folder import codes_in, finish, open_run, write_run
from tests.helpers import made_crumbs
from tests.helpers.made_crumbs import BOARD, FLOATERS, LEVEL_BITS

LAYOUT = BitLayout(LEVEL_BITS)
VEIL = 17  # a row of the left board that the test makes large and faint and lifts off the board
STRAY = 2 * BOARD + FLOATERS


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two boards with three floaters, a stray and a veil."""
    path, codes = made_crumbs.write(tmp_path / "boards.ply")
    return write(tmp_path, path, codes)


def write(tmp_path: Path, path: Path, codes: np.ndarray) -> Path:
    rows = read_ply(path).take(np.arange(len(codes))).copy()
    for name, values in zip(CODE_BYTE_NAMES, code_bytes(codes).T, strict=True):
        rows[name] = values
    rows["z"][VEIL] += 0.5
    rows["opacity"][VEIL] = logit(np.array(0.2))
    for axis in range(3):
        rows[f"scale_{axis}"][VEIL] = np.log(0.15)
    write_ply(tmp_path / "veil.ply", rows.dtype, iter([rows]), len(rows))
    ply = read_ply(tmp_path / "veil.ply")
    splat, folder = load_gaussians(ply), tmp_path / "run"
    table = build_label_table(LAYOUT, codes, splat.means, splat.opacities, splat.base_colors)
    write_run(partial_folder(folder), ply, codes, splat.opacities, table, {})
    finish(folder)
    return folder


def export(run: Path, out: Path, *more: str) -> dict[str, np.ndarray]:
    """The rows of each file that an export of level 1 writes."""
    assert main(["export", str(run), "-o", str(out), "--level", "1", *more]) == 0
    files = {path.stem: read_ply(path) for path in out.glob("*.ply")}
    return {name: ply.take(np.arange(ply.count)) for name, ply in files.items()}


def test_crumbs_and_veils_go_to_their_file_and_strays_to_the_other_board(run: Path, tmp_path: Path) -> None:
    source = open_run(run)
    rows = source.ply.take(np.arange(source.ply.count))
    plain = export(run, tmp_path / "plain")
    files = export(run, tmp_path / "clean", "--clean", "0.8")
    assert sorted(files) == sorted([*plain, "crumbs"])
    left, right = (next(name for name in plain if name.endswith(f"_{k}")) for k in (3, 5))
    kept = np.setdiff1d(np.arange(BOARD), VEIL)
    assert (files[left] == rows[kept]).all()
    assert (files[right][:-1] == rows[BOARD : 2 * BOARD]).all()
    taken = np.r_[VEIL, 2 * BOARD : 2 * BOARD + FLOATERS]
    assert (files["crumbs"] == rows[taken]).all()
    # The stray lies in the right board. It comes with that board's code, else as it was.
    stray = files[right][-1:]
    assert (stray[["x", "y", "z", "opacity"]] == rows[STRAY:][["x", "y", "z", "opacity"]]).all()
    codes = codes_in(read_ply(tmp_path / "clean" / f"{right}.ply"))
    assert codes is not None and (LAYOUT.labels(codes, 1) == 5).all()


def test_one_label_has_only_its_own_crumbs(run: Path, tmp_path: Path) -> None:
    files = export(run, tmp_path / "out", "--clean", "0.8", "--label", "5")
    assert len(files) == 1 and "crumbs" not in files


def test_plain_and_far_away(run: Path, tmp_path: Path) -> None:
    files = export(run, tmp_path / "out", "--clean", "0.5", "--plain")
    assert all(len(rows.dtype.names or ()) == 62 for rows in files.values())


@pytest.mark.parametrize("strength", ["-0.1", "1.5", "nan"])
def test_a_strength_out_of_range_is_refused_before_work(run: Path, tmp_path: Path, strength: str) -> None:
    out = tmp_path / "out"
    assert main(["export", str(run), "-o", str(out), "--clean", strength]) == 2
    assert not out.exists()


@pytest.mark.parametrize("strength", ["0.3", "1"])
def test_every_gaussian_is_in_one_file(run: Path, tmp_path: Path, strength: str) -> None:
    """At strength 1 both boards could be crumbs of each other; whatever is, is in crumbs.ply."""
    source = open_run(run).ply
    files = export(run, tmp_path / "out", "--clean", strength)
    places = np.concatenate([np.column_stack([rows[axis] for axis in "xyz"]) for rows in files.values()])
    own = np.column_stack([source.column(axis) for axis in "xyz"])
    untouched = np.setdiff1d(np.arange(source.count), VEIL)
    assert {tuple(place) for place in own[untouched].tolist()} <= {tuple(place) for place in places.tolist()}
    assert len(places) in (source.count, source.count + 1)  # the veil is whole, cut in two, or gone


def test_a_label_that_is_all_crumbs_is_in_their_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, codes = made_crumbs.write(tmp_path / "boards.ply")
    floaters = slice(2 * BOARD, 2 * BOARD + FLOATERS)
    codes[floaters] = LAYOUT.pack([np.full(FLOATERS, 9), np.ones(FLOATERS, int), np.ones(FLOATERS, int)])
    run = write(tmp_path, path, codes)
    files = export(run, tmp_path / "out", "--clean", "1", "--label", "9")
    assert list(files) == ["crumbs"]
    assert "Label 9 is all crumbs" in capsys.readouterr().err
    rows = open_run(run).ply
    assert (files["crumbs"] == rows.take(np.arange(rows.count)[floaters])).all()


def test_a_fill_beside_clean_labels_loses_and_doubles_nothing(run: Path, tmp_path: Path) -> None:
    """A stray goes from the left board to the right one; whichever is exported, it is in one file."""
    rows = open_run(run).ply.take(np.arange(2 * BOARD + FLOATERS + 1))
    for label in ("3", "5"):
        files = export(run, tmp_path / label, "--clean", "0.8", "--label", label, "--fill")
        places = [tuple(row) for part in files.values() for row in part[["x", "y", "z"]].tolist()]
        made = len(places) - len(rows)  # copies that close a hole
        assert made >= 0 and {tuple(row) for row in rows[["x", "y", "z"]].tolist()} <= set(places)
        assert len(set(places)) == len(places)
        codes = codes_in(read_ply(tmp_path / label / "filled.ply"))
        assert codes is not None and not (LAYOUT.labels(codes, 1) == int(label)).any()


def test_labels_that_are_named_twice_are_written_once(run: Path, tmp_path: Path) -> None:
    assert len(export(run, tmp_path / "out", "--label", "5", "5")) == 1
