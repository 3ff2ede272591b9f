"""The message about the last job, and the numbers that the engine chooses itself."""

import bpy
import pytest

from bgs_engine.train.config import TrainConfig
from blender_bgs.engine import runner as runner_module
from blender_bgs.engine.runner import Outcome, runner
from blender_bgs.engine.settings import settings_of
from tests.helpers import made_splat


@pytest.fixture
def two(tmp_path):
    """Two splats in a scene."""
    made = []
    for name in "ab":
        path = made_splat.write(tmp_path / f"{name}.ply", made_splat.made_splat(per_object=20)[0])
        bpy.ops.bgs.import_splat(filepath=str(path))
        made.append(bpy.context.active_object)
    yield made
    runner.last = Outcome()


def test_the_message_belongs_to_its_splat(two) -> None:
    first, second = two
    result = Outcome("Segment", "Done", splat_uid=first.session_uid)
    assert result.belongs_to(first) and not result.belongs_to(second) and not result.belongs_to(None)
    assert Outcome("Install Engine", "Done").belongs_to(second)  # of no splat
    bpy.data.objects.remove(first)
    assert result.belongs_to(second)  # nobody would see it otherwise


def test_the_message_can_be_dismissed_and_its_details_stay(two) -> None:
    assert not bpy.ops.bgs.dismiss_result.poll()
    runner.last = Outcome("Segment", "It failed.", details="the log", failed=True, warnings=("dark",))
    assert bpy.ops.bgs.dismiss_result() == {"FINISHED"}
    assert (runner.last.message, runner.last.warnings, runner.last.details) == ("", (), "the log")
    assert bpy.ops.bgs.copy_details.poll()


def test_another_file_has_no_message() -> None:
    runner.last = Outcome("Segment", "Done", details="the log")
    assert runner_module._forget_last in bpy.app.handlers.load_post
    for handler in list(bpy.app.handlers.load_post):
        if handler is runner_module._forget_last:
            handler("")
    assert runner.last == Outcome()


def test_a_failed_job_says_it_without_options() -> None:
    from blender_bgs.engine.progress import Progress

    class FakeJob:
        progress = Progress(warnings=("Kept in x: the same command with --resume goes on.",))

        def details(self) -> str:
            return "said: --device cpu"

    current = runner_module.RunningJob(runner_module.PlainTask("Segment", ""), FakeJob())  # type: ignore[arg-type]
    runner._end(current, "The card fails. Use --device cpu.", failed=True)
    assert runner.last.message == "The card fails. Set Device to CPU."
    assert runner.last.warnings == ("Kept in x.",) and runner.last.details == "said: --device cpu"
    runner.last = Outcome()


def test_numbers_of_the_engine_are_shown_as_they_are() -> None:
    settings = settings_of(bpy.context.scene)
    assert settings.views == 0 and settings.views_auto and settings.iterations_auto
    assert settings.default_steps == TrainConfig().steps(20) == 160  # 8 steps for each of 20 views
    settings.views = 60
    assert not settings.views_auto
    assert settings.default_steps == TrainConfig().steps(60) == 300
    settings.iterations_auto = False
    assert settings.iterations == 300 and settings.config().iterations == 300
    settings.views_auto = settings.iterations_auto = True
    assert (settings.views, settings.iterations) == (0, 0)
    settings.views_auto = False
    assert settings.views == 20
    settings.views_auto = True
