"""The window of a real Blender: what is on the screen after each step."""

import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.blender.conftest import OUT, blender
from tests.helpers import made_splat


def picture(name: str) -> np.ndarray:
    """A screenshot, uint8 [H, W, 3]."""
    data = subprocess.run(
        ["convert", str(OUT / f"{name}.png"), "-depth", "8", "ppm:-"], capture_output=True, check=True
    )
    head, size, _, pixels = data.stdout.split(b"\n", 3)
    assert head == b"P6"
    width, height = map(int, size.split())
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def share_near(image: np.ndarray, color: tuple[float, ...], tolerance: float = 0.09) -> float:
    """Share of pixels within `tolerance` (0..1, largest channel) of an sRGB colour."""
    return float((np.abs(image / 255.0 - np.array(color)).max(-1) < tolerance).mean())


@pytest.fixture(scope="module")
def seen(installed: str, engine: Path, scene: Path, screen: dict[str, str]) -> dict:
    """The whole walk, once; what the script found out."""
    (OUT / "window.json").unlink(missing_ok=True)
    env = {**screen, "BGS_ENGINE_PYTHON": str(engine), "BGS_FAKE_ENGINE_STEP": "0.03"}
    script = "/mnt/repo/tests/blender/inside/window.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", scene, env=env)
    assert (OUT / "window.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "window.json").read_text())
    assert "error" not in facts, facts["error"] + run.stdout[-2000:]
    return facts


def cut(facts: dict, name: str) -> np.ndarray:
    left, top, right, bottom = facts["box"]
    return picture(name)[top:bottom, left:right]


def test_colours_are_right_at_once_in_solid_view(seen: dict) -> None:
    image = cut(seen, "import")
    # Colours were varied by 10 % downwards: the middle of that range, within 9 %, must be on screen for every ball.
    for color in made_splat.COLORS:
        assert share_near(image, tuple(0.95 * c for c in color)) > 0.01, color


def test_colours_are_right_in_rendered_view(seen: dict) -> None:
    image = cut(seen, "rendered")
    for color in made_splat.COLORS:
        assert share_near(image, tuple(0.95 * c for c in color)) > 0.01, color


def test_the_job_ran_and_left_the_window_alive(seen: dict) -> None:
    assert seen["started"] == ["FINISHED"]
    assert not seen["job_failed"], seen["job_message"]
    assert seen["labels"] > 4 and seen["names"][0] == "Biggest"
    # A frame of this software-rendered window takes most of this; a blocking call would add to it.
    assert seen["longest_gap"] < 1.0


def test_one_bar_counts_the_whole_job(seen: dict) -> None:
    fractions, left, places, stages = zip(*seen["bars"], strict=True)
    assert list(fractions) == sorted(fractions) and fractions[-1] > 0.9
    assert set(stages[5:]) == {4} and set(places) >= {0, 1, 2, 3}  # the four stages of the stand-in for the engine
    known = [seconds for seconds in left if seconds is not None]
    assert known == sorted(known, reverse=True)


def test_the_result_is_one_undo_step(seen: dict) -> None:
    assert not seen["codes_after_undo"] and seen["codes_after_redo"]


def test_levels_look_different(seen: dict) -> None:
    one, two = cut(seen, "level_1").astype(int), cut(seen, "level_2").astype(int)
    changed = (np.abs(one - two).max(-1) > 25).mean()
    assert changed > 0.01


def test_isolation_shows_one_object_alone(seen: dict) -> None:
    assert 0 < seen["shown"] <= seen["first_count"]
    all_of_them, alone = cut(seen, "level_1").astype(int), cut(seen, "isolated").astype(int)
    background = np.median(all_of_them.reshape(-1, 3), axis=0)

    def covered(image: np.ndarray) -> float:
        return float((np.abs(image - background).max(-1) > 40).mean())

    # One quadrant of four that cover about the same area.
    assert 0.1 < covered(alone) / covered(all_of_them) < 0.45


def test_a_click_picks_a_label(seen: dict) -> None:
    # The click went to the middle of one label, in front of which nothing else stands.
    assert seen["selected"] == seen["picked_count"]


def test_collections_and_back(seen: dict) -> None:
    assert seen["parts"] == 8 and "Biggest" in seen["collections"]
    assert seen["points_after_merge"] == 6000


def test_cancel_and_sudden_death(installed: str, engine: Path, scene: Path, screen: dict[str, str]) -> None:
    """Cancel ends the engine within two seconds; a job outlives a file; an engine whose Blender died ends by itself."""
    answer = OUT / "endless.json"
    answer.unlink(missing_ok=True)
    env = {**os.environ, **screen, "BGS_ENGINE_PYTHON": str(engine), "BGS_FAKE_ENGINE": "slow"}
    command = ["blender", "-P", "/mnt/repo/tests/blender/inside/endless_job.py", "--", str(scene)]
    program = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answer.is_file() and json.loads(answer.read_text()).get("ready"), 60)
        facts = json.loads(answer.read_text())
        assert facts["cancel_call"] < 0.1 and facts["gone_after"] < 2 and facts["message"] == "Cancelled"
        assert facts["survives_load"] and is_alive(facts["second"])
    finally:
        program.kill()
        program.wait()
    wait_for(lambda: not is_alive(facts["second"]), 5)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
