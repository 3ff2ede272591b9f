"""What reaches a terminal, a log or another program's JSON reader, whatever a file is called."""

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bgs_engine.cli import main
from bgs_engine.cli.terminal import _plain
from bgs_engine.core.events import Reporter, json_sink
from bgs_engine.core.printable import printable, without_surrogates
from bgs_engine.pipeline.work_folder import work_folder
from tools.environments import ROOT

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\x9b31mhouse\u202eylp"  # sets the title, clears, starts the line anew, turns text
SAFE = r"\x1b]0;owned\x07\x1b[2J\r\x9b31mhouse\u202eylp"


def test_control_characters_become_escapes_and_names_stay() -> None:
    assert printable(HOSTILE) == SAFE
    assert printable("Größe 椅子 كرسي 👩‍🚀 a\u00a0b") == "Größe 椅子 كرسي 👩‍🚀 a\u00a0b"
    assert printable("a\nb\tc") == r"a\nb\tc" and printable("a\nb\tc", keep="\n") == "a\nb\\tc"
    assert printable("caf\udce9") == r"caf\udce9"  # a byte that is no UTF-8


@pytest.mark.parametrize(
    "event",
    [
        {"event": "warning", "message": HOSTILE},
        {"event": "error", "code": 3, "message": HOSTILE, "hint": HOSTILE},
        {"event": "metric", "name": HOSTILE, "value": HOSTILE},
        {"event": "artifact", "kind": HOSTILE, "path": HOSTILE},
        {"event": "stage", "name": HOSTILE},
        {"event": "done", "seconds": HOSTILE},
    ],
)
def test_no_event_reaches_the_terminal_as_it_is(event: dict, capsys: pytest.CaptureFixture[str]) -> None:
    _plain(event)
    shown = capsys.readouterr().err
    assert SAFE in shown and shown.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    "arguments", [["segment", HOSTILE, "-o", "out"], ["train", "x", "-o", "y", HOSTILE], [HOSTILE]]
)
def test_wrong_arguments_are_repeated_without_their_control_characters(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert main(arguments) == 3
    except SystemExit as stop:
        assert stop.code == 2
    shown = capsys.readouterr().err
    assert "house" in shown and "\x1b" not in shown and "\x07" not in shown and "\x9b" not in shown


def test_a_debug_trace_and_a_bug_are_shown_without_control_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(HOSTILE)

    assert main(["export", HOSTILE, "-o", str(tmp_path / "out"), "--debug"]) == 3
    monkeypatch.setattr("bgs_engine.io.run_folder.open_run", fail)
    assert main(["export", "x", "-o", str(tmp_path / "out")]) == 1
    shown = capfd.readouterr().err
    assert SAFE in shown and "\x1b" not in shown


def test_events_are_valid_for_every_reader() -> None:
    stream = io.StringIO()
    reporter = Reporter([json_sink(stream)])
    reporter.artifact("run", Path(os.fsdecode(b"/tmp/caf\xe9\x1b")))
    reporter.metric("name", os.fsdecode(b"\xff"))
    text = stream.getvalue()
    assert text.isascii() and "\x1b" not in text
    path = json.loads(text.splitlines()[0])["path"]
    path.encode("utf-8")  # a lone surrogate would raise
    assert path == "/tmp/caf\\udce9\x1b" == without_surrogates(os.fsdecode(b"/tmp/caf\xe9\x1b"))


def test_the_log_takes_every_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter()
    with work_folder(tmp_path / "run", reporter, resume=False) as partial:
        reporter.warning(HOSTILE + "\nsecond line\udcff")
        logging.getLogger("bgs_engine").error("caf\udce9")
        text = (partial / "engine.log").read_text(encoding="utf-8")
        events = (partial / "events.jsonl").read_text(encoding="utf-8")
    assert SAFE in text and "\x1b" not in text and r"\nsecond line\udcff" in text and r"caf\udce9" in text
    assert json.loads(events.splitlines()[0])["message"].startswith(HOSTILE)
    assert "Logging error" not in capfd.readouterr().err


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="this system's file names are Unicode")
@pytest.mark.parametrize("options", [[], ["--events"]])
def test_a_file_name_that_is_no_text_ends_in_a_sentence(tmp_path: Path, options: list[str]) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9\x1b[31m.ply"
    Path(os.fsdecode(name)).write_text("no splat")
    place = os.fsencode(tmp_path) + b"/r\xff"
    command = [sys.executable, "-m", "bgs_engine", "segment", os.fsdecode(name), "-o", os.fsdecode(place), *options]
    run = subprocess.run(
        command, capture_output=True, check=False, cwd=ROOT, stdin=subprocess.PIPE if options else None
    )
    assert run.returncode in (3, 130), run.stderr  # 130: the end of standard input came first
    shown = run.stdout + run.stderr
    assert b"Traceback" not in shown and b"\x1b" not in shown and b"\xe9" not in shown
    shown.decode("utf-8")
    for line in run.stdout.splitlines():
        json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8")
