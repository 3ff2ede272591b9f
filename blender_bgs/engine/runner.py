"""Runs one job at a time. A timer on Blender's main thread watches it and applies its result to the scene."""

import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import bpy
from bgs_engine.core.errors import BgsError, UsageError
from bpy.app.handlers import persistent

from ..cloud.redraw import SIDEBARS, regions
from ..logic.window_words import for_window
from .forecast import Forecast
from .job import Job
from .progress import Progress

TICK = 0.2  # seconds between two checks of the job; the progress bar is smooth and the cost is negligible
BUDGET = 0.03  # seconds to apply steps before Blender redraws the window
STOP_SECONDS = 3.0  # longest wait for a job to stop when the extension is disabled

SHOWN_IN = {*SIDEBARS, ("PREFERENCES", "WINDOW")}  # (area, region) types that show the job


class Task(Protocol):
    """What to do with the result of a job. The runner calls the methods in this order when the process has succeeded.

    A failure at any point ends the task. `close` is called in every case.
    """

    title: str
    splat_uid: int | None  # the `session_uid` of the splat that the job is about; None if it is about no single one

    def prepare(self, state: Progress) -> None:
        """Read files and compute. It runs in a thread, so it must not use bpy."""

    def apply(self) -> Iterator[None]:
        """Change the scene on the main thread in small steps. Blender redraws the window between them."""

    def summary(self) -> str:
        """The result in one sentence, for the panel."""

    def close(self) -> None:
        """Remove temporary files."""


class PlainTask:
    """A task that does nothing with the result. Use it as a base class."""

    splat_uid: int | None = None

    def __init__(self, title: str, summary: str) -> None:
        self.title, self._summary = title, summary

    def prepare(self, state: Progress) -> None:
        """Nothing to prepare."""

    def apply(self) -> Iterator[None]:
        """Nothing to apply."""
        return iter(())

    def summary(self) -> str:
        """The sentence given at the start."""
        return self._summary

    def close(self) -> None:
        """Nothing to remove."""


@dataclass(frozen=True)
class Outcome:
    """How the last job ended, for the panel. The message is empty if no job has ended yet, or if it was dismissed."""

    title: str = ""
    message: str = ""
    details: str = ""
    failed: bool = False
    warnings: tuple[str, ...] = ()
    splat_uid: int | None = None

    def belongs_to(self, obj: bpy.types.Object | None) -> bool:
        """Whether the panel shows it while `obj` is the active splat. It always shows what is about no splat."""
        if self.splat_uid is None or (obj is not None and obj.session_uid == self.splat_uid):
            return True
        return all(other.session_uid != self.splat_uid for other in bpy.data.objects)


class RunningJob:
    """The running job with its task, and the progress of the task's `prepare` and `apply`."""

    def __init__(self, task: Task, job: Job) -> None:
        self.task, self.job, self.forecast = task, job, Forecast()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._steps: Iterator[None] | None = None

    def is_prepared(self, state: Progress) -> bool:
        """Whether `prepare` has ended. The first call starts it in a thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._prepare, args=(state,), daemon=True)
            self._thread.start()
        return not self._thread.is_alive()

    def is_applied(self) -> bool:
        """Run steps of `apply` for `BUDGET` seconds. Returns whether all steps are done.

        Raises:
            Exception: the one that `prepare` or `apply` raised.
        """
        started = time.perf_counter()
        if self._failure is not None:
            raise self._failure
        if self._steps is None:
            self._steps = self.task.apply()
        return all(time.perf_counter() - started <= BUDGET for _ in self._steps)

    def _prepare(self, state: Progress) -> None:
        try:
            self.task.prepare(state)
        except Exception as error:  # a thread cannot report it, so `is_applied` raises it on the main thread
            self._failure = error


class Runner:
    """Runs one job at a time."""

    def __init__(self) -> None:
        self.current: RunningJob | None = None
        self.last = Outcome()

    def start(self, task: Task, job: Job) -> None:
        """Make a job the current one and watch it.

        Raises:
            UsageError: another job is running.
        """
        self.refuse_second()
        self.current, self.last = RunningJob(task, job), Outcome()
        if not bpy.app.background and not bpy.app.timers.is_registered(tick):
            bpy.app.timers.register(tick, first_interval=TICK, persistent=True)

    def busy(self) -> str:
        """A text that names the running job, or "" if none is running."""
        return f"{self.current.task.title} is still running" if self.current is not None else ""

    def refuse_second(self) -> None:
        """Make sure that no job is running.

        Raises:
            UsageError: a job is running.
        """
        if self.current is not None:
            raise UsageError(f"{self.busy()}.", "Wait for it, or cancel it.")

    def cancel(self) -> None:
        """Cancel the current job. The panel shows it until its process has ended."""
        if self.current is not None:
            self.current.job.cancel()

    def dismiss(self) -> None:
        """Close the message about the last job. Copy Engine Log still has its details."""
        self.last = replace(self.last, message="", warnings=())

    def stop_now(self) -> None:
        """Stop the job and wait for its end, because the extension is being disabled."""
        if bpy.app.timers.is_registered(tick):
            bpy.app.timers.unregister(tick)
        if self.current is not None:
            self.current.job.cancel()
            self.current.job.wait(STOP_SECONDS)
            self.current.task.close()
            self.current = None

    def check(self) -> float | None:
        """Check the job. After its end, run the task's `prepare` in a thread and then its `apply`.

        Returns the seconds until the next check, or None to stop checking.
        """
        current = self.current
        if current is None:
            return None
        redraw()
        state = current.job.progress
        current.forecast.update(state)
        if not state.finished:
            return TICK
        if not state.succeeded:
            self._end(current, *_failure(state))
            return None
        if not current.is_prepared(state):
            return TICK
        try:
            if not current.is_applied():
                return 0.0
            self._end(current, current.task.summary())
        except BgsError as error:
            self._end(current, str(error), failed=True)
        except Exception:
            self._end(current, "Reading the result failed.", failed=True, trace=traceback.format_exc() + "\n")
            raise
        return None

    def _end(self, current: RunningJob, message: str, failed: bool = False, trace: str = "") -> None:
        details = trace + current.job.details()
        warnings = tuple(filter(None, map(for_window, current.job.progress.warnings)))
        self.current = None
        self.last = Outcome(current.task.title, for_window(message), details, failed, warnings, current.task.splat_uid)
        current.task.close()
        redraw()


def _failure(state: Progress) -> tuple[str, bool]:
    """The message for a job that did not succeed, and whether it failed. A cancelled job did not fail."""
    if state.cancelled:
        return "Cancelled", False
    message, hint = state.error or ("The engine ended unexpectedly.", "Copy the details.")
    return f"{message} {hint}".strip(), True


runner = Runner()


def tick() -> float | None:
    """The timer's function. Blender identifies a timer by its function, so it cannot be a bound method."""
    return runner.check()


@persistent
def _forget_last(*_: object) -> None:
    """Another file is open: the message about the last job of the old one goes."""
    runner.last = Outcome()


def start_handlers() -> None:
    """Watch for other files."""
    bpy.app.handlers.load_post.append(_forget_last)


def stop_handlers() -> None:
    """Watch no more."""
    bpy.app.handlers.load_post.remove(_forget_last)


def redraw() -> None:
    """Redraw every sidebar and the preferences, but not the 3D views, because each view would cost a frame."""
    regions(SHOWN_IN)


def undo_step(message: str) -> None:
    """Push one undo step for a change that no operator made."""
    window = next(iter(bpy.context.window_manager.windows), None)
    if window is not None:
        with bpy.context.temp_override(window=window):  # type: ignore[attr-defined]
            bpy.ops.ed.undo_push(message=message)


def log_path(name: str) -> Path:
    """The path of a job's log, in the temporary folder that Blender deletes when it ends."""
    return Path(bpy.app.tempdir) / f"bgs-{name}.log"
