"""`bgs serve` answers the newest ask, drops the others, outlives bad ones, and ends when its input does."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from bgs_engine.clicks.prompt import Answer, Prompt, Suggestion
from bgs_engine.clicks.serving import Asks
from bgs_engine.clicks.wire import answer_from, ask_message
from bgs_engine.core.errors import CancelledError, InputError
from bgs_engine.core.events import Reporter
from bgs_engine.masks.prompting import Check

PATIENCE = 30.0
COUNT = 100


class Stand:
    """Gaussians in a row; suggests those within two of the first place. Places below 0 mean trouble."""

    count, views = COUNT, 3

    def __init__(self) -> None:
        self.began: list[float] = []
        self.ahead = 0

    def answer(self, prompt: Prompt, check: Check) -> Answer:
        x = float(prompt.places[0, 0])
        self.began.append(x)
        if x == -1:
            raise InputError("No view sees this place.", "Click elsewhere.")
        if x == -2:
            raise ZeroDivisionError("by zero")
        if x == -3:
            raise MemoryError
        while x == -4:  # until it is cancelled
            check()
            time.sleep(0.001)
        near = np.abs(np.arange(COUNT) - x) <= 2
        return Answer((Suggestion(near, near.astype(np.float32), 3),), 0)

    def work_ahead(self) -> bool:
        self.ahead += 1
        time.sleep(0.001)
        if self.ahead == 100:
            raise ZeroDivisionError
        return self.ahead < 5


class Talk:
    """A session in a thread, with a pipe for its input."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.stand = Stand()
        self.error: CancelledError | None = None
        self.reporter = Reporter([self.said.append])
        self._out, self._in = os.pipe()
        self.asks = Asks(self.reporter, lambda size: os.read(self._out, size))
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        try:
            self.asks.serve(self.stand)
        except CancelledError as error:
            self.error = error

    def start(self) -> "Talk":
        self.thread.start()
        return self

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._in, data) :]

    def tell(self, message: Any) -> None:
        self.write(json.dumps(message).encode() + b"\n")

    def ask(self, number: int, x: float) -> None:
        self.tell(ask_message(number, Prompt(np.array([[x, 0, 0]]), np.array([True]))))

    def until(self, found: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE
        while not found():
            assert time.monotonic() < end, self.said
            time.sleep(0.002)

    def heard(self, event: str, number: int | None) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [one for one in self.said if one["event"] == event and one["id"] == number]

        self.until(found)
        return found()[0]

    def hang_up(self) -> None:
        if self._in >= 0:
            os.close(self._in)
            self._in = -1


@pytest.fixture
def talk() -> Iterator[Talk]:
    talk = Talk()
    yield talk
    talk.hang_up()
    if talk.thread.ident:
        talk.thread.join(PATIENCE)


def test_an_ask_is_answered(talk: Talk) -> None:
    talk.start().ask(7, 50)
    reply = answer_from(talk.heard("answer", 7), COUNT)
    assert np.flatnonzero(reply.answer.suggestions[0].gaussians).tolist() == [48, 49, 50, 51, 52]
    assert talk.said[0] == {"event": "ready", "gaussians": COUNT, "views": 3}


def test_a_new_ask_cancels_the_one_that_runs_and_only_the_newest_is_answered(talk: Talk) -> None:
    talk.start().ask(1, -4)
    talk.until(lambda: talk.stand.began)
    for number in (2, 3, 4):
        talk.ask(number, 10 * number)
    talk.heard("answer", 4)
    talk.heard("cancelled", 1)
    answered = [one["id"] for one in talk.said if one["event"] == "answer"]
    cancelled = [one["id"] for one in talk.said if one["event"] == "cancelled"]
    assert sorted(answered + cancelled) == [1, 2, 3, 4]  # each ask ends exactly once


def test_cancel_drops_the_ask_that_runs(talk: Talk) -> None:
    talk.start().ask(1, -4)
    talk.until(lambda: talk.stand.began)
    talk.tell({"do": "cancel"})
    talk.heard("cancelled", 1)
    talk.tell({"do": "cancel"})  # nothing runs: nothing happens
    talk.ask(2, 5)
    talk.heard("answer", 2)


def test_asks_before_the_scene_is_open_wait_for_it(talk: Talk) -> None:
    talk.ask(1, 10)
    talk.ask(2, 20)
    time.sleep(0.1)
    talk.start()
    talk.heard("answer", 2)
    talk.heard("cancelled", 1)
    assert talk.stand.began == [20]


@pytest.mark.parametrize(
    ("x", "words"), [(-1, "No view sees this place."), (-2, "ZeroDivisionError: by zero"), (-3, "Memory ran out.")]
)
def test_an_ask_that_fails_is_refused_and_the_session_goes_on(talk: Talk, x: float, words: str) -> None:
    talk.start().ask(1, x)
    refused = talk.heard("refused", 1)
    assert words in refused["message"] and refused["hint"]
    talk.ask(2, 5)
    talk.heard("answer", 2)


@pytest.mark.parametrize(
    "line",
    [b"what", b"[1]", b"7", b"{}", b'{"do": 5}', b'{"do": "ask"}', b'{"do": "ask", "id": "x"}', b"\xff\xfe",
     b'{"do": "ask", "id": null, "places": [[0,0,0]], "inside": [true]}', b"[" * 100_000, b'{"do": "dance"}'],
)  # fmt: skip
def test_what_is_no_message_is_refused(talk: Talk, line: bytes) -> None:
    talk.start().write(line + b"\n\n")
    assert "not understood" in talk.heard("refused", None)["message"]
    talk.ask(2, 5)
    talk.heard("answer", 2)


def test_a_malformed_ask_is_refused_under_its_number(talk: Talk) -> None:
    talk.start().tell({"do": "ask", "id": 9, "places": [[0, 0]], "inside": [True]})
    assert "not understood" in talk.heard("refused", 9)["message"]


def test_a_line_without_an_end_takes_no_memory(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgs_engine.clicks.serving.LONGEST_LINE", 100_000)
    talk.start().write(b"x" * 350_000 + b"\n")
    assert "100,000 bytes" in talk.heard("refused", None)["message"]
    talk.ask(2, 5)
    talk.heard("answer", 2)
    assert len([one for one in talk.said if one["event"] == "refused"]) == 1


@pytest.mark.parametrize("how", ["end", "hang up"])
@pytest.mark.parametrize("busy", [False, True])
def test_the_end_of_the_input_ends_the_session_at_once(talk: Talk, how: str, busy: bool) -> None:
    talk.start()
    if busy:
        talk.ask(1, -4)
        talk.until(lambda: talk.stand.began)
    began = time.monotonic()
    if how == "end":
        talk.tell({"do": "end"})
    else:
        talk.hang_up()
    talk.thread.join(PATIENCE)
    assert time.monotonic() - began < 0.5
    assert talk.asks.ended


def test_it_works_ahead_only_while_there_is_something_to_do(talk: Talk) -> None:
    talk.start()
    talk.until(lambda: talk.stand.ahead == 5)
    time.sleep(0.3)
    assert talk.stand.ahead == 5
    talk.ask(1, 5)  # an ask may leave something to do
    talk.until(lambda: talk.stand.ahead == 6)


def test_what_goes_wrong_ahead_of_asks_ends_nothing(talk: Talk) -> None:
    talk.stand.ahead = 99
    talk.start()
    talk.until(lambda: talk.stand.ahead == 100)
    talk.ask(1, 5)
    talk.heard("answer", 1)
