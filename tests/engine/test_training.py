"""Training end to end on a made scene: better codes, the same ones on every run, cancel and resume."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import CancelledError, InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.io.run_folder import open_run, partial_folder
from bgs_engine.pipeline.runs import train_run
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.result import snap_to_used
from bgs_engine.train.trainer import view_of_step

LAYOUT = BitLayout()
QUICK = TrainConfig(iterations=40, uniform_pixels=300, balanced_pixels=1200, balanced_masks=16, checkpoint_seconds=0)


def codes_of(run: Path) -> np.ndarray:
    return open_run(run).codes


@pytest.fixture(scope="module")
def trained(small_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_run(small_scene, tmp_path_factory.mktemp("runs") / "run", LAYOUT, QUICK, Reporter())


def test_run_folder_is_complete(trained: Path):
    names = {path.name for path in trained.iterdir()}
    wanted = {"codes.npy", "opacity.npy", "confidence.npy", "run.json", "labels.json", "scene.ply", "events.jsonl",
              "engine.log", "preview"}  # fmt: skip
    assert wanted == names
    info = json.loads((trained / "run.json").read_text())
    assert info["format"] == 1 and len(info["source"]["sha256"]) == 64
    assert info["configuration"]["iterations"] == QUICK.iterations
    assert "Training" in info["timings"] and info["labels_per_level"][0] >= 2
    assert info["metrics"]["labels_level_1"] == info["labels_per_level"][0]
    assert 0.5 < info["metrics"]["agreement_level_1_after"] <= 1
    assert [json.loads(line)["event"] for line in (trained / "events.jsonl").read_text().splitlines()]


def test_same_seed_same_codes_on_one_thread_and_two(small_scene: Path, trained: Path, tmp_path: Path):
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        again = train_run(small_scene, tmp_path / "run", LAYOUT, QUICK, Reporter())
    finally:
        numba.set_num_threads(threads)
    assert (codes_of(again) == codes_of(trained)).all()
    assert (open_run(again).opacities == open_run(trained).opacities).all()


class CancelAt:
    """Cancels its job at a given training step."""

    def __init__(self, step: int) -> None:
        self.reporter = Reporter([self])
        self.step = step
        self.training = False

    def __call__(self, event: dict) -> None:
        if event["event"] == "stage":
            self.training = event["name"] == "Training"
        if self.training and event["event"] == "progress" and event["done"] >= self.step:
            self.reporter.cancel()


def test_a_cancelled_run_resumes_to_the_same_codes(small_scene: Path, trained: Path, tmp_path: Path):
    out = tmp_path / "run"
    with pytest.raises(CancelledError):
        train_run(small_scene, out, LAYOUT, QUICK, CancelAt(1).reporter)
    assert not out.exists() and (partial_folder(out) / "checkpoint.npz").is_file()
    train_run(small_scene, out, LAYOUT, QUICK, Reporter(), resume=True)
    assert (codes_of(out) == codes_of(trained)).all()
    assert (out / "opacity.npy").read_bytes() == (trained / "opacity.npy").read_bytes()
    assert not partial_folder(out).exists()


def test_a_checkpoint_of_other_settings_is_refused(small_scene: Path, tmp_path: Path):
    out = tmp_path / "run"
    with pytest.raises(CancelledError):
        train_run(small_scene, out, LAYOUT, QUICK, CancelAt(1).reporter)
    other = TrainConfig(**{**QUICK.__dict__, "seed": 5})
    with pytest.raises(InputError, match="other settings"):
        train_run(small_scene, out, LAYOUT, other, Reporter(), resume=True)
    assert (partial_folder(out) / "checkpoint.npz").is_file()  # nothing lost by the mistake


def test_an_earlier_run_survives_a_cancelled_one(small_scene: Path, trained: Path, tmp_path: Path):
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    with pytest.raises(CancelledError):
        train_run(small_scene, out, LAYOUT, QUICK, CancelAt(1).reporter)
    assert (codes_of(out) == codes_of(trained)).all()


@pytest.mark.slow
def test_the_papers_objective_trains_from_random_features(small_scene: Path, tmp_path: Path):
    config = TrainConfig(**{**QUICK.__dict__, "objective": "contrastive", "iterations": 150})
    run = open_run(train_run(small_scene, tmp_path / "run", LAYOUT, config, Reporter()))
    losses = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    values = [event["value"] for event in losses if event["event"] == "metric" and event["name"] == "loss"]
    assert values[-1] < 0.8 * values[0]
    assert (np.abs(run.opacities - 0.5) <= 0.5).all()


def test_codes_can_be_given(small_scene: Path, trained: Path, tmp_path: Path):
    config = TrainConfig(**{**QUICK.__dict__, "init": str(trained / "codes.npy"), "iterations": 1})
    again = train_run(small_scene, tmp_path / "run", LAYOUT, config, Reporter())
    assert (codes_of(again) == codes_of(trained)).mean() > 0.99  # one step moves hardly a bit


def test_frozen_opacity_stays(small_scene: Path, tmp_path: Path):
    config = TrainConfig(**{**QUICK.__dict__, "opacity_rate": 0.0, "iterations": 3})
    run = open_run(train_run(small_scene, tmp_path / "run", LAYOUT, config, Reporter()))
    source = 1 / (1 + np.exp(-run.ply.columns(("opacity",)).ravel().astype(np.float64)))
    np.testing.assert_allclose(run.opacities, source, atol=1e-6)


def test_too_few_bits_are_refused_and_nothing_stays(small_scene: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="at least"):
        train_run(small_scene, tmp_path / "run", BitLayout((1, 1, 1)), QUICK, Reporter())
    assert not list(tmp_path.iterdir())


def test_every_epoch_sees_every_view():
    assert sorted(view_of_step(step, 7, 3) for step in range(7, 14)) == list(range(7))
    assert [view_of_step(s, 7, 3) for s in range(7)] != [view_of_step(s, 7, 3) for s in range(7, 14)]


def test_snapping_takes_the_nearest_sibling():
    layout = BitLayout((2, 2))
    used = np.array([0b0000, 0b1100, 0b1111], np.int32)
    features = np.array([[0, 0, 0, 0], [0.9, 0.8, 0.6, 0.2], [0.9, 0.8, 0.9, 0.6], [0.6, 0.1, 0.0, 0.9]], np.float32)
    assert snap_to_used(features, used, layout).tolist() == [0b0000, 0b1100, 0b1111, 0b0000]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bgs_engine", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["word", "end of input", "signal"])
def test_the_process_stops_when_asked(small_scene: Path, tmp_path: Path, how: str):
    """Cancel by each of the three ways in the middle of training: exit code 130 and a checkpoint."""
    process = start(["train", str(small_scene), "-o", str(tmp_path / "run"), "--events", "--iterations", "100000"])
    guard = threading.Timer(300, process.kill)  # a busy machine compiles slowly
    guard.start()
    assert process.stdin and process.stdout
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "metric" and event["name"] == "loss":
            break
    if how == "word":
        process.stdin.write("cancel\n")
        process.stdin.flush()
    elif how == "end of input":
        process.stdin.close()
        process.stdin = None
    else:
        process.terminate()
    rest, _ = process.communicate()
    guard.cancel()
    assert process.returncode == 130
    assert json.loads(rest.splitlines()[-1]) == {"event": "error", "code": 130, "message": "Cancelled.", "hint": ""}
    assert (partial_folder(tmp_path / "run") / "checkpoint.npz").is_file()


def test_few_views_are_not_looked_at_too_often():
    assert TrainConfig().steps(12) == 96 and TrainConfig().steps(100) == 300
    assert TrainConfig(iterations=7).steps(100) == 7
    assert TrainConfig(objective="contrastive").steps(2) == 1500


def test_a_negative_setting_is_refused():
    with pytest.raises(UsageError, match="iterations is -1"):
        TrainConfig(iterations=-1)
