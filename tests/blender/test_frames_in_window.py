"""Export of an animation in the window of a real Blender: through the file browser, with progress, Esc cancels."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.blender.conftest import OUT, blender
from tests.helpers import made_splat


@pytest.fixture(scope="module")
def seen(installed: str, screen: dict[str, str]) -> dict:
    (OUT / "frames.json").unlink(missing_ok=True)
    rows, codes = made_splat.made_splat(per_object=5000)
    path = made_splat.write(OUT / "balls.ply", made_splat.with_codes(rows, codes))
    folder = OUT / "frames"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    script = "/mnt/repo/tests/blender/inside/frames.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", path, folder, env=screen)
    crash = Path("/tmp/blender.crash.txt")
    more = crash.read_text(errors="replace") if crash.is_file() else ""
    assert (OUT / "frames.json").is_file(), (run.stdout + run.stderr)[-3000:] + more
    facts = json.loads((OUT / "frames.json").read_text())
    assert "error" not in facts, facts["error"]
    assert "Traceback" not in run.stdout + run.stderr, run.stdout + run.stderr
    return facts


def test_frames_are_written_while_blender_goes_on(seen: dict) -> None:
    assert not seen["dialog"]["running"] and seen["dialog"]["files"] == []
    assert seen["writing"]["running"] and seen["writing"]["files"] == [".walk-frames.partial"]
    assert seen["writing"]["frame"] != 7


def test_escape_leaves_nothing_and_the_frame_as_it_was(seen: dict) -> None:
    assert seen["cancelled"] == {"files": [], "running": False, "frame": 7}


def test_all_files_come_together(seen: dict) -> None:
    written = [f"walk.{n:04d}.ply" for n in range(1, 5)]
    assert seen["written"] == {"files": written, "running": False, "frame": 7}
    kind = made_splat.with_codes(*made_splat.made_splat(per_object=1)).dtype  # the layout of the source file
    first, last = (
        np.frombuffer((OUT / "frames" / name).read_bytes().partition(b"end_header\n")[2], kind)["x"]
        for name in (written[0], written[-1])
    )
    assert len(first) == 20_000 and np.abs(last - first - 0.3).max() < 1e-4  # three frames at 0.1 each
