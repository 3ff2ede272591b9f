"""Answers asks that arrive as JSON lines, one at a time: the newest one, the others are dropped.

A thread reads the lines. The caller's thread answers, and works ahead while nobody asks. A new ask, `cancel`, `end` and
the end of the input stop an ask that runs, through its `check`.
"""

import json
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from bgs_engine.clicks.prompt import Answer, Prompt
from bgs_engine.clicks.wire import answer_message, id_of, prompt_from
from bgs_engine.core.errors import BgsError, CancelledError
from bgs_engine.core.events import Reporter
from bgs_engine.core.printable import printable
from bgs_engine.masks.prompting import Check

LONGEST_LINE = 1 << 25  # bytes; an ask with three sets of 50 million Gaussians has 25 million
READ_AT_ONCE = 1 << 16
LOOK_SECONDS = 0.2  # between two looks at whether a signal asked to stop
BUG_HINT = "This is a bug. Ask again; if it happens again, copy the details."
TOO_LARGE_HINT = "Close other programs, or save and open the file again."


class Answering(Protocol):
    """What answers prompts about one scene. One thread uses it."""

    @property
    def count(self) -> int:
        """N, the rows of the PLY file."""

    @property
    def views(self) -> int:
        """The number of views."""

    def answer(self, prompt: Prompt, check: Check) -> Answer:
        """Suggestions for a prompt. `check` is called often and raises `CancelledError`."""

    def work_ahead(self) -> bool:
        """Do a little that makes later answers sooner; False: nothing is left to do."""


class Asks:
    """The lines of the input. It is made before the scene is opened, so that no ask is lost and `end` ends at once."""

    def __init__(self, reporter: Reporter, read: Callable[[int], bytes] | None = None) -> None:
        """Begin to read.

        Args:
            reporter: cancelled when the input ends or says so.
            read: gives up to some bytes and nothing at the end; None: standard input.
        """
        self.ended = False
        self._reporter = reporter
        self._read = read or (lambda size: os.read(0, size))
        self._news = threading.Condition()
        self._next: Mapping[str, Any] | None = None
        self._stop_running = False
        self._notices: list[tuple[str, dict[str, Any]]] = []  # events to send; one thread alone sends
        threading.Thread(target=self._listen, name="bgs-asks", daemon=True).start()

    def serve(self, session: Answering) -> None:
        """Say `ready`, and answer until the input ends or says so.

        Raises:
            CancelledError: the process was asked to stop by a signal.
        """
        self._reporter.send("ready", gaussians=session.count, views=session.views)
        working = True
        while not self.ended:
            self._reporter.check()
            message = self._take(0.0 if working else LOOK_SECONDS)
            if message is not None:
                self._answer(session, message)
                working = True
            elif working:
                working = self._work_ahead(session)

    def _take(self, seconds: float) -> Mapping[str, Any] | None:
        """The next ask, waited for so long. What cannot be an ask is refused on the way."""
        with self._news:
            self._news.wait_for(lambda: self._next is not None or self._notices or self.ended, seconds)
            notices, self._notices = self._notices, []
            message, self._next = self._next, None
            self._stop_running = False
        for event, fields in notices:
            self._reporter.send(event, **fields)
        return message

    def _work_ahead(self, session: Answering) -> bool:
        try:
            return session.work_ahead()
        except CancelledError:
            raise
        except Exception:  # whatever it is, an ask that needs the same says it
            logging.getLogger("bgs_engine").warning("%s", printable(traceback.format_exc(), keep="\n"))
            return False

    def _answer(self, session: Answering, message: Mapping[str, Any]) -> None:
        """Answer one ask, or say why not. Whatever goes wrong, the session goes on."""
        number, began = id_of(message), time.monotonic()

        def check() -> None:
            self._reporter.check()
            if self._stop_running:
                raise CancelledError

        try:
            prompt = prompt_from(message, session.count)
            check()
            answer = session.answer(prompt, check)
            check()  # it was cancelled at the last moment: the answer is not wanted
            fields = answer_message(number or 0, answer, time.monotonic() - began)
        except CancelledError:
            self._reporter.check()
            self._reporter.send("cancelled", id=number)
        except BgsError as error:
            self._reporter.send("refused", id=number, message=error.message, hint=error.hint)
        except MemoryError:
            self._reporter.send("refused", id=number, message="Memory ran out.", hint=TOO_LARGE_HINT)
        except Exception as error:
            logging.getLogger("bgs_engine").error("%s", printable(traceback.format_exc(), keep="\n"))
            reason = f"The engine failed on this ask: {type(error).__name__}: {error}."
            self._reporter.send("refused", id=number, message=reason, hint=BUG_HINT)
        else:
            self._reporter.send("answer", **fields)

    def _listen(self) -> None:
        """Read until the end. It runs in a thread of its own."""
        for line in self._lines():
            if line is None:
                self._refuse(None, f"A message of more than {LONGEST_LINE:,} bytes is not read.")
                continue
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                if line.strip():
                    self._refuse(None, "A message is not understood: it is no JSON.")
                continue
            what = message.get("do") if isinstance(message, dict) else None
            if what == "end":
                break
            if what == "ask" and id_of(message) is None:
                self._refuse(None, "A message is not understood: 'id' is no whole number.")
            elif what == "ask":
                self._replace(message)
            elif what == "cancel":
                self._replace(None)
            else:
                self._refuse(id_of(message), "A message is not understood: it asks for nothing that is known.")
        with self._news:
            self.ended = True
            self._stop_running = True
            self._news.notify()
        self._reporter.hang_up()

    def _replace(self, message: Mapping[str, Any] | None) -> None:
        """Put an ask in the place of those that run or wait."""
        with self._news:
            if self._next is not None:
                self._notices.append(("cancelled", {"id": id_of(self._next)}))
            self._next = message
            self._stop_running = True
            self._news.notify()

    def _refuse(self, number: int | None, reason: str) -> None:
        with self._news:
            self._notices.append(("refused", {"id": number, "message": reason, "hint": ""}))
            self._news.notify()

    def _lines(self) -> Iterator[bytes | None]:
        """The lines of the input; None for one that is too long."""
        line, too_long = bytearray(), False
        while part := self._part():
            *ends, rest = part.split(b"\n")
            for end in ends:
                line += end
                yield None if too_long or len(line) > LONGEST_LINE else bytes(line)
                line, too_long = bytearray(), False
            line += rest
            if len(line) > LONGEST_LINE:
                line, too_long = bytearray(), True

    def _part(self) -> bytes:
        try:
            return self._read(READ_AT_ONCE)
        except OSError:  # it was closed before the program started
            return b""
