"""Import and export of formats beside PLY: read in Blender where NumPy is enough, else converted by the engine."""

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from bgs_engine.formats import read
from bgs_engine.formats.labels_file import labels_file_of
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.read import open_splat
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import point_clouds
from blender_bgs.engine import converting, segmenting
from blender_bgs.engine.runner import runner
from blender_bgs.files import by_engine, export_format, source
from blender_bgs.files.operators import BGS_OT_export
from blender_bgs.headless.command_line import main as run_headless
from blender_bgs.logic.attributes import CODE
from tests.helpers.made_format import LACKING, MADE, write_made


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "FORMATS", (*read.FORMATS, MADE, LACKING))


@pytest.fixture
def with_engine(engine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BGS_ENGINE_PYTHON", str(engine))
    monkeypatch.setattr(segmenting, "_engine_state", (-segmenting.CHECK_SECONDS, ""))
    monkeypatch.setattr(converting, "log_path", lambda name: tmp_path / f"{name}.log")


@pytest.fixture
def labelled(coded):
    """The made splat with codes; its largest label has a name and a colour of a person."""
    obj = coded[0]
    row = obj.bgs.labels[0]
    row.name, row.color = "Chair", (0.1, 0.2, 0.3)
    return obj


def active():
    return bpy.context.view_layer.objects.active


def named(obj) -> dict[tuple[int, int], str]:
    return {(row.level, row.label): row.name for row in obj.bgs.labels}


def check_same(old, new) -> None:
    """The rows of `new` are those of `old` backwards, with the same labels."""
    for name in (CODE, "position"):
        before, after = (point_clouds.need_column(obj.data, name) for obj in (old, new))
        np.testing.assert_array_equal(after[::-1], before)
    assert named(old) == named(new) and "Chair" in named(new).values()
    row = next(row for row in new.bgs.labels if row.name == "Chair")
    np.testing.assert_allclose(row.color[:], (0.1, 0.2, 0.3), atol=1e-6)
    assert old.bgs.level_bits == new.bgs.level_bits


def test_another_format_goes_out_and_comes_back_with_its_labels(labelled, tmp_path: Path, capfd) -> None:
    file = tmp_path / "scene.made"
    assert bpy.ops.bgs.export_splat(filepath=str(file), what="SOURCE") == {"FINISHED"}
    assert "As Made. It keeps no names of weekdays" in capfd.readouterr().out
    assert labels_file_of(file).exists()
    assert bpy.ops.bgs.import_splat(filepath=str(file)) == {"FINISHED"}
    new = active()
    assert new.name.startswith("scene") and Path(new.bgs.source_path) == file
    check_same(labelled, new)


def test_segment_reads_the_source_of_another_format(labelled, tmp_path: Path) -> None:
    file = tmp_path / "scene.made"
    bpy.ops.bgs.export_splat(filepath=str(file), what="SOURCE")
    bpy.ops.bgs.import_splat(filepath=str(file))
    new = active()
    assert source.why_not_source(new) == ""
    given = segmenting.input_for_engine(new, tmp_path / "run")
    assert given.path == file and not given.in_order
    new.bgs.source_state = ""  # a copy of the file on another disk: the rows are compared
    assert source.why_not_source(new) == "" and new.bgs.source_state
    splat = RawSplat.of_ply(open_splat(file).ply)
    write_made(file, splat.take(np.roll(np.arange(len(splat)), 1)))
    assert "has changed since the import" in source.why_not_source(new)


def test_a_format_that_blender_lacks_goes_through_the_engine(labelled, with_engine, tmp_path: Path) -> None:
    file = tmp_path / "scene.lacking"
    assert bpy.ops.bgs.export_splat(filepath=str(file), what="SOURCE") == {"FINISHED"}
    assert labels_file_of(file).exists() and file.read_bytes()[:4] == b"LACK"
    assert bpy.ops.bgs.import_splat(filepath=str(file)) == {"FINISHED"}
    new = active()
    assert new.name.startswith("scene") and Path(new.bgs.source_path) == file
    check_same(labelled, new)
    assert source.why_not_source(new) == ""  # the engine can read it, and it has not changed
    file.write_bytes(file.read_bytes() + b"more")
    assert "has changed since the import" in source.why_not_source(new)


def test_without_an_engine_a_sentence_says_what_to_do(labelled, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("BGS_ENGINE_PYTHON", "")
    file = tmp_path / "scene.lacking"
    with pytest.raises(RuntimeError, match=r"scene\.lacking needs the engine\. No engine is installed\. Press Install"):
        bpy.ops.bgs.export_splat(filepath=str(file), what="WHOLE")
    assert not file.exists()
    file.write_bytes(b"LACK")
    with pytest.raises(RuntimeError, match=r"scene\.lacking needs the engine\. No engine is installed\. Press Install"):
        bpy.ops.bgs.import_splat(filepath=str(file))
    assert active() == labelled and len(bpy.data.pointclouds) == 1


def test_a_failure_of_the_engine_leaves_all_as_it_was(labelled, with_engine, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("BGS_FAKE_ENGINE", "bad")
    removed = []
    original = by_engine.temporary_file

    def watched(name):
        path, remove = original(name)
        removed.append(path)
        return path, remove

    monkeypatch.setattr(by_engine, "temporary_file", watched)
    file = tmp_path / "scene.lacking"
    file.write_bytes(b"LACK")
    for operator in (bpy.ops.bgs.import_splat, bpy.ops.bgs.export_splat):
        with pytest.raises(RuntimeError, match="The splat is empty"):
            operator(filepath=str(file))
    assert file.read_bytes() == b"LACK" and len(bpy.data.pointclouds) == 1 and runner.current is None
    assert len(removed) == 2 and not any(path.parent.exists() for path in removed)


def test_packages_that_blender_has_are_not_used() -> None:
    """Blender brings a USD of its own, which may be older than what a format needs."""
    present = replace(LACKING, needs=("json",))
    assert read.missing_packages(present) == ("json",)


def test_headless_commands_take_every_format(labelled, with_engine, tmp_path: Path) -> None:
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "in.made"), what="SOURCE")
    expected = named(labelled)
    for name in ("out.made", "out.lacking", "out.ply"):
        assert run_headless(["export", str(tmp_path / "in.made"), "-o", str(tmp_path / name)]) == 0
    assert run_headless(["import", str(tmp_path / "out.lacking"), "-o", str(tmp_path / "out.blend")]) == 0
    assert named(next(obj for obj in bpy.data.objects if point_clouds.is_splat(obj))) == expected
    assert read_ply(tmp_path / "out.ply").count == open_splat(tmp_path / "out.made").ply.count


def test_the_ending_follows_the_format_and_the_format_the_ending() -> None:
    ply, other = export_format.PLY, export_format.WRITTEN[-1]
    assert export_format.with_ending("/a/b.ply", ply) == "/a/b.ply"
    assert export_format.with_ending("/a/b.ply", other) == f"/a/b{other.suffixes[0]}"
    assert export_format.with_ending(f"/a/b{other.suffixes[0]}", ply) == "/a/b.ply"
    assert export_format.with_ending("/a/b.v2", ply) == "/a/b.v2.ply"  # no ending of a splat: it belongs to the name
    assert export_format.format_at("/a/b.PLY") is ply and export_format.format_at("b.txt") is None
    assert len({name for name, _, _ in export_format.ITEMS}) == len(export_format.ITEMS)
    assert BGS_OT_export.filename_ext == ".ply"


def test_a_damaged_labels_file_is_a_warning(labelled, tmp_path: Path, capfd) -> None:
    file = tmp_path / "scene.made"
    bpy.ops.bgs.export_splat(filepath=str(file), what="SOURCE")
    labels_file_of(file).write_bytes(b"PK\3\4 nothing")
    bpy.ops.bgs.import_splat(filepath=str(file))
    assert not active().bgs.level_bits and "scene.made.labels is damaged" in capfd.readouterr().out
