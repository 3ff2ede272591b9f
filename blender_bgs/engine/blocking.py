"""Jobs without a window: wait for the engine and print how far it is. Timers do not run in `blender -b`."""

import sys
import time

from bgs_engine.core.errors import BgsError, CancelledError, ExitCode, InputError

from .job import Job, Progress

REPORT_SECONDS = 2.0  # between two progress lines where nobody is at a terminal
ERRORS: dict[int | None, type[BgsError]] = {int(kind.exit_code): kind for kind in BgsError.__subclasses__()}


def say(text: str) -> None:
    """One line for the person or log that watches."""
    sys.stdout.write(f"bgs: {text}\n")
    sys.stdout.flush()


def follow(job: Job) -> Progress:
    """Wait for a job and report its progress; Ctrl-C cancels it."""
    shown, stage, last = "", "", 0.0
    live = sys.stderr.isatty()
    try:
        while True:
            state = job.progress
            if state.finished:
                break
            text = f"{state.stage} {state.fraction:.0%}" + ("" if state.eta is None else f", {state.eta:.0f} s left")
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


def finish(job: Job) -> None:
    """Wait for a job and raise what went wrong as the engine's own kind of error.

    Raises:
        CancelledError: the user stopped it.
        BgsError: it failed; the kind follows from the exit code.
    """
    state = follow(job)
    if state.succeeded:
        return
    if state.cancelled or state.returncode == ExitCode.CANCELLED:
        raise CancelledError
    message, hint = state.error or ("The engine was stopped.", "")
    raise ERRORS.get(state.returncode, InputError)(message, hint)
