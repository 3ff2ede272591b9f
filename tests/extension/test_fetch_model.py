"""Fetch Mask Model: one press fetches a better model with the engine, and only where Blender may go online."""

from pathlib import Path

import bpy
import pytest

from bgs_engine.core.mask_models import BETTER_MODELS
from blender_bgs.engine import doctor, model_operators, segmenting
from blender_bgs.engine.model_operators import BGS_OT_fetch_model, FetchTask, start_fetch

SMALL = BETTER_MODELS[-1]


@pytest.fixture
def online(engine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Blender may go online, and the stand-in for the engine is the engine."""
    monkeypatch.setattr(bpy.context.preferences.system, "use_online_access", True)
    monkeypatch.setenv("BGS_ENGINE_PYTHON", str(engine))
    monkeypatch.setattr(segmenting, "_engine_state", (-segmenting.CHECK_SECONDS, ""))  # what it found is kept a second
    monkeypatch.setenv("BGS_FAKE_ENGINE_STEP", "0.001")
    monkeypatch.setattr(model_operators, "log_path", lambda name: tmp_path / f"{name}.log")
    return engine


def test_the_press_fetches_the_named_model(online: Path, tmp_path: Path) -> None:
    assert BGS_OT_fetch_model.disabled_reason(bpy.context) == ""
    assert bpy.ops.bgs.fetch_model(model=SMALL.name) == {"FINISHED"}
    log = (tmp_path / "models.log").read_text()
    assert f"Fetching {SMALL.name}" in log


def test_the_engine_gets_its_command_and_says_how_far_it_is(online: Path, tmp_path: Path) -> None:
    state = start_fetch(online, SMALL, tmp_path / "log").wait(30)
    assert state.succeeded and state.stage == f"Fetching {SMALL.name}" and state.done == state.total == 3


def test_a_failure_is_the_engines_sentence(online: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BGS_FAKE_ENGINE", "bad")
    with pytest.raises(RuntimeError, match="The hub does not answer"):
        bpy.ops.bgs.fetch_model(model=SMALL.name)


def test_it_is_grey_where_blender_may_not_go_online(online: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpy.context.preferences.system, "use_online_access", False)
    assert "Allow Online Access" in BGS_OT_fetch_model.disabled_reason(bpy.context)
    with pytest.raises(RuntimeError, match=r"Allow Online Access|context is incorrect"):
        bpy.ops.bgs.fetch_model(model=SMALL.name)


def test_the_tooltip_says_what_it_costs(online: Path) -> None:
    class Button:
        model = SMALL.name

    tooltip = BGS_OT_fetch_model.description(bpy.context, Button())
    assert "184 MB" in tooltip and "Apache-2.0" in tooltip


def test_the_list_shows_that_it_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = tuple(doctor.OfferedModel(model.name, model.in_words, False) for model in BETTER_MODELS)
    monkeypatch.setattr(doctor, "shown", doctor.Shown((), offered))
    task = FetchTask(SMALL)
    assert list(task.apply()) == [None]
    assert [model.here for model in doctor.shown.models] == [False, False, True]
    assert task.summary().startswith("SAM 2.1 Small is here")
