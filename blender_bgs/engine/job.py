"""Owns one engine process: starts it, reads its events and stops it. It does not use bpy.

The protocol is that of bgs_engine.core.events. The process writes events as JSON lines to standard output and its log
to standard error. It stops at the line `cancel` or at the end of standard input. It leads a session of its own, and
what it starts is ended with it. If Blender dies, the pipe closes and the engine stops by itself.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from bgs_engine.core import child_environment
from bgs_engine.core.events import SAVING_SECONDS

from .job_log import JobLog
from .process import EngineProcess
from .progress import Progress, advance, event_in

# The engine ends itself within HARD_SECONDS (bgs_engine/cli/stopping.py). These are for an engine that cannot, because
# it is loading a library. The sum is below the second that the manual promises.
CANCEL_GRACE = 0.65  # seconds until the engine is terminated
KILL_GRACE = 0.15  # seconds after that until it is killed
LINGER_SECONDS = 10.0  # longest time that an engine may live after its last word
LONGEST_LINE = 1 << 20  # characters: a longer line is read in pieces, and no piece of it is an event
STOPPED_ANSWERING = (
    "The engine stopped answering and was ended.",
    "Try again. If it happens again, copy the details.",
)


class Job:
    """A running engine process. All methods but `wait` return at once. Any thread may read `progress`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        variables: tuple[str, ...] = child_environment.ENGINE,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        tidy: Callable[[], None] | None = None,
    ) -> None:
        """Start `command`.

        Args:
            command: program and arguments; no shell is involved.
            log: file for what the process writes.
            variables: names of the environment variables of this process that it gets, see `child_environment`.
            env: environment variables in addition to these.
            cwd: working folder.
            tidy: called in a thread after the process has ended without success, before the job counts as finished.

        Raises:
            OSError: the program does not exist or cannot be started.
        """
        self.command = list(command)
        self.log = log
        self._lock = threading.Lock()
        self._progress = Progress()
        self._tidy = tidy
        self._started = time.monotonic()
        self._last_word: float | None = None  # when the process said `done` or closed its output
        self._log = JobLog(log)
        try:
            self._process = EngineProcess(self.command, variables, env, cwd)
        except OSError:
            self._log.close()
            raise
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.output, True), daemon=True),
            threading.Thread(target=self._read, args=(self._process.errors, False), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        threading.Thread(target=self._wait, daemon=True).start()

    @property
    def pid(self) -> int:
        """The id of the engine's process and of its process group."""
        return self._process.pid

    @property
    def progress(self) -> Progress:
        """The present state of the job."""
        with self._lock:
            seconds = self._progress.seconds if self._progress.finished else time.monotonic() - self._started
            return replace(self._progress, seconds=seconds)

    def details(self) -> str:
        """The command, the last lines of the log and the exit code, for a bug report."""
        state, lines = self.progress, self._log.last_lines()
        end = [f"exit code {state.returncode}"] if state.finished else []
        error = [" ".join(part for part in state.error if part)] if state.error else []
        return "\n".join(["$ " + " ".join(self.command), *lines, *error, *end, f"full log: {self.log}"])

    def cancel(self) -> None:
        """Ask the engine to stop, and kill it if it does not. Returns at once."""
        with self._lock:
            if self._progress.finished or self._progress.cancelling:
                return
            self._progress = replace(self._progress, cancelling=True, message="Cancelling")
        threading.Thread(target=self._stop, daemon=True).start()

    def wait(self, timeout: float | None = None) -> Progress:
        """Block until the job has ended or `timeout` seconds have passed, and return its state."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.progress.finished and (end is None or time.monotonic() < end):
            time.sleep(0.02)
        return self.progress

    def _stop(self) -> None:
        asked = time.monotonic()
        self._process.send("cancel")  # a process that does not read it is stopped below
        ended = self._process.ends_within(CANCEL_GRACE)
        while not ended and self.progress.saving and time.monotonic() < asked + SAVING_SECONDS:
            ended = self._process.ends_within(0.1) or (
                not self.progress.saving and self._process.ends_within(CANCEL_GRACE)
            )
        if not ended and os.name != "nt":
            self._process.terminate()
            ended = self._process.ends_within(KILL_GRACE)
        if not ended:
            self._process.kill()

    def _wait(self) -> None:
        while not self._process.ends_within(0.5):
            if self._last_word is not None and time.monotonic() > self._last_word + LINGER_SECONDS:
                with self._lock:
                    self._progress = replace(self._progress, error=self._progress.error or STOPPED_ANSWERING)
                self._process.kill()
        code = self._process.wait()
        for reader in self._readers:
            reader.join(timeout=0.1 if self.progress.cancelling else 1.0)  # a grandchild may hold the pipe open
        self._process.kill_group()  # child processes that the engine left running
        for reader in self._readers:
            reader.join(timeout=0.5)
        self._process.close_input()
        self._log.close()
        state = replace(self.progress, finished=True, returncode=code, seconds=time.monotonic() - self._started)
        if not state.succeeded and self._tidy is not None:
            self._tidy()
        with self._lock:
            self._progress = replace(state, error=state.error or self._unsaid_error(state))

    def _unsaid_error(self, state: Progress) -> tuple[str, str] | None:
        """What went wrong if the engine itself did not say it."""
        if state.cancelling or state.succeeded:
            return None
        if state.returncode == 0:
            return "The engine ended without saying that it is done.", "Check the engine, and copy the details."
        last = next((line for line in reversed(self._log.last_lines()) if line.strip()), "")
        last = f" {last.strip().rstrip('.')}." if last else ""
        return f"The engine ended unexpectedly (exit code {state.returncode}).{last}", "Copy the details."

    def _read(self, stream: IO[str], events: bool) -> None:
        with contextlib.suppress(ValueError, OSError):  # the pipe was closed under us
            while line := stream.readline(LONGEST_LINE):
                line = line.rstrip("\n")
                event = event_in(line) if events else None
                self._log.write(line, keep=event is None)
                if event is not None:
                    with self._lock:
                        self._progress = advance(self._progress, event)
                        ended = self._progress.completed
                    if ended and self._last_word is None:
                        self._last_word = time.monotonic()
        if events and self._last_word is None:
            self._last_word = time.monotonic()
