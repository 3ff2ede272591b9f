"""Run folders and source files that are damaged, replaced, moved, locked, or half-saved by a killed Blender."""

import io
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.core.files import read_json, write_json
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import codes_in, open_run
from blender_bgs.cloud import code_tables, label_selection, point_clouds
from blender_bgs.engine import segmenting
from blender_bgs.engine.segment_config import SegmentConfig
from blender_bgs.files import importer, save_to_run, source
from blender_bgs.logic import attributes as at
from blender_bgs.parts import label_objects
from tests.extension.test_second_run import reassign_first_ball, write_answer
from tests.helpers import made_splat
from tests.helpers.killed import ends_before

ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "import sys; from pathlib import Path; from bgs_engine.io.job_lock import only_writer\n"
    "with only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def run(tmp_path) -> Path:
    """A run folder of the made splat."""
    rows, codes = made_splat.made_splat(per_object=100, rest=9)
    return write_answer(made_splat.write(tmp_path / "made.ply", rows), tmp_path / "made_bgs", codes)


def import_(path: Path):
    """The imported object."""
    bpy.ops.bgs.import_splat(filepath=str(path))
    return bpy.context.view_layer.objects.active


def everything(folder: Path) -> dict[str, bytes]:
    """The contents of all files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def segment(obj, engine: Path, run: Path, monkeypatch) -> segmenting.EngineInput:
    """The whole way of Segment, with a process; returns what the engine got."""
    monkeypatch.setenv("BGS_FAKE_ENGINE_STEP", "0.001")
    job, given = segmenting.start_segment(obj, run, SegmentConfig(), run.with_name("log"), engine)
    snapshot = segmenting.snapshot_of(obj, given.in_order, given.mark)
    state = job.wait(60)
    assert state.succeeded, state
    segmenting.apply_answer(obj, segmenting.read_answer(run, snapshot))
    return given


def engine_codes(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The codes that the stand-in for the engine gives to Gaussians at these places."""
    means = np.stack([x, y, z], 1)
    sign = (means > np.median(means, axis=0)).astype(np.uint32)
    parts = [sign[:, 0] * 1000 + sign[:, 2] * 7 + 1, sign[:, 1] * 500 + 1, (means[:, 0] % 1 > 0.5) * 1]
    return BitLayout().pack(parts)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot copy a process")
def test_a_blender_that_is_killed_while_it_saves(run, tmp_path) -> None:
    obj = import_(run)
    before = open_run(run).codes
    new = reassign_first_ball(obj)
    kept, died = shutil.copytree(run, tmp_path / "kept"), True
    were_new: list[bool] = []
    while died:
        died = ends_before(len(were_new), lambda: save_to_run.save(obj))
        opened = open_run(run)
        assert np.array_equal(opened.codes, before) or np.array_equal(opened.codes, new)
        assert np.array_equal(codes_in(opened.ply), opened.codes)
        has_chair = "Chair" in {row.name for row in opened.labels().levels[0]}
        assert has_chair == np.array_equal(opened.codes, new)
        were_new.append(has_chair)
        shutil.rmtree(run)
        shutil.copytree(kept, run)
    assert were_new == sorted(were_new) and set(were_new) == {False, True}
    assert bpy.ops.bgs.save_run() == {"FINISHED"} and np.array_equal(open_run(run).codes, new)
    assert not list(run.glob(".*")) and not list(run.parent.glob(".made_bgs*"))


def test_a_run_that_the_engine_writes_is_not_written_to(run, tmp_path) -> None:
    obj = import_(run)
    reassign_first_ball(obj)
    before = everything(run)
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert owner.stdout is not None and owner.stdout.readline() == "held\n"
    with pytest.raises(RuntimeError, match=f"Another job writes to .*process {owner.pid}"):
        bpy.ops.bgs.save_run()
    obj.bgs.labels[1].name = "Sofa"  # nor is the name written behind its back
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))  # the .blend is saved all the same
    assert everything(run) == before and obj.bgs.run_changed and (tmp_path / "a.blend").is_file()
    owner.kill()
    owner.communicate()
    assert bpy.ops.bgs.save_run() == {"FINISHED"} and not obj.bgs.run_changed
    assert {"Sofa", "Chair"} <= {row.name for row in open_run(run).labels().levels[0]}


def bad_confidence() -> dict[str, bytes]:
    """Contents of confidence.npy that are none."""
    good = np.full(400, 0.5, np.float32)
    nan = good.copy()
    nan[7] = np.nan
    arrays = {
        "doubles": good.astype(np.float64), "integers": good.astype(np.int32), "short": good[:-1],
        "two columns": good.reshape(200, 2), "scalar": np.float32(0.5), "NaN": nan, "2": good * 4,
        "texts": good.astype("U3"),
    }  # fmt: skip
    out = {name: _npy(array) for name, array in arrays.items()}
    out["cut"], out["empty"], out["text"] = _npy(good)[:900], b"", b"hello"
    out["pickle"] = pickle.dumps(good)
    out["object"] = _npy(np.array([{}] * 400, object))
    out["header"] = b"\x93NUMPY\x01\x00" + b"\xff\xff" + b"{" * 65535
    return out


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", bad_confidence())
def test_bad_confidence_is_said_and_the_labels_come(run, kind: str) -> None:
    (run / "confidence.npy").write_bytes(bad_confidence()[kind])
    said: list[str] = []
    importer.import_splat(bpy.context.scene, run, importer.ImportConfig(), said.append)
    assert len(said) == 1 and "confidence.npy" in said[0]
    obj = import_(run)
    assert obj.data.attributes.get(at.CONFIDENCE) is None and len(obj.bgs.labels)
    answer = segmenting.read_answer(run, segmenting.snapshot_of(obj, in_order=False))
    assert answer.confidence is None and "confidence.npy" in answer.notes[0], answer.notes
    reassign_first_ball(obj)
    assert bpy.ops.bgs.save_run() == {"FINISHED"}


@pytest.mark.parametrize("text", ["", "[", '{"format": 1, "levels": 7}', "[" * 100_000, '{"format": "new"}'])
def test_damaged_names_are_said_and_made_anew(run, text: str) -> None:
    (run / "labels.json").write_text(text)
    obj = import_(run)
    assert obj.bgs.labels[0].name.startswith("L1_")
    answer = segmenting.read_answer(run, segmenting.snapshot_of(obj, in_order=False))
    assert any("automatic names" in note for note in answer.notes)
    obj.bgs.labels[0].name = "Sofa"
    assert bpy.ops.bgs.save_run() == {"FINISHED"}
    assert "Sofa" in {row.name for row in open_run(run).labels().levels[0]}


def test_names_with_half_characters_come_in(run) -> None:
    table = read_json(run / "labels.json")
    table["levels"][0][0]["name"] = "Stuhl \ud800 \0 x"
    table["levels"][0][1]["name"] = "n" * 100_000
    write_json(run / "labels.json", table)
    obj = import_(run)
    assert "Stuhl ?  x" in [row.name for row in obj.bgs.labels]
    assert bpy.ops.bgs.make_collections(only="ALL") == {"FINISHED"}


@pytest.mark.parametrize("run_id", ["\ud800", ["a"], {"a": 1}, 7, None, "x" * 100_000, "a\0b"])
def test_strange_identities_of_runs(run, run_id) -> None:
    write_json(run / "run.json", {**read_json(run / "run.json"), "id": run_id})
    obj = import_(run)
    reassign_first_ball(obj)
    assert bpy.ops.bgs.save_run() == {"FINISHED"}


@pytest.mark.parametrize("name", ["run.json", "codes.npy", "opacity.npy"])
@pytest.mark.parametrize("content", [b"", b"hello", b"[" * 100_000])
def test_a_run_that_cannot_be_read_imports_nothing(run, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    with pytest.raises(RuntimeError, match=name.replace(".", r"\.")) as caught:
        bpy.ops.bgs.import_splat(filepath=str(run / "scene.ply"))
    assert "Traceback" not in str(caught.value) and not bpy.data.objects and not bpy.data.pointclouds


def sort_rows(path: Path, order: np.ndarray | None = None) -> None:
    """Write the file's rows in another order, as another program may."""
    rows = read_ply(path).take(np.arange(read_ply(path).count))
    data = path.read_bytes()
    start = data.index(b"end_header\n") + 11
    path.write_bytes(data[:start] + rows[np.argsort(rows["x"]) if order is None else order].tobytes())


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("change", ["none", "sorted", "two swapped", "replaced", "longer", "gone", "no splat"])
def test_labels_land_on_their_gaussians_whatever_became_of_the_source(
    tmp_path, engine, monkeypatch, change: str, marked: bool
) -> None:
    rows, _ = made_splat.made_splat(per_object=50, rest=0)
    path = made_splat.write(tmp_path / "made.ply", rows)
    obj = import_(path)
    if not marked:
        obj.bgs.source_mark = ""  # as in a .blend of an older version
    if change == "sorted":
        sort_rows(path)
    elif change == "two swapped":
        sort_rows(path, np.r_[1, 0, np.arange(2, 200)])
    elif change in ("replaced", "longer"):
        made_splat.write(path, made_splat.made_splat(per_object=50 if change == "replaced" else 60, rest=0, seed=5)[0])
    elif change == "gone":
        path.unlink()
    elif change == "no splat":
        path.write_text("ply\n")
    given = segment(obj, engine, tmp_path / "run", monkeypatch)
    assert given.in_order == (change != "none")
    if change != "none":
        assert "made.ply" in segmenting.on_what(given)
    # Expected from the points in Blender, not from any file.
    assert np.array_equal(code_tables.codes_of(obj), engine_codes(*(rows[axis] for axis in "xyz")))


def test_a_source_that_changes_while_the_engine_starts_is_noticed(tmp_path, engine, monkeypatch) -> None:
    rows, _ = made_splat.made_splat(per_object=50, rest=0)
    path = made_splat.write(tmp_path / "made.ply", rows)
    obj = import_(path)
    real = segmenting.command

    def command(*arguments):
        sort_rows(path)  # after the check, before the engine reads it
        return real(*arguments)

    monkeypatch.setattr(segmenting, "command", command)
    with pytest.raises(segmenting.InputError, match="changed while the engine started"):
        segment(obj, engine, tmp_path / "run", monkeypatch)
    assert not obj.bgs.level_bits


def test_labels_of_an_export_are_saved_to_its_rows(tmp_path, engine, monkeypatch) -> None:
    """After points were deleted the engine gets an export, so the run's rows are no rows of the source."""
    rows, codes = made_splat.made_splat(per_object=50, rest=0)
    obj = import_(made_splat.write(tmp_path / "made.ply", made_splat.with_codes(rows, codes)))
    bpy.ops.bgs.make_collections(only="ALL")
    label_objects.remove_part(code_tables.parts_of(obj)[0])
    bpy.ops.bgs.merge_back()
    (tmp_path / "made.ply").unlink()
    given = segment(obj, engine, tmp_path / "run", monkeypatch)
    assert given.in_order and obj.bgs.run_in_order
    position = point_clouds.need_column(obj.data, at.POSITION)
    label_selection.select(obj, np.arange(150) < 20)
    bpy.ops.bgs.reassign(target="NEW", name="Chair")
    assert bpy.ops.bgs.save_run() == {"FINISHED"}
    there = read_ply(tmp_path / "run" / "scene.ply")
    assert np.array_equal(there.columns(("x", "y", "z")), position)
    assert np.array_equal(codes_in(there), code_tables.codes_of(obj))
    # One more point goes: the ranks have shifted, so the folder does not fit any more.
    bpy.ops.bgs.make_collections(only="ALL")
    label_objects.remove_part(code_tables.parts_of(obj)[0])
    bpy.ops.bgs.merge_back()
    before = everything(tmp_path / "run")
    label_selection.select(obj, np.arange(len(obj.data.points)) < 5)
    bpy.ops.bgs.reassign(target="NEW", name="Lamp")
    with pytest.raises(RuntimeError, match="does not fit made any more"):
        bpy.ops.bgs.save_run()
    assert everything(tmp_path / "run") == before


@pytest.mark.parametrize("marked", [True, False])
def test_a_run_whose_scene_was_sorted_gets_no_labels(run, marked: bool) -> None:
    obj = import_(run)
    sort_rows(run / "scene.ply")
    if not marked:  # a run of an older version
        info = read_json(run / "run.json")
        del info["scene"]
        write_json(run / "run.json", info)
    before = everything(run)
    reassign_first_ball(obj)
    with pytest.raises(RuntimeError, match=r"is not the one that the run labelled|not where made_bgs has them"):
        bpy.ops.bgs.save_run()
    assert everything(run) == before and obj.bgs.run_changed
    if marked:
        with pytest.raises(RuntimeError, match="is not the one that the run labelled"):
            bpy.ops.bgs.import_splat(filepath=str(run / "scene.ply"))


def test_edits_merged_into_a_splat_do_not_change_its_source(coded, tmp_path) -> None:
    """The engine still gets the file: the cloud's rows are the file's, whatever was moved in Blender."""
    obj, path, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    code_tables.parts_of(obj)[0].location.x += 2
    bpy.context.view_layer.update()
    bpy.ops.bgs.merge_back()
    assert source.why_not_source(obj) == ""
    sort_rows(path)
    assert "changed since the import" in source.why_not_source(obj)


def test_a_run_folder_that_was_moved_is_named_and_comes_back(run, tmp_path, capsys) -> None:
    obj = import_(run)
    new = reassign_first_ball(obj)
    run.replace(tmp_path / "elsewhere")
    with pytest.raises(RuntimeError, match=r"run folder of made_bgs is not there any more: .*made_bgs"):
        bpy.ops.bgs.save_run()
    obj.bgs.labels[1].name = "Sofa"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    assert "made_bgs was not updated" in capsys.readouterr().out
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))  # the .blend has lost nothing, and knows what is due
    obj = bpy.data.objects["made_bgs"]
    assert obj.bgs.run_changed and np.array_equal(code_tables.codes_of(obj), new)
    (tmp_path / "elsewhere").replace(run)
    bpy.context.view_layer.objects.active = obj
    assert bpy.ops.bgs.save_run() == {"FINISHED"}
    opened = open_run(run)
    assert np.array_equal(opened.codes, new)
    assert {"Sofa", "Chair"} <= {row.name for row in opened.labels().levels[0]}
    bpy.ops.wm.read_homefile(use_empty=True)


@pytest.mark.parametrize("gone", ["run.json", "codes.npy"])
def test_a_run_folder_that_lost_a_file_is_named(run, gone: str) -> None:
    obj = import_(run)
    reassign_first_ball(obj)
    (run / gone).unlink()
    with pytest.raises(RuntimeError, match=r"is no run folder any more: it lacks run\.json or codes\.npy"):
        bpy.ops.bgs.save_run()
    assert obj.bgs.run_changed


@pytest.mark.parametrize("path", ["/" + "n" * 5000, "//" + "x/" * 3000, "\udcff", "a\nb"])
def test_paths_that_cannot_be_are_named(run, path: str, tmp_path) -> None:
    obj = import_(run)
    obj.bgs.run_folder = obj.bgs.source_path = path
    with pytest.raises(RuntimeError, match="not there any more"):
        bpy.ops.bgs.save_run()
    assert "not where it was imported from" in source.why_not_source(obj)
    obj.bgs.labels[0].name = "Sofa"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    segmenting.default_run_folder(obj)
    with pytest.raises(RuntimeError, match="cannot be"):
        bpy.ops.bgs.import_splat(filepath="/" + "n" * 5000 + ".ply")


def test_a_splat_linked_from_another_file_saves_and_exports(run, tmp_path) -> None:
    """Its paths are relative to the file that it comes from."""
    obj = import_(run)
    name = obj.name
    other = tmp_path / "far" / "away"
    other.mkdir(parents=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "lib.blend"))
    obj.bgs.run_folder, obj.bgs.source_path = "//made_bgs", "//made_bgs/scene.ply"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "lib.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "lib.blend"), link=True) as (_, wanted):
        wanted.objects = [name]
    obj = wanted.objects[0]
    bpy.context.scene.collection.objects.link(obj)
    bpy.ops.wm.save_as_mainfile(filepath=str(other / "user.blend"))
    bpy.context.view_layer.objects.active = obj
    assert obj.bgs.path_of(obj.bgs.run_folder).resolve() == run.resolve() and source.why_not_source(obj) == ""
    assert bpy.ops.bgs.save_run() == {"FINISHED"}
    assert bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="WHOLE") == {"FINISHED"}
    assert made_splat.body(tmp_path / "out.ply") == made_splat.body(run / "scene.ply")
    bpy.ops.wm.read_homefile(use_empty=True)


def test_undo_of_a_saved_change_goes_to_the_folder_too(run) -> None:
    obj = import_(run)
    name, before = obj.name, code_tables.codes_of(obj)
    bpy.ops.ed.undo_push(message="before")
    reassign_first_ball(obj)
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.bgs.save_run()
    bpy.ops.ed.undo()
    bpy.context.view_layer.objects.active = obj = bpy.data.objects[name]
    assert bpy.ops.bgs.save_run() == {"FINISHED"}
    assert np.array_equal(open_run(run).codes, before) and np.array_equal(code_tables.codes_of(obj), before)


def test_a_cloud_without_its_own_run_folder(coded) -> None:
    obj, _, _ = coded
    with pytest.raises(UsageError, match="has no run folder"):
        save_to_run.save(obj)


def test_an_export_does_not_replace_the_splat_of_a_run(run, tmp_path) -> None:
    obj = import_(run)
    before = everything(run)
    obj.location.x += 1
    with pytest.raises(RuntimeError, match="is the splat of a run"):
        bpy.ops.bgs.export_splat(filepath=str(run / "scene.ply"), what="WHOLE")
    assert everything(run) == before
    for path in ("", str(tmp_path), str(tmp_path / ("n" * 300)), "/proc/a.ply"):
        with pytest.raises(RuntimeError) as caught:
            bpy.ops.bgs.export_splat(filepath=path, what="WHOLE")
        assert "Traceback" not in str(caught.value), path
