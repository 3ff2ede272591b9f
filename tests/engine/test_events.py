"""The reporter: order of events, stopping, and the JSON lines that other programs read."""

import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from bgs_engine.core.errors import CancelledError, ExitCode, InputError
from bgs_engine.core.events import PROGRESS_INTERVAL, Reporter, json_sink, log_to, watch_stdin

PATIENCE = 10.0  # seconds a thread may take on a busy machine


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_events_come_in_order_to_every_sink() -> None:
    clock = Clock()
    first: list[dict[str, Any]] = []
    second: list[dict[str, Any]] = []
    reporter = Reporter([first.append, second.append], clock)
    reporter.stage("read")
    clock.now += 2
    reporter.progress(1, 5)
    reporter.metric("count", 7)
    reporter.stage("train")
    reporter.warning("few views")
    reporter.artifact("run", Path("out"))
    clock.now += 3
    reporter.error(InputError("Bad.", "Mend it."))
    reporter.done()
    assert first == second
    assert first == [
        {"event": "stage", "name": "read"},
        {"event": "progress", "done": 1, "total": 5, "eta": 8.0},  # 2 s for the first of five
        {"event": "metric", "name": "count", "value": 7},
        {"event": "stage", "name": "train"},
        {"event": "warning", "message": "few views"},
        {"event": "artifact", "kind": "run", "path": "out"},
        {"event": "error", "code": 3, "message": "Bad.", "hint": "Mend it."},
        {"event": "done", "seconds": 5.0},
    ]
    assert reporter.timings == {"read": 2.0, "train": 3.0} and reporter.warnings == ["few views"]


def test_a_stage_entered_twice_adds_up() -> None:
    clock = Clock()
    reporter = Reporter(clock=clock)
    for name in ("a", "b", "a"):
        reporter.stage(name)
        clock.now += 1.5
    reporter.done()
    assert reporter.timings == {"a": 3.0, "b": 1.5}


def test_progress_is_thinned_out_but_its_end_always_comes() -> None:
    clock = Clock()
    events: list[dict[str, Any]] = []
    reporter = Reporter([events.append], clock)
    reporter.stage("train")
    for done in range(1001):
        reporter.progress(done, 1000)
        clock.now += PROGRESS_INTERVAL / 10
    shares = [e["done"] for e in events if e["event"] == "progress"]
    assert shares[0] == 0 and shares[-1] == 1000
    assert 90 <= len(shares) <= 102  # one in ten or, by rounding of the clock, eleven; plus first and last
    assert events[1]["eta"] is None  # nothing done: unknown


def test_track_yields_everything_and_counts() -> None:
    events: list[dict[str, Any]] = []
    reporter = Reporter([events.append])
    assert list(reporter.track(iter("abc"), 3)) == ["a", "b", "c"]
    assert events[0] == {"event": "progress", "done": 0, "total": 3, "eta": None}
    assert events[-1]["done"] == 3


def test_cancel_stops_at_the_next_step() -> None:
    reporter = Reporter()
    seen = []
    with pytest.raises(CancelledError) as caught:
        for item in reporter.track(range(10), 10):
            seen.append(item)
            if item == 4:
                reporter.cancel()
    assert seen == [0, 1, 2, 3, 4]
    assert caught.value.exit_code == ExitCode.CANCELLED
    for step in (reporter.check, lambda: reporter.stage("next"), lambda: reporter.progress(1, 2)):
        with pytest.raises(CancelledError):
            step()


def test_json_lines() -> None:
    stream = io.StringIO()
    reporter = Reporter([json_sink(stream)])
    reporter.send("hello", protocol=1, command="train")
    reporter.warning("Größe\nunklar")
    reporter.artifact("ply", Path("a b.ply"))
    lines = stream.getvalue().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["hello", "warning", "artifact"]
    assert lines[0].startswith('{"event": "hello"')  # the event comes first
    assert json.loads(lines[1])["message"] == "Größe\nunklar"


def test_a_reader_that_went_away_does_not_end_the_job() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        reporter = Reporter([json_sink(stream)])
        reporter.metric("a", 1)
        os.close(reading)
        reporter.metric("b", 2)
        closed = io.StringIO()
        closed.close()
        Reporter([json_sink(closed)]).metric("c", 3)
        # What the broken pipe left in the buffer must go before the file object flushes it once more.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def test_log_keeps_the_block_and_appends(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    events: list[dict[str, Any]] = []
    reporter = Reporter([events.append])
    reporter.metric("before", 0)
    for value in (1, 2):
        with log_to(reporter, path):
            reporter.metric("inside", value)
    with pytest.raises(InputError), log_to(reporter, path):
        raise InputError("stop")
    reporter.metric("after", 3)
    logged = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["value"] for line in logged] == [1, 2]
    assert all(line["time"] > 1.6e9 for line in logged)  # seconds since 1970, not since the start
    assert len(reporter.sinks) == 1 and "time" not in events[1]


@pytest.mark.parametrize("last", ["", "cancel\nmore\n", "  cancel  \n"])
def test_end_of_input_or_the_word_cancels(last: str) -> None:
    reporter = Reporter()
    watch_stdin(reporter, io.StringIO("something\n" + last)).join(PATIENCE)
    with pytest.raises(CancelledError):
        reporter.check()


def test_an_open_input_cancels_nothing() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stream:
        reporter = Reporter()
        thread = watch_stdin(reporter, stream)
        os.write(writing, b"hello\n")
        thread.join(0.05)
        reporter.check()
        assert thread.is_alive() and thread.daemon  # a daemon: it must not keep a finished job from ending
        os.close(writing)
        thread.join(PATIENCE)
        assert not thread.is_alive()
        with pytest.raises(CancelledError):
            reporter.check()


def test_cancel_from_another_thread() -> None:
    reporter = Reporter()
    threading.Timer(0.01, reporter.cancel).start()
    with pytest.raises(CancelledError):
        while True:
            reporter.progress(0, 1)


def test_done_names_the_run_that_was_made() -> None:
    events: list[dict[str, Any]] = []
    reporter = Reporter([events.append])
    reporter.deliver(Path("/tmp/run"), "0123")
    reporter.done()
    assert events[-1].keys() == {"event", "seconds", "run", "id"}
    assert events[-1]["run"] == str(Path("/tmp/run")) and events[-1]["id"] == "0123"


def test_who_stops_a_job_knows_when_it_must_wait() -> None:
    events: list[dict[str, Any]] = []
    reporter = Reporter([events.append])
    reporter.cancel()
    with pytest.raises(CancelledError), reporter.saving("training"):
        assert reporter.is_saving and not reporter.stopping
        reporter.check()
    assert not reporter.is_saving and reporter.stopping
    assert events == [{"event": "saving", "name": "training"}, {"event": "saved"}]
