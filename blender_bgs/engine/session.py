"""Owns one `bgs serve` process: sends it what a person points at and keeps its newest answer. It does not use bpy.

No method waits for the process: asks go through a thread that writes, and answers through one that reads and decodes.
The protocol is described in docs/reference/formats.md. If Blender dies, the pipe closes and the process ends.
"""

import contextlib
import json
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bgs_engine.clicks.prompt import Prompt
from bgs_engine.clicks.wire import answer_from, ask_message, id_of
from bgs_engine.core.errors import BgsError

from .job_log import LONGEST_KEPT, JobLog
from .process import EngineProcess
from .progress import UPDATE, advance, event_in
from .session_state import Refusal as Refusal  # for those who use sessions
from .session_state import SessionState as SessionState

# As for a job (job.py): together they stay below the second that the manual promises.
END_GRACE = 0.65  # seconds until the process is terminated
KILL_GRACE = 0.15  # seconds after that until it is killed
LONGEST_ANSWER = 1 << 28  # characters of a line: three sizes of a splat of ten million Gaussians have a fifth of it


def serve_arguments(source: Path, masks_model: str = "", fetch: bool = True) -> list[str]:
    """The arguments of the engine for a session.

    Args:
        source: a run folder, or the PLY file of a splat.
        masks_model: as Segment's setting; a folder of masks answers no clicks, so the default model is taken instead.
        fetch: whether a missing mask model may be downloaded.
    """
    model = masks_model if masks_model and not masks_model.startswith("import:") else ""
    return [
        "serve", str(source), *(["--masks-model", model] if model else []), *([] if fetch else ["--no-fetch"]),
    ]  # fmt: skip


class Session:
    """A running `bgs serve`. All methods but `wait` return at once. Any thread may read `state`."""

    def __init__(self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> None:
        """Start `command`, which `locate.command(python, serve_arguments(...))` makes.

        Args:
            command: program and arguments.
            log: file for what the process says. Answers are written shortened.
            env: environment variables in addition to those that jobs get.

        Raises:
            OSError: the program cannot be started, or the log cannot be made.
        """
        self.command = list(command)
        self.log = log
        self._changed = threading.Condition()
        self._state = SessionState()
        self._closing = False
        self._waiting: Prompt | None = None  # the newest ask, until it is sent
        self._unanswered = False  # the newest ask
        self._lines: list[str] = []  # further lines to send
        self._log = JobLog(log)
        try:
            self._process = EngineProcess(self.command, env=env)
        except OSError:
            self._log.close()
            raise
        self._readers = [threading.Thread(target=target, daemon=True) for target in (self._read, self._read_errors)]
        for thread in (*self._readers, *(threading.Thread(target=t, daemon=True) for t in (self._write, self._wait))):
            thread.start()
        _open.add(self)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def state(self) -> SessionState:
        """The present state."""
        with self._changed:
            return self._state

    def ask(self, prompt: Prompt) -> int:
        """Ask about a prompt; returns the number of the ask. It replaces an ask that runs or waits.

        It may be called while the session opens. The arrays must not be changed afterwards. After the end of the
        process nothing happens.
        """
        with self._changed:
            number = self._state.asked + 1
            self._waiting, self._unanswered = prompt, True
            self._set(asked=number, refusal=None, phase=self._phase())
            return number

    def cancel(self) -> None:
        """Drop the ask that runs or waits. The state is "ready" at once; no answer to it comes any more."""
        with self._changed:
            self._waiting, self._unanswered = None, False
            self._lines.append(json.dumps({"do": "cancel"}))
            self._set(phase=self._phase())

    def close(self) -> None:
        """End the process, and kill it if it does not end. Returns at once; the process is gone within a second."""
        with self._changed:
            if self._closing or self._state.over:
                return
            self._closing = True
            self._waiting, self._unanswered = None, False
            self._lines.append(json.dumps({"do": "end"}))
            self._set()
        threading.Thread(target=self._stop, daemon=True).start()

    def wait(self, timeout: float, *phases: str) -> SessionState:
        """Block until the session is in one of the phases, or over, or the seconds have passed; returns the state."""
        with self._changed:
            self._changed.wait_for(lambda: self._state.over or self._state.phase in phases, timeout)
            return self._state

    def details(self) -> str:
        """The command, the last lines of the log and the error, for a bug report."""
        error = self.state.error
        said = [" ".join(filter(None, error))] if error else []
        return "\n".join(["$ " + " ".join(self.command), *self._log.last_lines(), *said, f"full log: {self.log}"])

    def _set(self, **fields: Any) -> None:
        """Change the state; the caller holds the lock."""
        self._state = replace(self._state, **fields, changes=self._state.changes + 1)
        self._changed.notify_all()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._lines or self._state.over)
                if self._state.over:
                    return
                lines, self._lines = self._lines, []
                prompt, self._waiting = self._waiting, None
                number = self._state.asked
            if prompt is not None:
                try:
                    lines.append(json.dumps(ask_message(number, prompt), allow_nan=False))
                except ValueError:  # JSON has no infinite numbers
                    self._refuse(number, "The place has no finite coordinates.", "Click another place.")
            for line in lines:
                if not self._process.send(line):
                    return  # it has gone; `_wait` says so

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):  # the pipe was closed under us
            while line := self._process.output.readline(LONGEST_ANSWER):
                line = line.rstrip("\n")
                event = event_in(line)
                self._log.write(line[:LONGEST_KEPT], keep=event is None)
                if event is not None:
                    self._take(event)

    def _read_errors(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            while line := self._process.errors.readline(LONGEST_KEPT):
                self._log.write(line.rstrip("\n"), keep=True)

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, number = event.get("event"), id_of(event)
        if kind == "answer":
            self._take_answer(event, number)
            return
        with self._changed:
            ours = self._unanswered and number in (None, self._state.asked)
            if kind == "ready" and self._state.phase == "opening":
                count, views = (_count(event.get(name)) for name in ("gaussians", "views"))
                self._set(gaussians=count, views=views, phase=self._phase(ready=True))
            elif kind == "refused" and ours:
                message, hint = (str(event.get(name) or "")[:LONGEST_KEPT] for name in ("message", "hint"))
                self._answered(refusal=Refusal(number, message, hint))
            elif kind == "cancelled" and ours and number is not None:
                self._answered()
            elif kind not in ("refused", "cancelled", "done"):
                opening = advance(self._state.opening, event)
                self._set(opening=opening, error=opening.error)

    def _take_answer(self, event: Mapping[str, Any], number: int | None) -> None:
        if not self._unanswered or number != self.state.asked:
            return  # to an ask that was replaced or dropped
        fields: dict[str, Any] = {}
        try:
            fields["reply"] = answer_from(event, self.state.gaussians)  # it takes a while, so without the lock
        except BgsError as error:
            fields["refusal"] = Refusal(number, error.message, error.hint)
        with self._changed:
            if self._unanswered and number == self._state.asked:
                self._answered(**fields)

    def _refuse(self, number: int, message: str, hint: str) -> None:
        with self._changed:
            if self._unanswered and number == self._state.asked:
                self._answered(refusal=Refusal(number, message, hint))

    def _answered(self, **fields: Any) -> None:
        self._unanswered = False
        self._set(**fields, phase=self._phase())

    def _phase(self, ready: bool = False) -> str:
        """The phase that follows from what is unanswered; the caller holds the lock."""
        if not ready and self._state.phase not in ("ready", "asking"):
            return self._state.phase
        return "asking" if self._unanswered else "ready"

    def _stop(self) -> None:
        if not self._process.ends_within(END_GRACE):
            self._process.terminate()
            if os.name == "nt" or not self._process.ends_within(KILL_GRACE):
                self._process.kill()

    def _wait(self) -> None:
        code = self._process.wait()
        for thread in self._readers:
            thread.join(timeout=0.5)  # what it said last; a program that it started may hold the pipe open
        self._process.kill_group()
        self._process.close_input()
        self._log.close()
        with self._changed:
            if self._closing:
                self._set(phase="ended", error=None)
            else:
                self._set(phase="failed", error=self._state.error or self._unsaid_error(code))

    def _unsaid_error(self, code: int) -> tuple[str, str]:
        last = next((line.strip() for line in reversed(self._log.last_lines()) if line.strip()), "")
        if "invalid choice: 'serve'" in last:
            return "The installed engine cannot answer clicks: it is older than this extension.", UPDATE
        last = f" {last.rstrip('.')}." if last else ""
        return f"The engine ended unexpectedly (exit code {code}).{last}", "Copy the details."


_open: "weakref.WeakSet[Session]" = weakref.WeakSet()


def close_all(seconds: float = 0.0) -> None:
    """Close every session: Blender ends, loads another file, or the extension is switched off.

    Args:
        seconds: to wait for their end; they end without it too.
    """
    sessions = list(_open)
    for session in sessions:
        session.close()
    end = time.monotonic() + seconds
    for session in sessions:
        session.wait(max(0.0, end - time.monotonic()))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else 0
