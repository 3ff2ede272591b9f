"""Starts programs so that they and all that they started can be ended for certain.

A child of a process that Blender started stays in that process's group, which Blender ends as a whole. Other children
lead a session of their own, so that Ctrl-C in a terminal reaches them only through us. Ending a program looks for its
children and their children first. On Windows the system's taskkill does that.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

TERMINATE_SECONDS = 0.2  # for programs to end by themselves before they are killed


def start(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None, output: int | IO[Any] = subprocess.PIPE
) -> "subprocess.Popen[bytes]":
    """Start a program without a shell and without input; its errors go where its output goes.

    Raises:
        OSError: it does not exist or cannot be started.
    """
    groups: dict[str, Any] = {}
    if sys.platform == "win32":
        groups = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    elif os.getsid(0) != os.getpid():
        groups = {"start_new_session": True}
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
    return subprocess.Popen(list(command), env=dict(env), cwd=cwd, **pipes, **groups)


def end_tree(process: "subprocess.Popen[Any]", seconds: float = TERMINATE_SECONDS) -> None:
    """End a child process and all that it started; returns when the child is gone."""
    tree = [process.pid, *descendants(process.pid)]
    if sys.platform == "win32":
        _taskkill(process.pid)
    else:
        _signal(tree, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    if sys.platform != "win32":
        _signal([*descendants(process.pid), *tree[1:]], signal.SIGKILL)
    process.kill()
    process.wait()


def kill_tree(pid: int, *, itself: bool = True) -> None:
    """Kill a process and all that it started, at once. It may have ended already.

    Args:
        pid: the process.
        itself: False spares the process and kills what it started.
    """
    if sys.platform == "win32":
        if itself:
            _taskkill(pid)
        return
    _signal([*([pid] if itself else []), *descendants(pid)], signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The children of a process, their children and so on; none on Windows, where taskkill finds them."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    waiting = list(children.get(pid, ()))
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += children.get(one, ())
    return found


def _parents() -> Iterable[tuple[int, int]]:
    """(process, its parent) of all processes of this machine that can be seen."""
    if sys.platform == "win32":
        return []
    if Path("/proc/self/stat").is_file():
        return [pair for entry in Path("/proc").iterdir() if entry.name.isdigit() for pair in _from_proc(entry)]
    with suppress(OSError, subprocess.TimeoutExpired, ValueError):
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, timeout=2).stdout
        return [(int(pid), int(parent)) for pid, parent in map(str.split, listed.splitlines())]
    return []


def _from_proc(entry: Path) -> list[tuple[int, int]]:
    try:
        # The name, in brackets, may hold spaces and brackets. After it come the state and the parent.
        fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
        return [(int(entry.name), int(fields[1]))]
    except (OSError, ValueError, IndexError):
        return []  # it has ended meanwhile


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(OSError):  # it has ended
            os.kill(pid, number)


def _taskkill(pid: int) -> None:
    command = ["taskkill", "/T", "/F", "/PID", str(pid)]
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, check=False, timeout=5, stdin=subprocess.DEVNULL)
