"""Owns one engine process: starts it, reads its events and stops it. It does not use bpy.

The protocol is that of bgs_engine.core.events. The process writes events as JSON lines to standard output and its log
to standard error. It stops at the line `cancel` or at the end of standard input. It leads a process group of its own,
so its child processes stop with it. If Blender dies, the pipe closes and the engine stops by itself.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from bgs_engine.core.events import PROTOCOL

CANCEL_GRACE = 1.0  # seconds for the engine to write its checkpoint before it is terminated
KILL_GRACE = 0.6  # seconds after that before it is killed; the sum is below the 2 s that the manual promises
UPDATE = "Press Install Engine: it installs the engine that came with this extension."
LONGEST_LINE = 1 << 20  # characters: a longer line is read in pieces, and no piece of it is an event
LARGEST = 1e15  # no count or time of a job comes near it
KEPT_LINES = 200  # lines of the log that Copy Details copies


@dataclass(frozen=True)
class Progress:
    """The state of a job at one moment.

    `done` and `total` count steps of the stage. `eta` is the time left in the stage and `seconds` the time since the
    start, both in seconds. `error` is (message, hint) or None.
    """

    stage: str = "starting"
    done: int = 0
    total: int = 0
    eta: float | None = None
    message: str = ""
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    error: tuple[str, str] | None = None
    cancelling: bool = False
    completed: bool = False  # the engine said `done`
    finished: bool = False
    returncode: int | None = None
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether the job ended well: the engine said so, and its exit code agrees."""
        return self.finished and self.returncode == 0 and self.completed and self.error is None

    @property
    def cancelled(self) -> bool:
        """Whether the job has ended because the user cancelled it."""
        return self.finished and self.cancelling and not self.succeeded

    @property
    def fraction(self) -> float:
        """The share of the stage that is done, in 0..1."""
        return min(1.0, self.done / self.total) if self.total else 0.0


class Job:
    """A running engine process. All methods but `wait` return at once. Any thread may read `progress`."""

    def __init__(
        self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Start `command`.

        Args:
            command: program and arguments; no shell is involved.
            log: file for everything that the process writes.
            env: environment variables in addition to those of this process.
            cwd: working folder.

        Raises:
            OSError: the program does not exist or cannot be started.
        """
        self.command = list(command)
        self.log = log
        self._lock = threading.Lock()
        self._progress = Progress()
        self._lines: list[str] = []
        self._started = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("w", encoding="utf-8", errors="replace")
        groups: dict[str, Any] = (
            {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
            if os.name == "nt"
            else {"start_new_session": True}
        )
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env={**_clean_environment(), **(env or {})},
                cwd=cwd,
                **groups,
            )
        except OSError:
            self._log.close()
            raise
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, True), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, False), daemon=True),
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
        with self._lock:
            lines = list(self._lines)
        state = self.progress
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
        try:
            assert self._process.stdin is not None
            self._process.stdin.write("cancel\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            pass  # the process has ended or closed its input; the signals below stop it
        if not self._ends_within(CANCEL_GRACE):
            self._signal(getattr(signal, "SIGTERM", signal.SIGINT))
        if not self._ends_within(KILL_GRACE):
            self._signal(getattr(signal, "SIGKILL", signal.SIGINT))
            if os.name == "nt":
                self._process.kill()

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _signal(self, number: int) -> None:
        try:
            if os.name == "nt":
                self._process.terminate()
            else:
                os.killpg(self._process.pid, number)
        except (OSError, ProcessLookupError):
            pass  # the process has ended already

    def _wait(self) -> None:
        code = self._process.wait()
        for reader in self._readers:
            reader.join(timeout=1.0)  # a grandchild may hold the pipe open
        if os.name != "nt":
            self._signal(signal.SIGKILL)  # stop child processes that the engine left running
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        with self._lock:
            state = self._progress
            error = state.error
            if code != 0 and error is None and not state.cancelling:
                last = next((line for line in reversed(self._lines) if line.strip()), "")
                last = f" {last.strip().rstrip('.')}." if last else ""
                error = (f"The engine ended unexpectedly (exit code {code}).{last}", "Copy the details.")
            if code == 0 and error is None and not state.completed and not state.cancelling:
                error = ("The engine ended without saying that it is done.", "Check the engine, and copy the details.")
            self._progress = replace(
                state, finished=True, returncode=code, error=error, seconds=time.monotonic() - self._started
            )
            self._log.close()

    def _read(self, stream: IO[str], events: bool) -> None:
        while line := stream.readline(LONGEST_LINE):
            line = line.rstrip("\n")
            event = _event(line) if events else None
            with self._lock:
                if not self._log.closed:
                    self._log.write(line + "\n")
                    self._log.flush()
                if event is None:
                    self._lines = [*self._lines[-KEPT_LINES:], line]
                else:
                    self._progress = advance(self._progress, event)


def advance(state: Progress, event: Mapping[str, Any]) -> Progress:
    """The state after one event. Unknown events and missing fields change nothing."""
    match event.get("event"):
        case "hello":
            protocol = event.get("protocol")
            if protocol == PROTOCOL:
                return state
            return replace(state, error=(f"The engine speaks protocol {protocol}, this extension {PROTOCOL}.", UPDATE))
        case "stage":
            return replace(state, stage=str(event.get("name", "")), done=0, total=0, eta=None, message="")
        case "progress":
            done, total = (int(_number(event.get(name)) or 0) for name in ("done", "total"))
            return replace(state, done=done, total=total, eta=_number(event.get("eta")))
        case "metric":
            name, value = str(event.get("name", "")), event.get("value")
            message = f"{name.replace('_', ' ')}: {_short(value)}"
            return replace(state, metrics={**state.metrics, name: value}, message=message)
        case "artifact":
            kind, path = str(event.get("kind", "")), str(event.get("path", ""))
            return replace(state, artifacts={**state.artifacts, kind: path})
        case "warning":
            message = str(event.get("message", ""))
            return replace(state, warnings=(*state.warnings, message), message=message)
        case "error":
            return replace(state, error=(str(event.get("message", "")), str(event.get("hint", ""))))
        case "done":
            return replace(state, message="Done", eta=0.0, completed=True)
    return state


def _event(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _number(value: Any) -> float | None:
    """A finite number of an event, or None: what another program sends may be anything."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
    return value if usable else None  # NaN is not smaller than anything


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _clean_environment() -> dict[str, str]:
    """The environment without the variables that Blender sets for its own Python. They would break another Python.

    PYTHONSAFEPATH: no Python that the process starts searches the working folder for modules.
    """
    removed = ("PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE")
    kept = {name: value for name, value in os.environ.items() if name not in removed}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
