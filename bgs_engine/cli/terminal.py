"""Events for a person at a terminal: one progress bar, and a line for each event worth keeping."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from bgs_engine.core.events import Sink
from bgs_engine.core.printable import printable

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
                progress.reset(task, description=printable(event["name"]), total=None)
            elif event["event"] == "progress":
                progress.update(task, completed=event["done"], total=event["total"])
            elif (line := _line(event)) is not None:
                console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield sink


def _plain(event: dict[str, Any]) -> None:
    line = printable(event["name"]) if event["event"] == "stage" else _line(event)
    if line is not None:
        with contextlib.suppress(OSError):  # it is full or its reader has gone: the job goes on
            sys.stderr.write(line + "\n")


def _line(event: dict[str, Any]) -> str | None:
    """An event as a line for a person, or None if it is not worth one. A terminal obeys nothing in it."""
    match event["event"]:
        case "warning":
            text = f"Warning: {event['message']}"
        case "error":
            text = f"Error: {event['message']} {event['hint']}".strip()
        case "metric" if event["name"] not in _SILENT_METRICS:
            text = f"  {event['name']}: {event['value']}"
        case "artifact":
            text = f"Wrote {event['kind']}: {event['path']}"
        case "done":
            text = f"Done in {event['seconds']} s."
        case _:
            return None
    return printable(text)
