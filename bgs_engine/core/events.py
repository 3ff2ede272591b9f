"""Events of a running job, and the way to stop it.

A `Reporter` is handed down the pipeline. Library code calls `stage`, `progress`, `metric`, `artifact` and `warning`.
Sinks decide where the events go: JSON lines for Blender, a bar in a terminal, the log in the run folder. Every
`progress` and `check` raises `CancelledError` once the user asked to stop, so a job stops at its next step.

The JSON protocol has one object a line, with the field `event` first (docs/reference/formats.md):
    hello     protocol, version, command
    plan      stages; the names of the stages to come, in order, each with a weight: its share of the time
    stage     name
    progress  done, total, eta (seconds, null while unknown)
    metric    name, value
    artifact  kind, path
    warning   message
    saving    name; a part of the work that must not be broken off has begun
    saved     it is over
    error     code (exit code), message, hint
    done      seconds, and where the job made a run: run (its folder), id (its identity)
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from bgs_engine.core.disk import LogFile
from bgs_engine.core.errors import BgsError, CancelledError, OutputError
from bgs_engine.core.printable import without_surrogates

PROTOCOL = 1
SAVING_SECONDS = 10.0  # longest time that a job which is being stopped may go on with `saving`
PROGRESS_INTERVAL = 0.1  # seconds between two progress events; more would only cost time


class Sink(Protocol):
    """Receives every event as a plain dictionary."""

    def __call__(self, event: dict[str, Any], /) -> None:
        """Take one event."""


class Reporter:
    """Sends events to its sinks. It stops the job after `cancel` was called, from any thread."""

    def __init__(self, sinks: Iterable[Sink] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.sinks = list(sinks)
        self.timings: dict[str, float] = {}
        self.warnings: list[str] = []
        self.metrics: dict[str, float | int | str] = {}
        self._clock = clock
        self._started = self._stage_started = clock()
        self._last_progress = float("-inf")
        self._stage = ""
        self._delivered: dict[str, str] = {}
        self._saving = 0
        self.cancelled = threading.Event()
        self.stopping = False  # `check` has raised, and the job is on its way out
        self.hung_up = False  # who talked to this process has ended the talk: to stop is its usual end

    def send(self, event: str, **fields: Any) -> None:
        """Send one event as it is."""
        for sink in self.sinks:
            sink({"event": event, **fields})

    def cancel(self) -> None:
        """Ask the job to stop at its next step. Signal handlers and other threads may call it."""
        self.cancelled.set()

    def hang_up(self) -> None:
        """Ask a process that answers messages to stop, because there are no more."""
        self.hung_up = True
        self.cancel()

    def check(self) -> None:
        """Raise `CancelledError` if the user asked to stop."""
        if self.cancelled.is_set():
            self.stopping = True
            raise CancelledError

    @property
    def is_saving(self) -> bool:
        """Whether a block of `saving` runs."""
        return self._saving > 0

    @contextmanager
    def saving(self, name: str) -> Iterator[None]:
        """A block that must not be broken off: training, which stops at its next step and writes its checkpoint, or
        the move of a result into place. Who stops the job waits for its end, up to `SAVING_SECONDS`.
        """
        self._saving += 1
        self.send("saving", name=name)
        try:
            yield
        finally:
            self._saving -= 1
            self.send("saved")

    def plan(self, stages: Sequence[tuple[str, float]]) -> None:
        """Tell the names of the stages to come, in order, each with a weight that is its usual share of the time.

        A stage may be left out later, for example because its result is there already.
        """
        self.send("plan", stages=[list(stage) for stage in stages])

    def stage(self, name: str) -> None:
        """Begin a stage. Its duration goes into `timings` when the next stage begins."""
        self.check()
        self._close_stage()
        self._stage, self._stage_started, self._last_progress = name, self._clock(), float("-inf")
        self.send("stage", name=name)

    def progress(self, done: int, total: int) -> None:
        """Report how far the stage is. It is cheap enough to be called in every step."""
        self.check()
        now = self._clock()
        if done < total and now - self._last_progress < PROGRESS_INTERVAL:
            return
        self._last_progress = now
        elapsed = now - self._stage_started
        eta = round(elapsed * (total - done) / done, 1) if done else None
        self.send("progress", done=done, total=total, eta=eta)

    def track(self, items: Iterable[Any], total: int) -> Iterator[Any]:
        """Yield the items and report progress after each."""
        self.progress(0, total)
        for done, item in enumerate(items, 1):
            yield item
            self.progress(done, total)

    def metric(self, name: str, value: float | int | str) -> None:
        """Report a measured figure. `metrics` keeps the last figure of each name."""
        self.metrics[name] = value
        self.send("metric", name=name, value=value)

    def artifact(self, kind: str, path: Path) -> None:
        """Report a file or folder that the job has finished writing."""
        self.send("artifact", kind=kind, path=str(path))

    def warning(self, message: str) -> None:
        """Report a fact that the user should know and that does not stop the job."""
        self.warnings.append(message)
        self.send("warning", message=message)

    def error(self, error: BgsError) -> None:
        """Report why the job ends."""
        self.send("error", code=int(error.exit_code), message=error.message, hint=error.hint)

    def deliver(self, run: Path, identity: str) -> None:
        """Note which run this job has made: its folder, and the `id` in its run.json. `done` names it."""
        self._delivered = {"run": str(run), "id": identity}

    def done(self) -> None:
        """Report success. It is the last event."""
        self._close_stage()
        self.send("done", seconds=round(self._clock() - self._started, 3), **self._delivered)

    def _close_stage(self) -> None:
        if self._stage:
            seconds = self._clock() - self._stage_started
            self.timings[self._stage] = round(self.timings.get(self._stage, 0.0) + seconds, 3)
            self._stage = ""


def json_sink(stream: IO[str]) -> Sink:
    """A sink that writes one JSON object a line and flushes it, for a program that reads along.

    If the stream cannot be written, the next event raises `OutputError`, and an error goes to standard error instead.
    """
    failure: OSError | None = None

    def sink(event: dict[str, Any]) -> None:
        nonlocal failure
        # The end of standard input tells the job that its reader went away. A broken pipe must not end it before.
        try:
            if failure is None:
                stream.write(json.dumps(without_surrogates(event), allow_nan=False, default=str) + "\n")
                stream.flush()
        except (BrokenPipeError, ValueError):
            pass
        except OSError as error:
            failure = error
        if failure is None or event["event"] == "hello":  # the job has not begun: its next event says it
            return
        if event["event"] == "error":
            with suppress(OSError):
                sys.stderr.write(f"Error: {event['message']} {event['hint']}".strip() + "\n")
            return
        raise OutputError(
            f"Events cannot be written to standard output: {failure.strerror}.",
            "Let them go to a pipe, or to a file on a disk with room.",
        )

    return sink


@contextmanager
def log_to(reporter: Reporter, path: Path) -> Iterator[None]:
    """Also write every event of the block to a file of JSON lines, with the time of day in seconds."""
    log = LogFile(path)

    def sink(event: dict[str, Any]) -> None:
        log.write(json.dumps({**event, "time": round(time.time(), 3)}, allow_nan=False, default=str) + "\n")

    reporter.sinks.append(sink)
    try:
        yield
    finally:
        reporter.sinks.remove(sink)
        log.close()


def watch_stdin(reporter: Reporter, stream: IO[str] | None = None) -> threading.Thread:
    """Cancel on the word `cancel`, and at the end of the input, when the program that started the job has gone."""

    def watch() -> None:
        for line in stream or sys.stdin:
            if line.strip() == "cancel":
                break
        reporter.cancel()

    thread = threading.Thread(target=watch, name="bgs-stdin", daemon=True)
    thread.start()
    return thread
