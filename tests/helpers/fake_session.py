"""Stands in for `bgs serve`: a real process with the real protocol that suggests the Gaussians around the first place.

Its splat is a row of COUNT Gaussians at (0, 0, 0), (1, 0, 0), ... BGS_FAKE_SESSION chooses what it does: `good` (the
default), `slow` (an ask takes until it is cancelled), `deaf` (hears neither `end` nor terminate), `crash` (on an ask),
`failing` (does not open), `odd` (sends answers that are none), `old` (an engine that knows no `serve`), `still` (reads
nothing).
"""

import json
import os
import queue
import signal
import sys
import threading
import time

import numpy as np

from bgs_engine.clicks.prompt import Answer, Suggestion
from bgs_engine.clicks.wire import answer_message, id_of, prompt_from
from bgs_engine.core.errors import InputError

COUNT = 1000
RADII = (2.0, 10.0, 100.0)


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def answer(message):
    try:
        prompt = prompt_from(message, COUNT)
    except InputError as error:
        say("refused", id=id_of(message), message=error.message, hint=error.hint)
        return
    distance = np.abs(np.arange(COUNT) - prompt.places[0][0])
    sizes = [distance <= radius for radius in RADII]
    confidence = (1 / (1 + distance)).astype(np.float32)
    suggestions = tuple(Suggestion(size, confidence, number + 1) for number, size in enumerate(sizes))
    say("answer", **answer_message(message["id"], Answer(suggestions, 1), 0.01))


def main():
    mode = os.environ.get("BGS_FAKE_SESSION", "good")
    say("hello", protocol=1, version="0", command="serve")
    if mode == "old":
        sys.exit("bgs: error: argument COMMAND: invalid choice: 'serve' (choose from segment, views)")
    say("stage", name="reading scene")
    say("progress", done=1, total=2, eta=0.1)
    if mode == "failing":
        say("error", code=3, message="There is no splat.", hint="Give one.")
        sys.exit(3)
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mode == "still":
        say("ready", gaussians=COUNT, views=3)
        time.sleep(600)
    lines: queue.Queue[dict] = queue.Queue()

    def read():
        for line in sys.stdin:
            lines.put(json.loads(line))
        lines.put({"do": "end"})

    threading.Thread(target=read, daemon=True).start()
    say("ready", gaussians=COUNT, views=3)
    running = None
    while True:
        message = lines.get()
        if running is not None and message["do"] in ("ask", "cancel"):
            say("cancelled", id=running)
            running = None
        if message["do"] == "end" and mode != "deaf":
            say("done", seconds=1.0)
            return
        if message["do"] == "ask" and mode == "crash":
            sys.stderr.write("Segmentation fault\n")
            os._exit(139)
        if message["do"] == "ask" and mode == "slow":
            running = message["id"]
        elif message["do"] == "ask" and mode == "odd":
            say("answer", id=message["id"], suggestions=[{"gaussians": "?"}], likeliest=7)
        elif message["do"] == "ask":
            answer(message)


if __name__ == "__main__":
    main()
