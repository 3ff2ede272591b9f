"""Stands in for the engine where none is installed: speaks its protocol as a real process and writes a real run folder.

Called like the engine: `... -m bgs_engine segment SCENE.ply -o RUN --events ...`. The environment variable
BGS_FAKE_ENGINE chooses what it does: `good` (default), `bad` (an error event), `crash`, `slow` (until cancelled),
`deaf` (ignores cancel and terminate, and starts a child that does too), `silent` (ends well but says nothing), `other`
(speaks another protocol), `odd` (sends events that are none), `flood` (megabytes of everything), `mute` (closes its
output and stays), `endless` (says that it is done and stays), `saving` (goes on for a moment after cancel), `nameless`,
`elsewhere`, `stale` (name no run, a run in another folder, a run that another one has replaced).
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ODD_LINES = (
    '{"event": "progress", "done": "many", "total": null, "eta": "soon"}',
    '{"event": "progress", "done": NaN, "total": Infinity, "eta": -Infinity}',
    '{"event": "progress", "done": 1e999, "total": [], "eta": {}}',
    '{"event": ["stage"]}',
    '{"event": "metric"}',
    '{"event": ' + "[" * 100_000,
    "{" + "x" * 5_000_000,
    '{"event": "metric", "name": "deep", "value": ' + "[" * 900 + "]" * 900 + "}",
    '{"event": "warning", "message": ' + '{"a": ' * 900 + "1" + "}" * 900 + "}",
    '{"event": "artifact", "kind": {"a": [1]}, "path": 7}',
    '{"event": "progress", "done": 1' + "0" * 6000 + ', "total": 5}',
    '{"event": "hello", "protocol": 1.0}',
    '{"event": "done", "seconds": {}, "run": ["x"], "id": null}\ud800'.encode("utf-8", "backslashreplace").decode(),
    "\x1b[31m\x00",
)
STEP = float(os.environ.get("BGS_FAKE_ENGINE_STEP", "0.02"))  # seconds per step


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def listen(stop):
    for line in sys.stdin:
        if line.strip() == "cancel":
            break
    stop.set()


def stage(name, stop, steps=25):
    say("stage", name=name)
    for done in range(1, steps + 1):
        if stop.wait(STEP):
            say("error", code=130, message="Cancelled.", hint="")
            sys.exit(130)
        say("progress", done=done, total=steps, eta=round((steps - done) * STEP, 1))


def write_run(scene, run):
    import numpy as np

    from bgs_engine.core.codes import BitLayout
    from bgs_engine.core.label_table import build_label_table
    from bgs_engine.io.gaussians import load_gaussians
    from bgs_engine.io.ply import read_ply
    from bgs_engine.io.run_folder import finish, partial_folder, write_run

    ply = read_ply(scene)
    splat = load_gaussians(ply)
    layout = BitLayout()
    # Quadrants around the middle, then halves, then octants: enough to see three levels.
    sign = (splat.means > np.median(splat.means, axis=0)).astype(np.uint32)
    codes = layout.pack(
        [sign[:, 0] * 1000 + sign[:, 2] * 7 + 1, sign[:, 1] * 500 + 1, (splat.means[:, 0] % 1 > 0.5) * 1]
    )
    table = build_label_table(layout, codes, splat.means, splat.opacities, splat.base_colors)
    table.levels[0][0].name = "Biggest"
    write_run(partial_folder(run), ply, codes, splat.opacities, table, {"source": str(scene)})
    finish(run)


def flood():
    """Everything that could fill a reader's memory; 60 MB."""
    line = "w" * 999 + "\n"
    for _ in range(30):
        sys.stderr.write(line * 1000)
    for number in range(3000):
        say("warning", message=f"{number} " + "w" * 9000)
        say("metric", name=f"metric {number}", value=number)
        say("artifact", kind=f"kind {number}", path="p")


def frames(shot, out, stop):
    """Answers like `bgs frames`: a file for each frame of the shot, none of them a picture."""
    names = [frame["name"] for frame in json.loads(shot.read_text())["frames"]]
    stage("Rendering", stop, steps=100000 if os.environ.get("BGS_FAKE_ENGINE") == "slow" else len(names))
    (out / "color").mkdir(parents=True, exist_ok=True)
    for name in names:
        (out / "color" / f"{name}.png").write_bytes(b"")
    say("artifact", kind="frames", path=str(out))
    say("done", seconds=0.1)
    return 0


def mask_models():
    """As `bgs doctor --json` lists them; the last of the better ones is here."""
    from bgs_engine.core.mask_models import BETTER_MODELS, BY_HAND, WHAT_THEY_BRING

    last = BETTER_MODELS[-1]
    better = [{"name": model.name, "words": model.in_words, "here": model is last} for model in BETTER_MODELS]
    return {"auto": last.name, "missing_packages": [], "notes": [WHAT_THEY_BRING, *BY_HAND], "better": better}


def models(arguments):
    """Answers like `bgs models --fetch NAME`."""
    say("hello", protocol=1, version="0", command="models")
    stop = threading.Event()
    threading.Thread(target=listen, args=(stop,), daemon=True).start()
    if os.environ.get("BGS_FAKE_ENGINE") == "bad":
        say("error", code=4, message="The hub does not answer.", hint="Try again.")
        return 4
    stage(f"Fetching {arguments[arguments.index('--fetch') + 1]}", stop, steps=3)
    say("done", seconds=0.1)
    return 0


def find(arguments):
    """Answers like `bgs find RUN --json -- WORDS`: labels of two levels, of which two of level 2 fit."""
    from bgs_engine.io.run_folder import open_run

    say("hello", protocol=1, version="0", command="find")
    threading.Thread(target=listen, args=(threading.Event(),), daemon=True).start()
    if os.environ.get("BGS_FAKE_ENGINE") == "bad":
        say("error", code=4, message="No model for words is here.", hint="Fetch one.")
        return 4
    assert arguments[-2:] == ["--", "a mug"], arguments
    assert "--json" in arguments and "--events" in arguments
    table = open_run(Path(arguments[1])).labels()
    listed = [(k, row) for k in (2, 1) for row in table.of(k)]
    rows = [
        {"level": k, "label": row.label, "name": row.name, "score": 0.9 - 0.1 * place, "found": place < 2}
        for place, (k, row) in enumerate(listed)
    ]
    print(json.dumps({"text": "a mug", "labels": rows[::-1]}), file=sys.stderr)
    say("done", seconds=0.1)
    return 0


def convert(arguments):
    """Converts as `bgs convert` does, with the packages of the made format that Blender lacks."""
    from bgs_engine.core.events import Reporter, json_sink
    from bgs_engine.formats import read
    from bgs_engine.pipeline.convert import convert as real
    from tests.helpers.made_format import WITH_PACKAGE

    say("hello", protocol=1, version="0", command="convert")
    if os.environ.get("BGS_FAKE_ENGINE") == "bad":
        say("error", code=3, message="The splat is empty.", hint="Export it again.")
        return 3
    read.FORMATS = (WITH_PACKAGE, *read.FORMATS)
    assert arguments[3:] == ["--events"], arguments
    real(Path(arguments[1]), Path(arguments[2]), Reporter([json_sink(sys.stdout)]))
    say("done", seconds=0.1)
    return 0


def main():
    arguments = sys.argv[sys.argv.index("bgs_engine") + 1 :]
    if arguments[0] == "doctor":
        checks = [{"name": "torch", "ok": True, "detail": "2.0"}]
        print(json.dumps({"ok": True, "checks": checks, "mask_models": mask_models()}))
        return 0
    if arguments[0] == "convert":
        return convert(arguments)
    if arguments[0] == "models":
        return models(arguments)
    if arguments[0] == "find":
        return find(arguments)
    mode = os.environ.get("BGS_FAKE_ENGINE", "good")
    scene, run = Path(arguments[1]), Path(arguments[arguments.index("-o") + 1])
    stop = threading.Event()
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import signal,time; signal.signal(15, 1); time.sleep(600)"])
        say("metric", name="child", value=child.pid)
        say("stage", name="deaf")
        time.sleep(600)
    threading.Thread(target=listen, args=(stop,), daemon=True).start()
    say("hello", protocol=2 if mode == "other" else 1, version="0", command="segment")
    if mode == "silent":
        return 0
    if mode == "odd":
        for line in ODD_LINES:
            print(line, flush=True)
    if mode == "mute":
        os.close(1)
        time.sleep(600)
    if mode == "endless":
        say("done", seconds=1.0)
        time.sleep(600)
    if mode == "flood":
        flood()
    if mode == "saving":
        say("stage", name="views")
        stop.wait()
        say("saving", name="checkpoint")
        time.sleep(1.5)
        (run.parent / "whole").touch()
        say("saved")
        return 130
    print("a line for the log", file=sys.stderr, flush=True)
    if mode == "crash":
        raise RuntimeError("the fake engine fell over")
    if mode == "bad" or not scene.is_file():
        say("error", code=3, message="The scene is empty.", hint="Export it again.")
        return 3
    if arguments[0] == "frames":
        return frames(scene, run, stop)
    say("plan", stages=[["views", 2], ["masks", 5], ["association", 1], ["training", 2]])
    for name in ("views", "masks", "association", "training"):
        stage(name, stop, steps=100000 if mode == "slow" else 25)
    say("metric", name="iou", value=0.9123456)
    say("warning", message="2 views were dark.")
    write_run(scene, run)
    say("artifact", kind="run", path=str(run))
    from bgs_engine.io.run_folder import run_id_of

    named = {"run": os.path.realpath(run), "id": run_id_of(run)}
    if mode == "nameless":
        named = {}
    elif mode == "elsewhere":
        named["run"] += "_other"
    elif mode == "stale":
        write_run(scene, run)
    say("done", seconds=1.0, **named)
    return 0


if __name__ == "__main__":
    sys.exit(main())
