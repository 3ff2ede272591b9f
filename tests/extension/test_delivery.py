"""The extension delivers the run that the engine has named, and goes online only with Blender's permission."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest

from bgs_engine.core.errors import InputError
from blender_bgs.engine import segmenting
from blender_bgs.engine.job import Job
from blender_bgs.engine.progress import Progress, advance
from blender_bgs.engine.segment_task import SegmentTask
from blender_bgs.engine.settings import settings_of
from tests.helpers import made_splat

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    rows, _ = made_splat.made_splat()
    return made_splat.write(tmp_path_factory.mktemp("scene") / "made.ply", rows)


def engine_in(folder: Path) -> Path:
    """An executable that answers like a Python with the engine in it, and notes its arguments in `folder/said`."""
    script = folder / "fake-engine"
    note = f"import json, sys; open({str(folder / 'said')!r}, 'w').write(json.dumps(sys.argv[1:]))\n"
    path = f"sys.path.insert(0, {str(ROOT)!r})\n"
    script.write_text(f"#!{sys.executable}\n{note}{path}{(ROOT / 'tests/helpers/fake_engine.py').read_text()}")
    script.chmod(0o755)
    return script


def headless(*arguments: object, mode: str = "good") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "blender_bgs", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "BGS_FAKE_ENGINE_STEP": "0.002", "BGS_FAKE_ENGINE": mode}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)


@pytest.mark.parametrize(
    ("mode", "words", "hint"),
    [
        ("nameless", "did not say which run it has made", "Install Engine"),
        ("elsewhere", "_other, and was asked for", "Import that folder"),
        ("stale", "does not hold the run that the engine has made", "segment again"),
    ],
)
def test_another_run_is_not_delivered(mode: str, words: str, hint: str, scene: Path, tmp_path: Path) -> None:
    done = headless("segment", scene, "-o", tmp_path / "a.blend", "--engine", engine_in(tmp_path), mode=mode)
    assert done.returncode == 3 and words in done.stderr and hint in done.stderr, done.stdout + done.stderr
    assert not (tmp_path / "a.blend").exists() and "Traceback" not in done.stderr


def test_the_run_is_delivered_by_any_way_to_its_folder(scene: Path, tmp_path: Path) -> None:
    """The engine names the folder without links and `..`."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    run = tmp_path / "link" / ".." / "real" / "run"
    out = tmp_path / "a.blend"
    done = headless("segment", scene, "-o", out, "--run", run, "--engine", engine_in(tmp_path))
    assert done.returncode == 0 and out.is_file(), done.stderr


def test_the_task_in_the_window_checks_it_too(scene: Path, tmp_path: Path) -> None:
    bpy.ops.bgs.import_splat(filepath=str(scene))
    obj = bpy.context.view_layer.objects.active
    run = tmp_path / "run"
    command = [
        str(engine_in(tmp_path)),
        "-m",
        "bgs_engine",
        *settings_of(bpy.context.scene).config().arguments(scene, run),
    ]
    state = Job(command, log=tmp_path / "log", env={"BGS_FAKE_ENGINE_STEP": "0.002"}).wait(30)
    assert state.succeeded
    given = segmenting.EngineInput(scene, in_order=False, mark="")
    SegmentTask(obj, run, given).prepare(state)
    other = advance(state, {"event": "done", "run": str(run), "id": "another"})
    for wrong, words in ((Progress(), "did not say"), (other, "does not hold the run")):
        with pytest.raises(InputError, match=words):
            SegmentTask(obj, run, given).prepare(wrong)


@pytest.mark.parametrize("allowed", [True, False])
def test_the_engine_fetches_only_where_blender_may_go_online(
    allowed: bool, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = bpy.context.preferences.system
    monkeypatch.setattr(system, "use_online_access", allowed)
    assert bpy.app.online_access is allowed
    bpy.ops.bgs.import_splat(filepath=str(scene))
    obj = bpy.context.view_layer.objects.active
    monkeypatch.setenv("BGS_ENGINE_PYTHON", str(engine_in(tmp_path)))
    config = settings_of(bpy.context.scene).config()
    segmenting.start_segment(obj, tmp_path / "run", config, tmp_path / "log")[0].wait(30)
    said = json.loads((tmp_path / "said").read_text())
    assert ("--fetch" in said, "--no-fetch" in said) == (allowed, not allowed)


def test_the_command_without_a_window_asks_blender_too(scene: Path, tmp_path: Path) -> None:
    done = headless("segment", scene, "-o", tmp_path / "a.blend", "--engine", engine_in(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "--no-fetch" in json.loads((tmp_path / "said").read_text())  # a fresh Blender may not go online


def test_control_characters_of_a_name_reach_no_terminal(scene: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "\x1b]0;owned\x07\x1b[31m.ply"
    hostile.write_text("ply\n")
    done = headless("import", hostile, "-o", tmp_path / "a.blend")
    assert done.returncode == 3 and r"\x1b]0;owned\x07\x1b[31m.ply" in done.stderr
    (tmp_path / "in").mkdir()
    hostile.rename(tmp_path / "in" / hostile.name)
    batch = headless("batch", tmp_path / "in", "-o", tmp_path / "out", "--engine", engine_in(tmp_path))
    wrong = headless("import", scene, "-o", "x.blend", hostile.name)
    for shown in (done.stderr, done.stdout, batch.stderr, batch.stdout, wrong.stderr):
        assert "\x1b" not in shown and "\x07" not in shown
    assert "owned" in batch.stdout and "owned" in batch.stderr and "owned" in wrong.stderr
