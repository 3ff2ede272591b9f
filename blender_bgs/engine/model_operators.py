# mypy: disable-error-code="valid-type"
"""Fetch Mask Model: a better mask model, on one press."""

from collections.abc import Iterator
from pathlib import Path

import bpy
from bgs_engine.core.errors import EnvironmentLacksError, UsageError
from bgs_engine.core.mask_models import BETTER_MODELS, BetterModel, better_model

from ..cloud.typed import Context
from ..interface.operator_base import NoUndo
from . import blocking, doctor, segmenting
from .job import Job
from .locate import command
from .runner import PlainTask, log_path, runner


class FetchTask(PlainTask):
    """Notes in the panel that the model is here."""

    def __init__(self, model: BetterModel) -> None:
        super().__init__("Fetch Mask Model", f"{model.title} is here. Segment uses the best mask model that is here")
        self._model = model

    def apply(self) -> Iterator[None]:
        """Change the list below Check Engine."""
        doctor.note_fetched(self._model.name)
        yield


class BGS_OT_fetch_model(NoUndo, bpy.types.Operator):
    """Fetch a larger mask model, which Segment then uses. A try that was stopped goes on where it stopped."""

    bl_idname = "bgs.fetch_model"
    bl_label = "Fetch Mask Model"

    model: bpy.props.EnumProperty(
        name="Model",
        items=tuple((model.name, model.title, model.in_words) for model in BETTER_MODELS),
        default=BETTER_MODELS[-1].name,
    )

    @classmethod
    def description(cls, _context: Context, properties: "BGS_OT_fetch_model") -> str:
        """The tooltip of one button: what the model brings, its size and its licence."""
        model = better_model(properties.model)
        return "" if model is None else f"{model.in_words}. A try that was stopped goes on where it stopped"

    @classmethod
    def disabled_reason(cls, _context: Context) -> str:
        online = (
            "" if bpy.app.online_access else "Blender may not go online: Preferences > System > Allow Online Access"
        )
        return runner.busy() or online or segmenting.engine_missing()

    def work(self, _context: Context) -> str:
        runner.refuse_second()
        if not bpy.app.online_access:
            raise EnvironmentLacksError(
                "Blender may not go online.", "Allow Online Access in Preferences > System, then fetch."
            )
        model = better_model(self.model)
        if model is None:
            raise UsageError(f"There is no mask model {self.model}.", "Choose one of the list.")
        task, job = FetchTask(model), start_fetch(segmenting.engine_python(), model, log_path("models"))
        if bpy.app.background:  # there are no timers and no Cancel button: wait for it
            blocking.finish(job)
            return task.summary()
        runner.start(task, job)
        return f"Fetching {model.title}, {model.size / 1e6:.0f} MB; the Segment panel shows how far it is"


def start_fetch(python: Path, model: BetterModel, log: Path) -> Job:
    """Start the engine's `bgs models --fetch`.

    Raises:
        EnvironmentLacksError: the engine's Python cannot be started.
    """
    try:
        return Job(command(python, ["models", "--fetch", model.name, "--events"]), log=log)
    except OSError as error:
        raise EnvironmentLacksError(f"{python} cannot be started: {error.strerror}.", "Press Install Engine.") from None


CLASSES = (BGS_OT_fetch_model,)
