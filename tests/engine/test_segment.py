"""`bgs segment`, the whole of it: views, masks and codes from nothing but a splat."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import CancelledError
from bgs_engine.core.events import Reporter
from bgs_engine.io.run_folder import open_run
from bgs_engine.masks.config import MasksConfig
from bgs_engine.pipeline.runs import segment_run
from bgs_engine.train.config import TrainConfig
from tests.helpers.made_figures import figure, splat
from tests.helpers.toy_mask_model import write_models

LAYOUT = BitLayout((12, 10, 10))
VIEWS = 6


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> MasksConfig:
    encoder, decoder = write_models(tmp_path_factory.mktemp("toy"))
    return MasksConfig(model=f"onnx:{encoder},{decoder}")


@pytest.fixture(scope="module")
def job(masks: MasksConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    """(run folder, events) of three balls over ground."""
    folder = tmp_path_factory.mktemp("segment")
    ply = splat(folder / "figure.ply", figure(), 0.02)
    events: list[dict] = []
    out = folder / "run"
    reporter = Reporter([events.append])
    segment_run(ply, out, LAYOUT, TrainConfig(device="cpu"), masks, reporter, view_count=VIEWS)
    reporter.done()
    return out, events


def test_each_thing_gets_a_label_of_its_own(job: tuple[Path, list[dict]]) -> None:
    run = open_run(job[0])
    labels = LAYOUT.labels(run.codes, 1)
    start, found = 0, []
    for points, _ in figure():
        values, counts = np.unique(labels[start : start + len(points)], return_counts=True)
        assert counts.max() > 0.9 * len(points)
        found.append(values[counts.argmax()])
        start += len(points)
    assert len(set(found)) == len(found)


def test_what_it_says_it_wrote_is_there(job: tuple[Path, list[dict]]) -> None:
    out, events = job
    paths = [Path(event["path"]) for event in events if event["event"] == "artifact"]
    assert out in paths and out / "dataset" / "preview" / "views.png" in paths
    assert all(path.exists() for path in paths)
    assert open_run(out).info["dataset"] == "dataset"
    assert (events[-1]["event"], events[-1]["run"], events[-1]["id"]) == ("done", str(out), open_run(out).info["id"])
    assert not (out.parent / ".run.partial").exists()


def test_the_plan_names_the_stages_that_follow(job: tuple[Path, list[dict]]) -> None:
    plan = next(event for event in job[1] if event["event"] == "plan")
    names = [event["name"] for event in job[1] if event["event"] == "stage"]
    assert [name for name, _ in plan["stages"]] == names
    assert all(weight > 0 for _, weight in plan["stages"])


@pytest.mark.slow
def test_photos_of_the_users_own_get_masks_beside_them(
    job: tuple[Path, list[dict]], masks: MasksConfig, tmp_path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(job[0] / "dataset", photos, ignore=shutil.ignore_patterns("masks", "preview", ".*"))
    events: list[dict] = []
    ply, out = job[0].parent / "figure.ply", tmp_path / "run"
    asked_alike = replace(masks, crops=False)  # as rendered views are
    segment_run(ply, out, LAYOUT, TrainConfig(device="cpu"), asked_alike, Reporter([events.append]), photos)
    plan = next(event["stages"] for event in events if event["event"] == "plan")
    assert [name for name, _ in plan] == [event["name"] for event in events if event["event"] == "stage"]
    paths = [Path(event["path"]) for event in events if event["event"] == "artifact"]
    assert photos / "masks" in paths and all(path.exists() for path in paths)
    assert open_run(out).info["dataset"] == str(photos.resolve()) and not (out / "dataset").exists()
    assert np.array_equal(open_run(out).codes, open_run(job[0]).codes)  # the same views, the same answer


@pytest.mark.slow
def test_a_cancelled_job_goes_on_where_it_was(job: tuple[Path, list[dict]], masks: MasksConfig, tmp_path) -> None:
    def stop(event: dict) -> None:
        if event["event"] == "stage" and event["name"] == "Training":
            raise CancelledError

    ply, out = job[0].parent / "figure.ply", tmp_path / "run"
    config = TrainConfig(device="cpu")
    with pytest.raises(CancelledError):
        segment_run(ply, out, LAYOUT, config, masks, Reporter([stop]), view_count=VIEWS)
    assert not out.exists()

    missing = MasksConfig(model="onnx:missing,missing")  # the masks are there: no model is asked for
    segment_run(ply, out, LAYOUT, config, missing, Reporter(), view_count=VIEWS, resume=True)
    assert np.array_equal(open_run(out).codes, open_run(job[0]).codes)
    assert open_run(out).info["views"] == VIEWS
