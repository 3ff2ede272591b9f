"""The one running job, watched from Blender's main thread by a persistent timer, and what happens at its end."""

import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import bpy
from bgs_engine.core.errors import BgsError, UsageError

from .job import Job, Progress

TICK = 0.2  # seconds between two looks at the job: smooth enough for a bar, nothing for the processor
BUDGET = 0.03  # seconds of small steps after which the window gets its turn
STOP_SECONDS = 3.0  # to wait for a stopped job when the extension is disabled

SHOWN_IN = (("VIEW_3D", "UI"), ("PREFERENCES", "WINDOW"))


class Task(Protocol):
    """What a job is for, and what follows when its process has ended well. The runner calls the methods in this order.

    A failure at any point ends the task; `close` is called in every case.
    """

    title: str

    def prepare(self, state: Progress) -> None:
        """Read files, sort, compute; called in a thread, so without bpy."""

    def apply(self) -> Iterator[None]:
        """Change the scene on the main thread, in small steps; the window is drawn between them."""

    def summary(self) -> str:
        """What came of it, one sentence for the panel."""

    def close(self) -> None:
        """Remove temporary files."""


class PlainTask:
    """A task that does nothing when its process has ended: a base to fill in."""

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
    """How a job ended, for the panel. An empty message: no job has ended yet."""

    title: str = ""
    message: str = ""
    details: str = ""
    failed: bool = False
    warnings: tuple[str, ...] = ()


class Current:
    """The job that is running, with its task and how far its end has been worked through."""

    def __init__(self, task: Task, job: Job) -> None:
        self.task, self.job = task, job
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._steps: Iterator[None] | None = None

    def is_prepared(self, state: Progress) -> bool:
        """Start `prepare` in a thread at the first call; whether it has ended."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._prepare, args=(state,), daemon=True)
            self._thread.start()
        return not self._thread.is_alive()

    def is_applied(self) -> bool:
        """Take steps of `apply` for as long as the budget lasts; whether all are taken. Raises what went wrong."""
        started = time.perf_counter()
        if self._failure is not None:
            raise self._failure
        if self._steps is None:
            self._steps = self.task.apply()
        return all(time.perf_counter() - started <= BUDGET for _ in self._steps)

    def _prepare(self, state: Progress) -> None:
        try:
            self.task.prepare(state)
        except Exception as error:  # a thread cannot show it: `is_applied` raises it on the main thread
            self._failure = error


class Runner:
    """Runs one job at a time."""

    def __init__(self) -> None:
        self.current: Current | None = None
        self.last = Outcome()

    def start(self, task: Task, job: Job) -> None:
        """Make a job the current one and watch it.

        Raises:
            UsageError: another one is running.
        """
        self.refuse_second()
        self.current, self.last = Current(task, job), Outcome()
        if not bpy.app.background and not bpy.app.timers.is_registered(tick):
            bpy.app.timers.register(tick, first_interval=TICK, persistent=True)

    def busy(self) -> str:
        """What is running, in words, or nothing."""
        return f"{self.current.task.title} is still running" if self.current is not None else ""

    def refuse_second(self) -> None:
        """Raise `UsageError` while a job is running."""
        if self.current is not None:
            raise UsageError(f"{self.busy()}.", "Wait for it, or cancel it.")

    def cancel(self) -> None:
        """Stop the current job; the panel shows it until the process is gone."""
        if self.current is not None:
            self.current.job.cancel()

    def stop_now(self) -> None:
        """The extension is being disabled: stop the job and wait until nothing is left of it."""
        if bpy.app.timers.is_registered(tick):
            bpy.app.timers.unregister(tick)
        if self.current is not None:
            self.current.job.cancel()
            self.current.job.wait(STOP_SECONDS)
            self.current.task.close()
            self.current = None

    def look(self) -> float | None:
        """Look at the job; after its end prepare in a thread, then apply. Returns seconds until the next look."""
        current = self.current
        if current is None:
            return None
        redraw()
        state = current.job.progress
        if not state.finished:
            return TICK
        if not state.succeeded:
            self._end(current, *_what_went_wrong(state))
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

    def _end(self, current: Current, message: str, failed: bool = False, trace: str = "") -> None:
        details, warnings = trace + current.job.details(), current.job.progress.warnings
        self.current, self.last = None, Outcome(current.task.title, message, details, failed, warnings)
        current.task.close()
        redraw()


def _what_went_wrong(state: Progress) -> tuple[str, bool]:
    """(message, whether it is a failure) of a job that did not succeed."""
    if state.cancelled:
        return "Cancelled", False
    message, hint = state.error or ("The engine ended unexpectedly.", "Copy the details.")
    return f"{message} {hint}".strip(), True


runner = Runner()


def tick() -> float | None:
    """The timer's function: Blender wants a plain function that stays the same."""
    return runner.look()


def redraw() -> None:
    """Have every sidebar and the preferences drawn again; not the views beside them: that would cost a frame each."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if (area.type, region.type) in SHOWN_IN:
                    region.tag_redraw()


def undo_step(message: str) -> None:
    """One undo step for a change that came from no operator."""
    window = next(iter(bpy.context.window_manager.windows), None)
    if window is not None:
        with bpy.context.temp_override(window=window):  # type: ignore[attr-defined]
            bpy.ops.ed.undo_push(message=message)


def log_path(name: str) -> Path:
    """Where a job's log goes: Blender's temporary folder, kept until Blender ends."""
    return Path(bpy.app.tempdir) / f"bgs-{name}.log"
