"""Runs pip, uv, npm and the new Python one after the other, and stops them on request."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bgs_engine.core import child_environment, processes
from bgs_engine.core.printable import without_surrogates

from .failures import CommandFailed
from .lock import Locked, requirements

PIP = ("-P", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off")
# pip installs exactly the packages of the list, from wheels whose hash is in it, and runs no code of theirs.
HASHED = ("--require-hashes", "--no-deps", "--only-binary", ":all:")
LONGEST_SHOWN = 40  # letters that the sidebar has room for
LONGEST_LINE = 1 << 16  # bytes
KEPT_LINES = 400
LOOK_SECONDS = 2.0  # between two looks at how much has arrived


def say(event: str, **fields: Any) -> None:
    """One event for whoever started us, who may have gone."""
    with suppress(OSError, ValueError):
        sys.stdout.write(json.dumps(without_surrogates({"event": event, **fields})) + "\n")
        sys.stdout.flush()


class Cancelled(Exception):  # noqa: N818 - not an error
    """The user asked to stop."""


class Runner:
    """Runs commands for an environment in the folder `environment`.

    Downloads go there too. So a small temporary folder is no obstacle, their size can be measured, and they go with the
    environment if it is not finished.
    """

    def __init__(self, environment: Path) -> None:
        self.environment = environment
        self.scratch = environment / "bgs-downloads"
        self.stopping = threading.Event()

    def watch(self) -> None:
        """Stop at the line `cancel`, at the end of standard input, and at SIGINT or SIGTERM; report the size."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.stopping.set())
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._measure, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            if line.strip() == "cancel":
                break
        self.stopping.set()

    def _measure(self) -> None:
        """Report how much has arrived. Without a terminal, pip and uv show no progress."""
        shown = 0
        while not self.stopping.wait(LOOK_SECONDS):
            megabytes = size_of(self.environment) // 1_000_000
            if megabytes != shown:
                say("metric", name="in the folder", value=f"{megabytes:,} MB")
            shown = megabytes

    def run(self, command: Sequence[str], path: Path | None = None) -> list[str]:
        """Run a command; its output goes to the log. Returns the last lines of its output.

        Args:
            command: program and arguments.
            path: a folder that is searched for programs first.

        Raises:
            CommandFailed: it ended with an error.
            Cancelled: the user asked to stop. The command has ended, with all that it started.
            OSError: it cannot be started.
        """
        if self.stopping.is_set():
            raise Cancelled
        _log("$ " + " ".join(command))
        self.scratch.mkdir(exist_ok=True)
        env = child_environment.chosen(child_environment.INSTALLER)
        env |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self.scratch))
        if path is not None:
            env["PATH"] = os.pathsep.join((str(path), env.get("PATH", "")))
        process = processes.start(command, env=env)
        lines: deque[str] = deque(maxlen=KEPT_LINES)
        reader = threading.Thread(target=_copy, args=(process, lines), daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                if self.stopping.wait(0.05):
                    raise Cancelled
        finally:
            if process.returncode is None:
                processes.end_tree(process)
        reader.join(1)
        if process.returncode:
            raise CommandFailed(Path(command[0]).name, process.returncode, list(lines))
        return list(lines)

    def pip(self, python: Path, *arguments: str) -> None:
        """Run `pip install` with these arguments. Raises what `run` raises."""
        self.run([str(python), *PIP, *arguments])

    def install(self, python: Path, locked: Iterable[Locked]) -> None:
        """Install packages of the lock file, each checked against its hashes. Raises what `run` raises."""
        self.scratch.mkdir(exist_ok=True)
        listed = self.scratch / "packages.txt"
        listed.write_text(requirements(locked), encoding="utf-8")
        self.pip(python, *HASHED, "-r", str(listed))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, while it changes."""
    total, folders = 0, [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # gone since it was listed
    return total


def _log(line: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _copy(process: "subprocess.Popen[bytes]", lines: "deque[str]") -> None:
    assert process.stdout is not None
    while raw := process.stdout.readline(LONGEST_LINE):
        line = raw.decode("utf-8", "replace").rstrip()
        lines.append(line)
        _log(line)
        if line.startswith(("Collecting", "Downloading", "Installing", "Successfully")):
            said = line.split(" (from ")[0]
            say("metric", name="pip", value=said if len(said) <= LONGEST_SHOWN else f"{said[: LONGEST_SHOWN - 3]}...")
