"""The one running job, watched from Blender's main thread by one persistent timer, and what happens at its end."""

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bpy
from bgs_engine.errors import BgsError, UsageError

from .job import Job, Progress

TICK = 0.2  # seconds between two looks at the job: smooth enough for a bar, nothing for the processor
BUDGET = 0.03  # seconds of small steps after which the window gets its turn


SHOWN_IN = (("VIEW_3D", "UI"), ("PREFERENCES", "WINDOW"))


@dataclass
class Running:
    """A job, what it is about, and what to do when it has succeeded.

    `prepare` runs in a thread as soon as the process has ended well (reading files, sorting). `apply` then gets what
    it returned and gives back an iterator of what is to be done on the main thread, small steps between which the
    window is drawn; `said` tells what has come of it. `tidy` is called at the end, however it came.
    """

    title: str
    job: Job
    prepare: Callable[[Progress], object]
    apply: Callable[[object], Iterator[None]]
    said: Callable[[], str]
    tidy: Callable[[], None] = lambda: None
    result: list[object] = field(default_factory=list)
    failure: list[BaseException] = field(default_factory=list)
    thread: threading.Thread | None = None
    steps: Iterator[None] | None = None


current: Running | None = None
last_title = ""
last_message = ""
last_details = ""
last_failed = False
last_warnings: tuple[str, ...] = ()


def start(running: Running) -> None:
    """Make a job the current one and watch it.

    Raises:
        UsageError: another one is running.
    """
    global current, last_message, last_details, last_failed, last_title, last_warnings
    refuse_second()
    current, last_message, last_details, last_failed, last_warnings = running, "", "", False, ()
    last_title = running.title
    if not bpy.app.background and not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=TICK, persistent=True)


def busy() -> str:
    """What is running, in words, or nothing."""
    return f"{current.title} is still running" if current is not None else ""


def refuse_second() -> None:
    """Raise `UsageError` while a job is running."""
    if current is not None:
        raise UsageError(f"{busy()}.", "Wait for it, or cancel it.")


def cancel() -> None:
    """Stop the current job; the panel shows it until the process is gone."""
    if current is not None:
        current.job.cancel()


def stop_now() -> None:
    """The extension goes: stop the job and wait until nothing is left of it."""
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    if current is not None:
        current.job.cancel()
        current.job.wait(3.0)
        current.tidy()


def tick() -> float | None:
    """Look at the job; at its end prepare in a thread, then apply. Returns when to look again."""
    running = current
    if running is None:
        return None
    redraw()
    state = running.job.progress
    if not state.finished:
        return TICK
    _keep(state)
    if not state.succeeded:
        _end_badly(running, state)
        return None
    if running.thread is None:
        running.thread = threading.Thread(target=_prepare, args=(running, state), daemon=True)
        running.thread.start()
    if running.thread.is_alive():
        return TICK
    return 0.0 if _take_steps(running) else None


def _keep(state: Progress) -> None:
    global last_warnings
    last_warnings = state.warnings


def _prepare(running: Running, state: Progress) -> None:
    try:
        running.result.append(running.prepare(state))
    except Exception as error:  # shown to the user by _finish; a thread has nobody else to tell
        running.failure.append(error)


def _take_steps(running: Running) -> bool:
    """Do some of what follows a job; whether there is more to do."""
    global current, last_message, last_failed, last_details
    started = time.perf_counter()
    try:
        if running.failure:
            raise running.failure[0]
        if running.steps is None:
            running.steps = running.apply(running.result[0])
        for _ in running.steps:
            if time.perf_counter() - started > BUDGET:
                return True
        current, last_message, last_details = None, running.said(), running.job.details()
    except BgsError as error:
        current, last_message, last_failed, last_details = None, str(error), True, running.job.details()
    except Exception:
        current, last_message, last_failed = None, "Reading the result failed.", True
        last_details = f"{traceback.format_exc()}\n{running.job.details()}"
        raise
    finally:
        if current is None:
            running.tidy()
        redraw()
    return False


def _end_badly(running: Running, state: Progress) -> None:
    global current, last_message, last_details, last_failed
    current = None
    if state.cancelled:
        last_message, last_failed = "Cancelled", False
    else:
        message, hint = state.error or ("The engine ended unexpectedly.", "Copy the details.")
        last_message, last_failed = f"{message} {hint}".strip(), True
    last_details = running.job.details()
    running.tidy()
    redraw()


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
