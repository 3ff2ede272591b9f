"""Events for a person at a terminal: one progress bar, and a line for each event worth keeping."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from bgs_engine.core.events import Sink

_SILENT_METRICS = ("loss",)  # of interest in the log, noise on a terminal


@contextlib.contextmanager
def terminal_sink() -> Iterator[Sink]:
    """A rich progress bar on standard error; plain lines where rich is missing or the output is no terminal."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ModuleNotFoundError:
        yield _plain
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=None)

        def sink(event: dict[str, Any]) -> None:
            if event["event"] == "stage":
                progress.reset(task, description=event["name"], total=None)
            elif event["event"] == "progress":
                progress.update(task, completed=event["done"], total=event["total"])
            elif (line := _line(event)) is not None:
                console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield sink


def _plain(event: dict[str, Any]) -> None:
    line = event["name"] if event["event"] == "stage" else _line(event)
    if line is not None:
        with contextlib.suppress(OSError):  # it is full or its reader has gone: the job goes on
            sys.stderr.write(line + "\n")


def _line(event: dict[str, Any]) -> str | None:
    """An event as a line for a person, or None if it is not worth one."""
    match event["event"]:
        case "warning":
            return f"Warning: {event['message']}"
        case "error":
            return f"Error: {event['message']} {event['hint']}".strip()
        case "metric" if event["name"] not in _SILENT_METRICS:
            return f"  {event['name']}: {event['value']}"
        case "artifact":
            return f"Wrote {event['kind']}: {event['path']}"
        case "done":
            return f"Done in {event['seconds']} s."
    return None
