"""Ends the process within a second after the user asked to stop.

A job stops at its next step. Some steps are long: importing torch, compiling a kernel, a large network, npm. So a job
that has not stopped after `SOFT_SECONDS` is interrupted wherever it is, and after `HARD_SECONDS` the process ends with
all that it started. A block of `Reporter.saving` may finish first.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from bgs_engine.core.errors import CancelledError, ExitCode
from bgs_engine.core.events import SAVING_SECONDS, Reporter
from bgs_engine.core.processes import kill_tree

SOFT_SECONDS = 0.3
HARD_SECONDS = 0.6
LOOK_SECONDS = 0.02


@contextlib.contextmanager
def stopping(reporter: Reporter, enforce: bool) -> Iterator[None]:
    """A block that SIGINT and SIGTERM stop: the first at the job's next step, a second SIGINT at once.

    Args:
        reporter: of the job. Other requests to stop arrive there.
        enforce: also keep to the times above. It ends this process, so only the program itself asks for it.
    """
    stopper = _Stopper(reporter)
    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = [signal.signal(number, stopper.on_signal) for number in numbers]
    if enforce:
        threading.Thread(target=stopper.enforce, name="bgs-stopper", daemon=True).start()
    try:
        yield
    finally:
        stopper.over = True
        for number, handler in zip(numbers, earlier, strict=True):
            signal.signal(number, handler)


class _Stopper:
    def __init__(self, reporter: Reporter) -> None:
        self.over = False
        self._reporter = reporter
        self._interrupting = False
        self._main = threading.main_thread().ident

    def on_signal(self, number: int, frame: Any) -> None:
        """Python runs it in the main thread, between two of its instructions."""
        again = self._reporter.cancelled.is_set() and number == signal.SIGINT
        self._reporter.cancel()
        on_its_way = self._reporter.stopping or self._reporter.is_saving
        if again and not (self._interrupting and on_its_way):
            self._interrupting = False
            raise KeyboardInterrupt

    def enforce(self) -> None:
        """Wait for a request to stop, then see to it."""
        while not self._reporter.cancelled.wait(LOOK_SECONDS * 5):
            if self.over:
                return
        asked = time.monotonic()
        if self._is_over_at(asked + SOFT_SECONDS):
            return
        if not self._reporter.stopping and not self._reporter.is_saving:
            self._interrupting = True
            _interrupt(self._main)
        if self._is_over_at(asked + HARD_SECONDS):
            return
        if self._reporter.is_saving:
            while self._reporter.is_saving and time.monotonic() < asked + SAVING_SECONDS:
                time.sleep(LOOK_SECONDS)
            if self._is_over_at(time.monotonic() + SOFT_SECONDS):
                return
        if self._reporter.hung_up:
            self._reporter.done()
            end_at_once(int(ExitCode.DONE))
        self._reporter.error(CancelledError())
        end_at_once(int(ExitCode.CANCELLED))

    def _is_over_at(self, moment: float) -> bool:
        """Wait until a moment; True at once when the job has ended."""
        while time.monotonic() < moment:
            if self.over:
                return True
            time.sleep(LOOK_SECONDS)
        return self.over


def end_at_once(code: int) -> None:
    """End this process with all that it started. No `finally` runs, and no thread is waited for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    kill_tree(os.getpid(), itself=False)
    os._exit(code)


def _interrupt(thread: int | None) -> None:
    """Make the main thread run its handler of SIGINT now, even while it waits for a system call."""
    if thread is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)
