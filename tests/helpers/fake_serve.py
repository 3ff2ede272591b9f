"""Stands in for an engine that answers clicks: `bgs serve SCENE`, as a real process with the real protocol.

It suggests the Gaussians around the first place that is on the thing, within three radii, without those that are nearer
to a place beside it, and only among those that are shown. Marked Gaussians are added, excluded ones are left out. The
likeliest size is the middle one, or the one most like the suggestion that is corrected.
BGS_FAKE_SERVE chooses what it does: `good` (the default), `slow` (opens for seconds), `failing` (does not open),
`refusing` (each ask). BGS_FAKE_SERVE_LOG names a file that gets a line of JSON for each prompt.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from bgs_engine.clicks.prompt import Answer, Prompt, Suggestion
from bgs_engine.clicks.wire import answer_message, id_of, prompt_from
from bgs_engine.core.errors import InputError
from bgs_engine.io.ply import read_ply

RADII = (0.6, 1.3, 4.5)  # of the made splat: a part of a ball, a ball, its neighbours too


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def answer(prompt: Prompt, positions: np.ndarray) -> Answer:
    """What is suggested, from small to large."""
    on, beside = prompt.places[prompt.inside], prompt.places[~prompt.inside]

    def nearest(places: np.ndarray) -> np.ndarray:
        if not len(places):
            return np.full(len(positions), np.inf)
        return np.min([np.linalg.norm(positions - place, axis=1) for place in places], axis=0)

    distance = nearest(on)
    sets = []
    for radius in RADII:
        chosen = (distance <= radius) & (distance < nearest(beside))
        if prompt.so_far is not None and not len(prompt.places):  # an area corrects what was shown
            chosen = prompt.so_far
        chosen = chosen if prompt.marked is None else chosen | prompt.marked
        chosen = chosen if prompt.excluded is None else chosen & ~prompt.excluded
        sets.append(chosen if prompt.among is None else chosen & prompt.among)
    confidence, likeliest = np.ones(len(positions), np.float32), 1
    if prompt.so_far is not None:
        seen = prompt.so_far
        likeliest = int(np.argmax([(chosen & seen).sum() / max(1, (chosen | seen).sum()) for chosen in sets]))
    return Answer(tuple(Suggestion(chosen, confidence, 3) for chosen in sets), likeliest)


def note(prompt: Prompt) -> None:
    """Write down what was asked."""
    path = os.environ.get("BGS_FAKE_SERVE_LOG")
    if path:
        sets = {"marked": prompt.marked, "excluded": prompt.excluded, "among": prompt.among, "so_far": prompt.so_far}
        sizes = {name: None if members is None else int(members.sum()) for name, members in sets.items()}
        view = None
        if prompt.camera is not None:
            view = {**vars(prompt.camera), "viewmat": prompt.camera.viewmat.tolist(), "image": None}
        line = {"places": prompt.places.tolist(), "inside": prompt.inside.tolist(), **sizes, "camera": view}
        with Path(path).open("a") as log:
            log.write(json.dumps(line) + "\n")


def main():
    arguments = sys.argv[sys.argv.index("bgs_engine") + 1 :]
    if arguments[0] != "serve":
        sys.exit(f"bgs: error: argument COMMAND: invalid choice: '{arguments[0]}'")
    mode, source = os.environ.get("BGS_FAKE_SERVE", "good"), Path(arguments[1])
    say("hello", protocol=1, version="0", command="serve")
    say("stage", name="reading scene")
    if mode == "failing":
        say("error", code=3, message="There is no mask model.", hint="Allow Blender to go online.")
        sys.exit(3)
    for done in range(1, 21 if mode == "slow" else 2):
        say("progress", done=done, total=20, eta=1.0)
        time.sleep(0.2 if mode == "slow" else 0.01)
    ply = read_ply(source / "scene.ply" if source.is_dir() else source)
    positions = ply.columns(("x", "y", "z"), np.float64)
    say("ready", gaussians=ply.count, views=3)
    for line in sys.stdin:
        message = json.loads(line)
        if message["do"] == "end":
            break
        if message["do"] != "ask":
            continue
        try:
            if mode == "refusing":
                raise InputError("No view sees this place.", "Click at another one.")
            prompt = prompt_from(message, ply.count)
            note(prompt)
            say("answer", **answer_message(message["id"], answer(prompt, positions), 0.01))
        except InputError as error:
            say("refused", id=id_of(message), message=error.message, hint=error.hint)
    say("done", seconds=1.0)


if __name__ == "__main__":
    main()
