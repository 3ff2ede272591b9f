"""The job owner with real processes."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bgs_engine.core.errors import EnvironmentLacksError
from bgs_engine.io.run_folder import run_id_of
from blender_bgs.engine import job as job_module
from blender_bgs.engine import locate
from blender_bgs.engine.doctor import ask_doctor, in_words
from blender_bgs.engine.job import Job
from blender_bgs.engine.job_log import KEPT_LINES, LARGEST_LOG, JobLog
from blender_bgs.engine.locate import environment_python, find_engine
from blender_bgs.engine.progress import LONGEST_TEXT, MOST, Progress, advance
from blender_bgs.engine.segment_config import SegmentConfig

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
FAKE_ENGINE = HERE.parents[1] / "helpers" / "fake_engine.py"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="process groups are checked through /proc")


def start(tmp_path: Path, mode: str = "good", **env: str) -> Job:
    from tests.helpers import made_splat

    rows, _ = made_splat.made_splat(per_object=50, rest=0)
    scene = made_splat.write(tmp_path / "scene.ply", rows)
    run = f"runpy.run_path({str(FAKE_ENGINE)!r}, run_name='__main__')"
    code = f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); {run}"
    command = [sys.executable, "-c", code, "-m", "bgs_engine"]
    command += SegmentConfig().arguments(scene, tmp_path / "run")
    settings = {"BGS_FAKE_ENGINE": mode, "BGS_FAKE_ENGINE_STEP": "0.002", **env}
    return Job(command, log=tmp_path / "log.txt", env=settings)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_the_engine_understands_every_setting(tmp_path: Path) -> None:
    from bgs_engine.cli.main import build_parser

    given = SegmentConfig(
        level_bits="8,8", iterations=7, device="cpu", dataset="photos", views=40, masks_model="sam", seed=3, fetch=True
    )
    parsed = vars(build_parser().parse_args(given.arguments(tmp_path / "scene.ply", tmp_path / "run")))
    parsed["masks_model"] = parsed.pop("model")
    assert all(str(parsed[name]) == str(value) for name, value in vars(given).items())
    plain = build_parser().parse_args(SegmentConfig().arguments(tmp_path / "scene.ply", tmp_path / "run"))
    alone = build_parser().parse_args(["segment", "scene.ply", "-o", "run"])
    for name in ("iterations", "dataset", "views", "model", "seed", "level_bits", "device"):
        assert getattr(plain, name) == getattr(alone, name)  # the engine's own defaults hold


def test_a_job_to_its_end(tmp_path: Path) -> None:
    job = start(tmp_path)
    seen = set()
    while not job.progress.finished:
        state = job.progress
        seen.add(state.stage)
        assert 0 <= state.fraction <= 1
        time.sleep(0.005)
    state = job.progress
    assert state.succeeded, job.details()
    assert {"views", "masks", "training"} <= seen
    assert state.metrics["iou"] == 0.9123456 and state.warnings == ("2 views were dark.",)
    assert Path(state.artifacts["run"]).is_dir()
    log = (tmp_path / "log.txt").read_text()
    assert "a line for the log" in log and '"event": "done"' in log


def test_the_engines_sentence_and_hint_arrive(tmp_path: Path) -> None:
    state = start(tmp_path, "bad").wait(20)
    assert state.error == ("The scene is empty.", "Export it again.") and state.returncode == 3
    assert not state.succeeded and not state.cancelled


def test_a_crash_is_told_with_its_last_line(tmp_path: Path) -> None:
    job = start(tmp_path, "crash")
    state = job.wait(20)
    assert state.error is not None and "the fake engine fell over" in state.error[0]
    assert "Traceback" in job.details()


@pytest.mark.parametrize(("mode", "words"), [("silent", "without saying that it is done"), ("other", "protocol 2")])
def test_an_end_that_is_no_success_is_a_failure(tmp_path: Path, mode: str, words: str) -> None:
    state = start(tmp_path, mode).wait(20)
    assert state.returncode == 0 and not state.succeeded
    assert state.error is not None and words in state.error[0] and state.error[1]


def test_odd_lines_neither_stop_the_reader_nor_change_the_job(tmp_path: Path) -> None:
    job = start(tmp_path, "odd")
    state = job.wait(30)
    assert state.succeeded, job.details()
    assert Path(state.artifacts["run"]).is_dir()


def test_nothing_beside_the_scene_is_run(tmp_path: Path) -> None:
    """Blender's working folder may be that of a downloaded .blend."""
    for name in ("bgs_engine/__init__.py", "bgs_engine/__main__.py", "numpy.py", "pip.py", "json.py", "venv.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch()\n")
    job = Job(locate.command(Path(sys.executable), ["doctor", "--json"]), log=tmp_path / "log", cwd=tmp_path)
    job.wait(60)
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import json, numpy'])"
    Job([sys.executable, "-P", "-c", code], log=tmp_path / "log", cwd=tmp_path).wait(60)
    assert not list(tmp_path.rglob("*.ran"))


def test_done_names_the_run(tmp_path: Path) -> None:
    state = start(tmp_path).wait(20)
    run = tmp_path / "run"
    assert state.delivered == (str(run), run_id_of(run)) and len(state.delivered[1]) == 32


@pytest.mark.parametrize("mode", ["slow", "deaf"])
def test_cancel_leaves_no_process_within_a_second(tmp_path: Path, mode: str) -> None:
    job = start(tmp_path, mode)
    wait_for(lambda: job.progress.stage in ("views", "deaf"))
    child = job.progress.metrics.get("child")
    started = time.monotonic()
    job.cancel()
    assert time.monotonic() - started < 0.05  # it returns at once: the window stays alive
    wait_for(lambda: not is_alive(job.pid) and (child is None or not is_alive(child)), 5)
    assert time.monotonic() - started < 1.5  # 0.9 s on a quiet machine
    state = job.wait(2)
    assert state.cancelled and not state.succeeded
    assert time.monotonic() - started < 2


def test_cancel_waits_for_what_must_not_be_broken_off(tmp_path: Path) -> None:
    job = start(tmp_path, "saving")
    wait_for(lambda: job.progress.stage == "views")
    job.cancel()
    state = job.wait(10)
    assert state.cancelled and state.returncode == 130 and (tmp_path / "whole").is_file()


@pytest.mark.parametrize("mode", ["mute", "endless"])
def test_an_engine_that_has_said_its_last_word_must_end(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "LINGER_SECONDS", 0.5)
    job = start(tmp_path, mode)
    state = job.wait(20)
    assert state.finished and not state.succeeded and not is_alive(job.pid)
    assert state.error == job_module.STOPPED_ANSWERING


def test_a_flood_fills_neither_memory_nor_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blender_bgs.engine.job_log.LARGEST_LOG", 1_000_000)
    job = start(tmp_path, "flood")
    state = job.wait(60)
    assert state.succeeded, job.details()
    assert len(state.warnings) == len(state.metrics) == len(state.artifacts) == MOST
    assert max(map(len, state.warnings)) == LONGEST_TEXT
    assert 900_000 < (tmp_path / "log.txt").stat().st_size < 1_500_000
    text = (tmp_path / "log.txt").read_text()
    assert "more lines were left out" in text and text.rstrip().endswith("a line for the log")
    assert len(job.details()) < 500_000


def test_the_log_has_a_largest_size(tmp_path: Path) -> None:
    log = JobLog(tmp_path / "log")
    line = "x" * 100_000
    for _ in range(LARGEST_LOG // 100_000 + 50):
        log.write(line, keep=True)
    log.close()
    log.write("late", keep=True)  # a reader may be behind
    assert (tmp_path / "log").stat().st_size < LARGEST_LOG + KEPT_LINES * 2100
    assert len(log.last_lines()) == KEPT_LINES


def test_an_engine_gets_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONHOME", "/blender")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    code = "import os, sys; sys.stderr.write(' '.join(os.environ) + '\\n')"
    job = Job([sys.executable, "-c", code], log=tmp_path / "log")
    job.wait(20)
    names = (tmp_path / "log").read_text().split()
    assert "CUDA_VISIBLE_DEVICES" in names and "PATH" in names
    assert not {"AWS_SECRET_ACCESS_KEY", "PYTHONHOME"} & set(names)


def test_the_engine_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    code = (
        f"import sys, time, os; sys.path.insert(0, {str(ROOT)!r});"
        "from pathlib import Path; from tests.logic.test_job import start;"
        f"job = start(Path({str(tmp_path)!r}), 'slow'); print(job.pid, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    time.sleep(1.0)  # the fake engine has started to listen
    assert is_alive(pid)
    owner.kill()
    owner.wait()
    wait_for(lambda: not is_alive(pid), 5)


def test_unknown_and_broken_events_change_nothing() -> None:
    state = Progress(stage="masks")
    assert advance(state, {"event": "novelty", "x": 1}) == state
    assert advance(state, {"event": "progress"}).stage == "masks"


def test_engine_is_found_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment_python(environment)
    monkeypatch.delenv(locate.VARIABLE, raising=False)
    with pytest.raises(EnvironmentLacksError, match="Install Engine"):
        find_engine("", "")
    assert find_engine("", str(environment)) == python
    monkeypatch.setenv(locate.VARIABLE, sys.executable)
    assert find_engine("", str(environment)) == Path(sys.executable)
    assert find_engine(str(environment), "") == python
    with pytest.raises(EnvironmentLacksError, match="does not exist"):
        find_engine(str(tmp_path / "nothing"), "")


def test_the_doctors_answer_in_words() -> None:
    torch = {"name": "torch", "ok": True, "detail": "2.13", "hint": "Install it.", "needed": True}
    card = {"name": "nvidia", "ok": False, "detail": "no driver", "hint": "Not needed.", "needed": False}
    assert in_words({"ok": True, "checks": [torch, card]}) == [
        "Everything that segmenting needs is here.",
        "torch: 2.13",
        "nvidia not here: no driver. Not needed.",
    ]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="this Python has no engine to ask")
def test_the_real_doctor_answers() -> None:
    lines = in_words(ask_doctor(Path(sys.executable)))
    assert any(line.startswith("torch: ") for line in lines)


def test_a_python_without_the_engine_is_told(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    with pytest.raises(EnvironmentLacksError, match="no working engine"):
        ask_doctor(environment_python(tmp_path / "env"))
