"""`bgs convert`: from and to every format, with labels, without loss of anything that a format can hold."""

import gzip
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.cli.main import main
from bgs_engine.core.codes import BitLayout
from bgs_engine.formats import read
from bgs_engine.formats.checks import format_checks
from bgs_engine.formats.labels_file import labels_file_of
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.read import open_splat
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import codes_in, finish, partial_folder, write_run
from tests.engine.test_open_splat import labels_of
from tests.engine.test_ply_completed import plain_colors
from tests.helpers import made_files
from tests.helpers.made_format import LACKING, MADE

COUNT = 50


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "FORMATS", (*read.FORMATS, MADE))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    dtype = made_files.splat_dtype(9, [("mood", "<f4"), ("kind", "<i2")])
    path = tmp_path / "source.ply"
    made_files.write_splat(path, made_files.splat_rows(COUNT, dtype), ["comment trained for a test"])
    return path


@pytest.fixture
def run(tmp_path: Path, source: Path) -> Path:
    ply = read_ply(source)
    labels = labels_of(ply)
    folder = tmp_path / "run"
    write_run(partial_folder(folder), ply, labels.codes, np.ones(COUNT, np.float32), labels.table, {})
    finish(folder)
    return folder


def convert(*arguments: object) -> int:
    return main(["convert", *map(str, arguments)])


def test_ply_to_ply_keeps_every_property(tmp_path: Path, source: Path) -> None:
    assert convert(source, tmp_path / "out.ply") == 0
    assert (tmp_path / "out.ply").read_bytes() == source.read_bytes()
    assert not labels_file_of(tmp_path / "out.ply").exists()


def test_a_run_goes_there_and_back(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(run, tmp_path / "scene.made") == 0
    said = capsys.readouterr().out
    assert f"scene.made has {COUNT} Gaussians as Made." in said and "scene.made.labels" in said
    assert "It keeps no names of weekdays." in said and "left out: mood, kind." in said
    assert convert(tmp_path / "scene.made", tmp_path / "back.ply") == 0
    before, after = open_splat(run), open_splat(tmp_path / "back.ply")
    assert before.labels is not None and after.labels is not None
    assert after.labels.table == before.labels.table and after.labels.layout == before.labels.layout
    places = after.ply.columns(("x", "y", "z"))  # MADE turns the rows, and the labels turn with them
    np.testing.assert_array_equal(places[::-1], before.ply.columns(("x", "y", "z")))
    np.testing.assert_array_equal(after.labels.codes[::-1], before.labels.codes)
    np.testing.assert_array_equal(codes_in(after.ply), after.labels.codes)


def test_a_run_lends_its_labels_to_its_own_splat_only(
    tmp_path: Path, source: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(source, tmp_path / "out.made", "--run", run) == 0
    found = open_splat(tmp_path / "out.made")
    assert found.labels is not None and "Chair" in [label.name for label in found.labels.table.levels[0]]
    other = tmp_path / "other.ply"
    made_files.write_splat(other, made_files.splat_rows(COUNT, made_files.splat_dtype(), seed=1))
    assert convert(other, tmp_path / "no.made", "--run", run) == 3
    assert "is the run of another splat" in capsys.readouterr().err
    assert not (tmp_path / "no.made").exists()


def test_codes_without_a_table_take_the_given_bits(tmp_path: Path, run: Path) -> None:
    alone = tmp_path / "alone.ply"
    alone.write_bytes((run / "scene.ply").read_bytes())
    assert convert(alone, tmp_path / "out.made", "--level-bits", "3,2") == 0
    found = open_splat(tmp_path / "out.made")
    assert found.labels is not None and found.labels.layout == BitLayout((3, 2))
    assert convert(alone, tmp_path / "again.made", "--level-bits", "1,1") == 3
    assert not (tmp_path / "again.made").exists()


@pytest.mark.parametrize(
    ("out", "code", "said"),
    [
        ("source.ply", 2, "is the file that is read"),
        ("run/scene.ply", 2, "is the splat of a run"),
        ("a.xyz", 2, "no ending of a splat format"),
        ("run", 2, "is a folder"),
    ],
)
def test_what_must_not_be_written(
    tmp_path: Path, source: Path, run: Path, out: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert convert(source, tmp_path / out) == code
    assert said in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_damaged_source_leaves_an_earlier_file(tmp_path: Path) -> None:
    (tmp_path / "bad.ply").write_bytes(b"ply\nformat")
    (tmp_path / "out.ply").write_bytes(b"mine")
    assert convert(tmp_path / "bad.ply", tmp_path / "out.ply") == 3
    assert (tmp_path / "out.ply").read_bytes() == b"mine"


def test_events_name_the_file(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()  # the end of the input would stop the job
    monkeypatch.setattr("sys.stdin", os.fdopen(reading))
    assert convert(source, tmp_path / "out.made", "--events") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["event"] == "hello" and events[-1]["event"] == "done"
    assert {"event": "artifact", "kind": "splat", "path": str(tmp_path / "out.made")} in events
    os.close(writing)


def test_the_doctor_lists_formats_that_need_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "FORMATS", (MADE, LACKING))
    (line,) = format_checks()
    assert not line.ok and not line.needed
    assert line.detail == ".lacking needs no_such_package_at_all, which is not installed"
    assert line.hint == "pip install 'bgs-engine[formats]'"


def test_views_are_rendered_from_any_format(tmp_path: Path, small_scene: Path) -> None:
    """The dataset names the splat that it was made from, and other commands find it there."""
    from bgs_engine.io.dataset import open_dataset

    assert convert(small_scene / "scene.ply", tmp_path / "scene.made") == 0
    assert main(["views", str(tmp_path / "scene.made"), "-o", str(tmp_path / "views"), "--count", "2"]) == 0
    assert open_dataset(tmp_path / "views").ply == tmp_path / "views" / ".." / "scene.made"


@pytest.mark.parametrize("ending", [".compressed.ply", ".splat", ".glb", ".ply"])
def test_a_file_without_gaussians_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str) -> None:
    head = struct.pack("<IIIBBBB", 0x5053474E, 3, 0, 0, 12, 0, 0)  # SPZ version 3 of 0 Gaussians
    (tmp_path / "empty.spz").write_bytes(gzip.compress(head))
    assert convert(tmp_path / "empty.spz", tmp_path / f"out{ending}") == 3
    assert "empty.spz holds no Gaussians." in capsys.readouterr().err
    assert not (tmp_path / f"out{ending}").exists()


def test_the_number_of_gaussians_is_that_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = made_files.splat_rows(COUNT, made_files.splat_dtype(0))
    rows["x"][:3] = np.nan
    made_files.write_splat(tmp_path / "source.ply", rows)
    assert convert(tmp_path / "source.ply", tmp_path / "out.glb") == 0
    assert f"out.glb has {COUNT - 3} Gaussians as GLB." in capsys.readouterr().out
    assert open_splat(tmp_path / "out.glb").ply.count == COUNT - 3


@pytest.mark.parametrize("ending", [".spz", ".sog", ".splat", ".compressed.ply"])
def test_flat_gaussians_of_a_scene_stay_visible(tmp_path: Path, ending: str) -> None:
    """A glTF stores lengths. The length 0 is a flat Gaussian, whose logarithm is -inf."""
    if ending == ".sog":
        pytest.importorskip("PIL", reason="the package pillow is missing: pip install 'bgs-engine[formats]'")
    rows = made_files.splat_rows(COUNT, made_files.splat_dtype(0))
    rows["scale_2"] = -np.inf
    rows["opacity"] = 2
    made_files.write_splat(tmp_path / "flat.ply", rows)
    assert convert(tmp_path / "flat.ply", tmp_path / "flat.glb") == 0
    assert convert(tmp_path / "flat.glb", tmp_path / f"out{ending}") == 0
    back = RawSplat.of_ply(open_splat(tmp_path / f"out{ending}").ply)
    np.testing.assert_allclose(back.opacities, 2, atol=0.02)  # 8 bits of a share of 0.88
    assert (back.scales[:, 2] <= -9.99).all()  # SPZ holds no less than -10
    assert np.isfinite(back.scales[:, :2]).all()


def test_a_link_to_a_splat_has_its_labels(tmp_path: Path, run: Path) -> None:
    assert convert(run, tmp_path / "scene.splat") == 0
    link = tmp_path / "elsewhere" / "link.splat"
    link.parent.mkdir()
    try:
        link.symlink_to(tmp_path / "scene.splat")
    except OSError:
        pytest.skip("this system allows no links")
    labels = open_splat(link).labels
    assert labels is not None
    np.testing.assert_array_equal(labels.codes, np.load(run / "codes.npy"))


def test_a_splat_in_place_of_a_run_is_a_sentence(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(source), "-o", str(tmp_path / "page")]) == 3
    assert "source.ply is a file, and no run folder." in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_plain_colours_are_not_said_to_be_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_files.write_splat(tmp_path / "plain.ply", plain_colors(count=20))
    assert convert(tmp_path / "plain.ply", tmp_path / "out.spz") == 0
    assert "red" not in capsys.readouterr().out


def test_a_folder_in_the_place_of_the_labels_file_is_named_before_anything_is_written(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.spz.labels").mkdir()
    assert convert(run, tmp_path / "out.spz") == 2
    assert "out.spz.labels is a folder." in capsys.readouterr().err and not (tmp_path / "out.spz").exists()
