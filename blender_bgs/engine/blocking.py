"""Waits for a job and prints its progress. Commands without a window need it, because `blender -b` runs no timers."""

import sys
import time

from bgs_engine.core.errors import BgsError, CancelledError, ExitCode, InputError
from bgs_engine.core.printable import printable

from .job import Job
from .progress import Progress

REPORT_SECONDS = 2.0  # between two progress lines if the output is not a terminal
ERRORS: dict[int | None, type[BgsError]] = {int(kind.exit_code): kind for kind in BgsError.__subclasses__()}


def say(text: str) -> None:
    """Print one line to standard output. A terminal obeys nothing in it."""
    sys.stdout.write(f"bgs: {printable(text)}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Print one line to standard error."""
    sys.stderr.write(f"bgs: {printable(text)}\n")


def follow(job: Job) -> Progress:
    """Wait for a job, print its progress and return its last state. Ctrl-C cancels the job."""
    shown, stage, last = "", "", 0.0
    live = sys.stderr.isatty()
    try:
        while True:
            state = job.progress
            if state.finished:
                break
            left = "" if state.eta is None else f", {state.eta:.0f} s left"
            text = f"{printable(state.stage)} {state.fraction:.0%}{left}"
            due = state.stage != stage or (text != shown and time.monotonic() - last > REPORT_SECONDS)
            if live and text != shown:
                sys.stderr.write(f"\r\x1b[K{text}")
                sys.stderr.flush()
            elif not live and due:
                say(text)
            if due:
                last = time.monotonic()
            shown, stage = text, state.stage
            time.sleep(0.05)
    except KeyboardInterrupt:
        job.cancel()
        state = job.wait(3.0)
    if live:
        sys.stderr.write("\r\x1b[K")
    for warning in state.warnings:
        say(warning)
    return state


def finish(job: Job) -> Progress:
    """Wait for a job, and raise an error if it did not succeed. Returns its last state.

    Raises:
        CancelledError: the user stopped the job.
        BgsError: the job failed. The exit code gives the kind of error.
    """
    state = follow(job)
    if state.succeeded:
        return state
    if state.cancelled or state.returncode == ExitCode.CANCELLED:
        raise CancelledError
    message, hint = state.error or ("The engine was stopped.", "")
    raise ERRORS.get(state.returncode, InputError)(message, hint)
