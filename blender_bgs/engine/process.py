"""A process of the engine and its pipes. It leads a session of its own, and what it starts is ended with it. No bpy."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from bgs_engine.core import child_environment
from bgs_engine.core.processes import kill_tree


class EngineProcess:
    """A running process that reads lines and writes lines.

    Raises:
        OSError: the program does not exist or cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        variables: tuple[str, ...] = child_environment.ENGINE,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start `command`; no shell is involved. The other arguments are those of `Job`."""
        groups: dict[str, Any] = (
            {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
            if os.name == "nt"
            else {"start_new_session": True}
        )
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**child_environment.chosen(variables), "PYTHONUNBUFFERED": "1", **(env or {})},
            cwd=cwd,
            **groups,
        )

    @property
    def pid(self) -> int:
        """The id of the process and of its process group."""
        return self._process.pid

    @property
    def output(self) -> IO[str]:
        """What it writes to standard output."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def errors(self) -> IO[str]:
        """What it writes to standard error."""
        assert self._process.stderr is not None
        return self._process.stderr

    def send(self, line: str) -> bool:
        """Write a line to its input. It waits for a process that does not read. False: the process has gone."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def close_input(self) -> None:
        """End its input."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.close()

    def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        return self._process.wait()

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end, up to some seconds; whether it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def terminate(self) -> None:
        """Ask it and what it started to end. Windows knows no such request."""
        if os.name != "nt":
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill it with all that it started."""
        kill_tree(self._process.pid)
        self.kill_group()
        self._process.kill()

    def kill_group(self) -> None:
        """Kill what it left running."""
        if os.name != "nt":
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
