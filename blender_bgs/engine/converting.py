"""Lets the engine convert splats of formats that Blender cannot read or write itself."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import bpy
from bgs_engine.core.errors import EnvironmentLacksError, UsageError

from ..cloud import edit_mode
from ..cloud.typed import Context
from . import blocking, segmenting
from .job import Job
from .locate import command
from .progress import Progress
from .runner import PlainTask, log_path, runner, undo_step


class ConvertTask(PlainTask):
    """Calls `finish` when the engine has written its file. See `runner.Task`."""

    def __init__(self, title: str, finish: Callable[[], str], close: Callable[[], None], changes_scene: bool) -> None:
        super().__init__(title, "")
        self._finish, self._close, self._changes_scene = finish, close, changes_scene

    def prepare(self, _state: Progress) -> None:
        """Nothing to prepare: `finish` needs bpy."""

    def apply(self) -> Iterator[None]:
        """Finish in the first window, as one undo step."""
        window = next(iter(bpy.context.window_manager.windows), None)
        with bpy.context.temp_override(window=window) if window else nullcontext():  # type: ignore[attr-defined]
            if self._changes_scene:
                with edit_mode.left(cast(Context, bpy.context)):
                    self._summary = self._finish()
            else:
                self._summary = self._finish()
        if self._changes_scene:
            undo_step(self.title)
        yield

    def close(self) -> None:
        """Remove temporary files."""
        self._close()


def start(
    title: str, source: Path, target: Path, finish: Callable[[], str], close: Callable[[], None], changes_scene: bool
) -> str:
    """Let the engine write `target` from `source`, see `files.by_engine.Converter`.

    Raises:
        EnvironmentLacksError: no engine is installed.
        UsageError: another job is running, or the engine cannot be started.
        BgsError: the engine failed, where there is no window.
    """
    runner.refuse_second()
    try:
        python = segmenting.engine_python()
    except EnvironmentLacksError as error:
        shown = source if changes_scene else target  # the other one is a temporary file
        raise EnvironmentLacksError(f"{shown.name} needs the engine. {error.message}", error.hint) from None
    try:
        job = Job(command(python, ["convert", str(source), str(target), "--events"]), log=log_path("convert"))
    except OSError as error:
        raise UsageError(f"{python} cannot be started: {error.strerror}.", "Check the engine.") from None
    if bpy.app.background:  # there are no timers and no Cancel button: wait for it
        try:
            blocking.finish(job)
            return finish()
        finally:
            close()
    runner.start(ConvertTask(title, finish, close, changes_scene), job)
    return "The engine has started. The panel Segment shows how far it is"
