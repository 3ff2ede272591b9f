"""What the splat display leaves behind: nothing, after 200 imports, after a file, after the extension."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.blender.conftest import OUT, blender
from tests.blender.test_window import picture

HANDLERS = [3, 3, 3, 4, 1]  # drawing has one of each; edits and objects have none for frames; clicks have one for files
MORE = 40  # MB; one import of the made splat uploads and holds about 3, so a leak of each would be 450 over the 150


@pytest.fixture(scope="module")
def lived(installed: str, coded: Path, engine: Path, screen: dict[str, str]) -> dict:
    (OUT / "life.json").unlink(missing_ok=True)
    shutil.rmtree(OUT / "frames", ignore_errors=True)
    env = {**screen, "BGS_ENGINE_PYTHON": str(engine)}
    script = Path("/mnt/repo/tests/blender/inside/viewport_life.py")
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", coded, env=env, seconds=500)
    assert (OUT / "life.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "life.json").read_text())
    print("\n", facts)
    assert "error" not in facts, facts["error"] + run.stdout[-2000:]
    assert "Traceback" not in run.stdout + run.stderr, run.stdout + run.stderr
    return facts


def test_a_file_shows_what_it_was_saved_with(lived: dict) -> None:
    assert lived["atlas_in_empty_file"] and lived["drawn_after_reopen"]
    assert lived["handlers"] == HANDLERS  # not one more for every file
    assert lived["modifiers"] == ["Gaussian Splat"]
    one, two = picture("life-saved").astype(int), picture("life-reopened").astype(int)
    view = slice(120, 700), slice(60, 900)
    # The frame round the splat is orange while selected; the splats themselves are the same to the bit.
    assert (np.abs(one - two)[view].max(-1) > 8).mean() < 0.01
    assert np.ptp(two[view], axis=-1).max() > 100


def test_nothing_is_left_of_what_was_deleted(lived: dict) -> None:
    assert lived["nothing_left"] and lived["clouds_left"] == 0
    assert lived["groups_left"] == ["Gaussian Splat"] and lived["materials_left"] == ["Gaussian Splat"]


def test_200_imports_and_removals_leak_nothing(lived: dict) -> None:
    assert len(lived["memory"]) == 20
    warm = lived["memory"][4]  # after 50 everything that is made once has been made
    assert lived["memory"][-1] - warm < MORE, lived["memory"]


def test_off_and_on_again(lived: dict) -> None:
    assert lived["drawn_before_off"] > 0
    assert lived["handlers_off"] == [0] * 5 and lived["threads"][1] == []
    assert lived["operator_gone"] and lived["handlers_on"] == HANDLERS and lived["atlas_on_again"]


def test_render_splats_is_a_job_with_an_end(lived: dict) -> None:
    assert lived["render_said"] == ["FINISHED"] and lived["frames"] == [f"000{n}.png" for n in (3, 4, 5, 6)]
    done, cancelled = lived["render_messages"]
    assert "4 frames" in done and cancelled == "Cancelled"
    assert lived["shots_left"] == 0  # however it ended
