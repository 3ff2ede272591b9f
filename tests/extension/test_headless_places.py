"""The commands without a window: all splats of a file, and every bad, missing or overlapping input and output.

They run in this process, as `blender --command bgs` calls them. `test_headless.py` starts processes of their own.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import pytest

from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, point_clouds
from blender_bgs.headless import command_line
from blender_bgs.parts import label_objects
from tests.helpers import made_splat

ROOT = Path(__file__).resolve().parents[2]
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(capsys):
    """Runs a command; returns its exit code and what it printed. A traceback fails the test."""

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = command_line.main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err, shown.err
        return code, shown.out + shown.err

    yield run
    bpy.ops.wm.read_homefile(use_empty=True)


@pytest.fixture
def splat(tmp_path) -> Path:
    """A small splat without codes."""
    rows, _ = made_splat.made_splat(30, 0)
    return made_splat.write(tmp_path / "small.ply", rows)


@pytest.fixture
def two(tmp_path) -> tuple[Path, dict[str, np.ndarray]]:
    """A .blend with two splats: `chair` of degree 1 with codes, `lamp` of degree 3 without; (.blend, rows by name)."""
    rows = {}
    for name, per_object, rest in (("chair", 300, 9), ("lamp", 200, 45)):
        table, codes = made_splat.made_splat(per_object, rest)
        rows[name] = made_splat.with_codes(table, codes) if name == "chair" else table
        (tmp_path / "src").mkdir(exist_ok=True)
        bpy.ops.bgs.import_splat(filepath=str(made_splat.write(tmp_path / "src" / f"{name}.ply", rows[name])))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "two.blend"))
    return tmp_path / "two.blend", rows


def all_of(path: Path) -> np.ndarray:
    """All rows of a PLY."""
    ply = read_ply(path)
    return ply.take(np.arange(ply.count))


def test_export_writes_all_splats(call: Call, two, tmp_path: Path) -> None:
    blend, rows = two
    code, text = call("export", blend, "-o", tmp_path / "all.ply")
    assert code == 0 and "2,000 Gaussians" in text and "without codes" not in text
    joined = all_of(tmp_path / "all.ply")
    assert np.array_equal(joined["x"], np.concatenate([rows["chair"]["x"], rows["lamp"]["x"]]))
    assert (
        np.array_equal(joined["f_rest_44"][1200:], rows["lamp"]["f_rest_44"]) and not joined["f_rest_44"][:1200].any()
    )
    code, _ = call("export", blend, "-o", tmp_path / "each")
    assert code == 0 and sorted(p.name for p in (tmp_path / "each").iterdir()) == ["chair.ply", "lamp.ply"]
    for name in rows:
        assert made_splat.body(tmp_path / "each" / f"{name}.ply") == rows[name].tobytes()


def test_export_of_chosen_splats(call: Call, two, tmp_path: Path) -> None:
    blend, rows = two
    assert call("export", blend, "-o", tmp_path / "one.ply", "--splat", "lamp")[0] == 0
    assert made_splat.body(tmp_path / "one.ply") == rows["lamp"].tobytes()
    code, text = call("export", blend, "-o", tmp_path / "no.ply", "--splat", "Lamp")
    assert code == 2 and "has no splat named 'Lamp'" in text and "chair, lamp" in text
    assert not (tmp_path / "no.ply").exists()


def test_names_of_splats_become_safe_and_different_files(call: Call, two, tmp_path: Path) -> None:
    blend, _ = two
    bpy.data.objects["chair"].name = "a/b"
    bpy.data.objects["lamp"].name = "A:B"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    assert call("export", blend, "-o", tmp_path / "each")[0] == 0
    assert sorted(p.name for p in (tmp_path / "each").iterdir()) == ["A_B.ply", "a_b (2).ply"]


def test_export_counts_moved_and_deleted_objects(call: Call, two, tmp_path: Path) -> None:
    blend, rows = two
    whole = bpy.data.objects["chair"]
    label_objects.make_tree(bpy.context.scene, whole, 1)
    moved, deleted = code_tables.parts_of(whole)[:2]
    numbers = [point_clouds.need_column(part.data, "bgs_row") for part in (moved, deleted)]
    gone_name, moved_name = deleted.name, moved.name
    moved.location.z += 3
    label_objects.remove_part(deleted)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    assert call("export", blend, "-o", tmp_path / "seen.ply", "--splat", "chair")[0] == 0
    kept = np.setdiff1d(np.arange(1200), numbers[1])
    seen = all_of(tmp_path / "seen.ply")
    shift = np.where(np.isin(kept, numbers[0]), -3, 0)  # up in Blender is -y of the file
    assert np.allclose(seen["y"] - rows["chair"]["y"][kept], shift, atol=1e-5)
    assert call("export", blend, "-o", tmp_path / "was.ply", "--splat", "chair", "--as-imported")[0] == 0
    assert made_splat.body(tmp_path / "was.ply") == rows["chair"].tobytes()
    code, text = call("export", blend, "-o", tmp_path / "labels", "--level", 1)
    assert code == 0 and "3 files" in text and gone_name in text and "lamp" in text
    assert sorted(p.stem for p in (tmp_path / "labels").iterdir()) == sorted(
        {"L1_1", "L1_2", "L1_3", "L1_4"} - {gone_name}
    )
    one = all_of(tmp_path / "labels" / f"{moved_name}.ply")
    assert np.allclose(one["y"] - rows["chair"]["y"][numbers[0]], -3, atol=1e-5)
    assert call("export", blend, "-o", tmp_path / "old", "--level", 1, "--as-imported")[0] == 0
    assert len(list((tmp_path / "old").iterdir())) == 4
    gone = next(r.label for r in bpy.data.objects["chair"].bgs.labels if r.level == 1 and r.name == gone_name)
    code, text = call("export", blend, "-o", tmp_path / "none", "--level", 1, "--label", gone)
    assert code == 2 and f"The objects of {gone_name} were deleted" in text


def test_labels_of_several_splats_get_a_folder_each(call: Call, two, tmp_path: Path) -> None:
    blend, _ = two
    rows, codes = made_splat.made_splat(20, 0)
    path = made_splat.write(tmp_path / "table.ply", made_splat.with_codes(rows, codes))
    bpy.ops.bgs.import_splat(filepath=str(path))
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    code, text = call("export", blend, "-o", tmp_path / "out", "--level", 1)
    assert code == 0 and "8 files" in text
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["chair", "table"]
    code, text = call("export", blend, "-o", tmp_path / "out", "--level", 1, "--label", 17)
    assert code == 2 and "--splat: chair, table" in text
    assert call("export", blend, "-o", tmp_path / "x", "--level", 1, "--label", 17, "--splat", "table")[0] == 0
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["L1_1.ply"]


def test_collections_of_all_splats(call: Call, two, tmp_path: Path) -> None:
    blend, _ = two
    rows, codes = made_splat.made_splat(20, 0)
    path = made_splat.write(tmp_path / "table.ply", made_splat.with_codes(rows, codes))
    bpy.ops.bgs.import_splat(filepath=str(path))
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    code, text = call("collections", blend, "-o", tmp_path / "out.blend")
    assert code == 0 and "left out, because without labels: lamp" in text
    assert all(len(code_tables.parts_of(bpy.data.objects[name])) == 4 for name in ("chair", "table"))
    assert call("collections", blend, "-o", tmp_path / "one.blend", "--splat", "table")[0] == 0
    assert not code_tables.parts_of(bpy.data.objects["chair"])
    code, text = call("collections", blend, "-o", tmp_path / "no.blend", "--splat", "lamp")
    assert code == 2 and "lamp has no labels" in text
    code, text = call("collections", blend, "-o", tmp_path / "no.blend", "--level", 4)
    assert code == 2 and "no level 4" in text and not (tmp_path / "no.blend").exists()


def test_render_shows_all_splats_or_the_chosen_one(call: Call, two, tmp_path: Path) -> None:
    blend, _ = two
    bpy.data.objects["lamp"].location.x += 12
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))

    def halves(*more: object) -> tuple[bool, bool]:
        """Whether something is in the left and in the right half of the picture."""
        path = tmp_path / "picture.png"
        code, text = call("render", blend, "-o", path, "--size", "64x48", "--samples", 4, *more)
        assert code == 0, text
        image = bpy.data.images.load(str(path))
        pixels = np.empty(48 * 64 * 4, np.float32)
        image.pixels.foreach_get(pixels)
        alpha = pixels.reshape(48, 64, 4)[..., 3]
        bpy.data.images.remove(image)
        return bool(alpha[:, :32].max() > 0.5), bool(alpha[:, 32:].max() > 0.5)

    assert halves() == (True, True)
    camera = next(o for o in bpy.data.objects if o.type == "CAMERA")
    camera_place = np.array(camera.matrix_world)
    kept = bpy.data.objects["lamp"].hide_render
    assert not kept and np.isfinite(camera_place).all()
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))  # with the camera that sees both
    assert halves("--splat", "lamp") == (False, True)
    assert halves("--splat", "chair") == (True, False)


@pytest.mark.parametrize("command", ["collections", "export", "render", "frames"])
@pytest.mark.parametrize("content", [None, b"", b"hello", b"BLENDER-v405" + b"\0" * 50, "half"])
def test_a_damaged_blend_is_named(call: Call, two, tmp_path: Path, command: str, content) -> None:
    bad = tmp_path / "bad.blend"
    if content is not None:
        data = two[0].read_bytes()
        bad.write_bytes(data[: len(data) // 2] if content == "half" else content)
    out = tmp_path / "out" / {"collections": "a.blend", "export": "a.ply", "render": "a.png", "frames": "f"}[command]
    code, text = call(command, bad, "-o", out)
    assert code == 3 and "bad.blend" in text, text
    assert not (tmp_path / "out").exists() or not any(p.is_file() for p in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("command", ["segment", "import", "collections", "export", "render"])
@pytest.mark.parametrize("content", [None, b"", b"hello", "folder", "long"])
def test_a_bad_splat_is_named(call: Call, engine: Path, tmp_path: Path, command: str, content) -> None:
    bad = tmp_path / ("n" * 300 + ".ply" if content == "long" else "bad.ply")
    if content == "folder":
        bad.mkdir()
    elif isinstance(content, bytes):
        bad.write_bytes(content)
    out = tmp_path / ("a.ply" if command == "export" else "a.png" if command == "render" else "a.blend")
    code, text = call(command, bad, "-o", out, *(["--engine", engine] if command == "segment" else []))
    assert code == 3 and bad.name in text, text
    assert not out.exists()


def test_nothing_that_is_read_is_written_over(call: Call, two, engine: Path, splat: Path, tmp_path: Path) -> None:
    blend, _ = two
    (tmp_path / "link.ply").symlink_to(splat)
    os.link(splat, tmp_path / "other name.ply")
    blend_before, before = blend.read_bytes(), splat.read_bytes()
    source = tmp_path / "src" / "lamp.ply"
    source_before = source.read_bytes()
    for arguments in (
        ("import", splat, "-o", splat),
        ("import", splat, "-o", tmp_path / "link.ply"),
        ("segment", splat, "-o", splat, "--engine", engine),
        ("collections", blend, "-o", blend),
        ("export", splat, "-o", splat),
        ("export", splat, "-o", tmp_path / "link.ply"),
        ("export", splat, "-o", tmp_path / "other name.ply"),
        ("export", splat, "-o", tmp_path),  # the file in the folder would be the splat itself
        ("export", blend, "-o", source),
        ("export", blend, "-o", source.parent),
        ("render", splat, "-o", splat),
    ):
        code, text = call(*arguments)
        assert code == 2, (arguments, text)
        assert splat.read_bytes() == before and blend.read_bytes() == blend_before
        assert source.read_bytes() == source_before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "link.ply", "other name.ply", "small.ply", "src", "two.blend"
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["import", "segment", "collections", "export", "render"])
def test_outputs_that_cannot_be(call: Call, engine: Path, tmp_path: Path, command: str) -> None:
    rows, codes = made_splat.made_splat(30, 0)
    scene = made_splat.write(tmp_path / "coded.ply", made_splat.with_codes(rows, codes))
    suffix = {"export": ".ply", "render": ".png"}.get(command, ".blend")
    more = ["--engine", engine] if command == "segment" else []
    (tmp_path / "file").write_text("mine")
    (tmp_path / f"folder{suffix}").mkdir()
    other_ending = "is a file" if command == "export" else "does not end in"
    for place, code, words in (
        (tmp_path / "file" / f"a{suffix}", 3, "file cannot be written"),
        (Path("/proc") / f"a{suffix}", 3, "/proc cannot be written"),
        (tmp_path / ("n" * 300 + suffix), 3, "File name too long"),
        (tmp_path / f"folder{suffix}", 2, "is a folder"),
        (tmp_path / "file", 2, other_ending),
    ):
        got, text = call(command, scene, "-o", place, *more)
        assert got == code and words in text, (place, text)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["coded.ply", "file", f"folder{suffix}"]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--size", "0x0", "cannot have"), ("--size", "-5x5", "cannot have"), ("--size", "99999x10", "cannot have"),
        ("--size", "axb", "is not a size"), ("--samples", "0", "no picture"), ("--level", "9", "no level 9"),
    ],
)  # fmt: skip
def test_pictures_that_cannot_be(call: Call, tmp_path: Path, option: str, value: str, words: str) -> None:
    rows, codes = made_splat.made_splat(30, 0)
    scene = made_splat.write(tmp_path / "coded.ply", made_splat.with_codes(rows, codes))
    code, text = call("render", scene, "-o", tmp_path / "a.png", f"{option}={value}")
    assert code == 2 and words in text and not (tmp_path / "a.png").exists()


def test_a_picture_that_fails_leaves_the_earlier_one(call: Call, splat: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "a.png").write_bytes(b"earlier")
    monkeypatch.setattr("blender_bgs.headless.rendering.scene", lambda: _Unwritable(bpy.context.scene))
    code, text = call("render", splat, "-o", tmp_path / "a.png", "--size", "16x16", "--samples", 1)
    assert code == 3 and "was not rendered" in text
    assert (tmp_path / "a.png").read_bytes() == b"earlier"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "small.ply"]


class _Unwritable:
    """A scene whose picture cannot be written, as on a full disk: its path leads nowhere."""

    def __init__(self, scene) -> None:
        object.__setattr__(self, "_scene", scene)

    def __getattr__(self, name: str):
        return _Nowhere(self._scene.render) if name == "render" else getattr(self._scene, name)

    def __setattr__(self, name: str, value) -> None:
        setattr(self._scene, name, value)


class _Nowhere:
    def __init__(self, settings) -> None:
        object.__setattr__(self, "_settings", settings)

    def __getattr__(self, name: str):
        return getattr(self._settings, name)

    def __setattr__(self, name: str, value) -> None:
        setattr(self._settings, name, "/proc/nowhere/a.png" if name == "filepath" else value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--frames", "5-1"), "not a range"), (("--frames", "1-2-3"), "not a range"),
        (("--frames", "x"), "not a range"), (("--frames", "1-9999999"), "not a range"),
        (("--passes", "color,beauty"), "no pass 'beauty'"),
        (("--passes", ""), "no pass ''"), (("--level", "7"), "no level 7"),
    ],
)  # fmt: skip
def test_frames_that_cannot_be(call: Call, two, engine: Path, tmp_path: Path, arguments, words: str) -> None:
    code, text = call("frames", two[0], "-o", tmp_path / "f", "--engine", engine, *arguments)
    assert code == 2 and words in text, text


def test_batch_takes_capitals_and_keeps_names_apart(call: Call, splat: Path, engine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("room.ply", "room.PLY", "Other.Ply"):
        shutil.copy(splat, folder / name)
    (folder / "folder.ply").mkdir()
    (folder / "notes.txt").write_text("mine")
    code, text = call("batch", folder, "-o", tmp_path / "out", "--engine", engine)
    assert code == 3 and "3 of 4 scenes done" in text and "Failed: folder.ply." in text, text
    assert sorted(p.name for p in (tmp_path / "out").glob("*.blend")) == [
        "Other.blend", "room (2).blend", "room.blend"
    ]  # fmt: skip
    assert all((tmp_path / "out" / f"{name}_bgs" / "codes.npy").is_file() for name in ("room", "room (2)", "Other"))


@pytest.mark.parametrize("place", ["none", "file", "empty"])
def test_batch_without_splats(call: Call, engine: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    code, text = call("batch", tmp_path / place, "-o", tmp_path / "out", "--engine", engine)
    assert code == 3 and place in text and not (tmp_path / "out").exists()


def test_segment_replaces_no_file_of_the_users(call: Call, splat: Path, engine: Path, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("mine")
    assert call("segment", splat, "-o", tmp_path / "a.blend", "--engine", engine)[0] == 0
    assert (tmp_path / "a.log").read_text() == "mine" and (tmp_path / "a_bgs.log").is_file()
    code, text = call("segment", splat, "-o", tmp_path / "b.blend", "--run", tmp_path / "b.blend", "--engine", engine)
    assert code == 2 and "both the .blend and the run folder" in text
    code, text = call(
        "segment", splat, "-o", tmp_path / "b.blend", "--engine", engine, "--level", 5, "--level-bits", "12,10,10"
    )
    assert code == 2 and "no level 5" in text  # before the engine works for an hour
    # Without level bits the scene decides how many levels there are, so the finest one stands in.
    code, text = call("segment", splat, "-o", tmp_path / "c.blend", "--engine", engine, "--level", 5)
    assert code == 0 and "The scene has 3 levels" in text and "at level 3" in text


def test_segment_says_why_the_engine_does_not_start(call: Call, splat: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("no program")
    code, text = call("segment", splat, "-o", tmp_path / "a.blend", "--engine", tmp_path / "broken")
    assert code == 2 and "cannot be started" in text
    assert not (tmp_path / "a.blend").exists()


def test_names_of_bytes_that_are_no_text(call: Call, splat: Path, tmp_path: Path) -> None:
    """File names of Linux are bytes. Blender's names are text."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd-\xff.ply"))
    try:
        shutil.copy(splat, odd)
    except OSError:
        pytest.skip("this system has no such file names")
    assert call("import", odd, "-o", tmp_path / "odd.blend")[0] == 0
    assert call("export", tmp_path / "odd.blend", "-o", tmp_path / "out")[0] == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["odd-?.ply".replace("?", "_")]


@pytest.mark.parametrize("override", [False, True])
def test_splats_of_another_file(call: Call, two, splat: Path, tmp_path: Path, override: bool) -> None:
    """Linked objects count like others. If their file is gone, they are not left out without a word."""
    blend, rows = two
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.bgs.import_splat(filepath=str(splat))
    with bpy.data.libraries.load(str(blend), link=True) as (_, wanted):
        wanted.objects = ["chair"]
    chair = wanted.objects[0]
    bpy.context.scene.collection.objects.link(chair)
    if override:
        chair.override_create(remap_local_usages=True)
    user = tmp_path / "user.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(user))
    assert call("export", user, "-o", tmp_path / "out")[0] == 0
    assert made_splat.body(tmp_path / "out" / "chair.ply") == rows["chair"].tobytes()
    assert (tmp_path / "out" / "small.ply").is_file()
    assert call("collections", user, "-o", tmp_path / "made.blend", "--splat", "chair")[0] == 0
    blend.rename(tmp_path / "elsewhere.blend")
    code, text = call("export", user, "-o", tmp_path / "all.ply")
    assert code == 3 and "chair" in text and "two.blend" in text and not (tmp_path / "all.ply").exists()
    assert call("export", user, "-o", tmp_path / "all.ply", "--splat", "small")[0] == 0


def test_splats_of_all_scenes_count(call: Call, two, tmp_path: Path) -> None:
    blend, _ = two
    other = bpy.data.scenes.new("other")
    lamp = bpy.data.objects["lamp"]
    bpy.context.scene.collection.objects.unlink(lamp)
    other.collection.objects.link(lamp)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    code, text = call("export", blend, "-o", tmp_path / "all.ply")
    assert code == 0 and "2,000 Gaussians" in text


def test_paths_in_a_blend_do_not_depend_on_where_the_command_ran(
    call: Call, splat: Path, engine: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("segment", splat.name, "-o", "a.blend", "--engine", engine)[0] == 0
    monkeypatch.chdir(tmp_path / "a_bgs")
    assert call("import", ".", "-o", tmp_path / "b.blend")[0] == 0
    monkeypatch.chdir("/")
    for blend in ("a", "b"):
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / f"{blend}.blend"))
        obj = next(o for o in bpy.data.objects if point_clouds.is_splat(o))
        assert Path(obj.bgs.run_folder) == (tmp_path / "a_bgs").resolve() and obj.bgs.source_file.is_file()
        assert obj.name == {"a": "small", "b": "a_bgs"}[blend]
