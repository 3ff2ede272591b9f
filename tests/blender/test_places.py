"""Where a person looks for the commands: a key, the first steps, menus. And overlays that are off hide all marks."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.blender.conftest import OUT, blender
from tests.blender.test_window import picture

GUIDE = "bpy.context.preferences.addons['bl_ext.user_default.binary_gaussian_segmentation'].preferences.show_guide"


@pytest.fixture(scope="module")
def seen(installed: str, coded: Path, screen: dict[str, str]) -> Iterator[dict]:
    (OUT / "places.json").unlink(missing_ok=True)
    script = "/mnt/repo/tests/blender/inside/places.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", coded, env=screen)
    assert (OUT / "places.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "places.json").read_text())
    assert "error" not in facts, facts["error"]
    facts["output"] = run.stdout + run.stderr
    yield facts
    blender("-b", "--python-expr", f"import bpy; {GUIDE} = True; bpy.ops.wm.save_userpref()")


def in_view(seen: dict, name: str) -> np.ndarray:
    left, top, width, height = seen["box"]
    return picture(f"places-{name}")[top : top + height, left : left + width].astype(int)


def test_the_key_opens_the_pie_and_a_click_chooses(seen: dict) -> None:
    assert seen["hidden_by_pie"] == 3  # of four labels at level 1; the place at the right is Isolate Label
    assert seen["key"] == ["V", "PRESS", False] and seen["same_key"] == []


def test_the_first_steps_follow_the_state_and_close_for_good(seen: dict) -> None:
    # Nothing; a splat with labels; a selected label, twice; label objects.
    assert seen["steps"] == [0, 2, 3, 3, 4]
    assert seen["guide_at_first"] and seen["close"] == ["FINISHED"] and not seen["guide_after"]
    run = blender("-b", "--python-expr", f"import bpy; print('GUIDE', {GUIDE})")
    assert "GUIDE False" in run.stdout


def test_overlays_off_hide_the_outlines(seen: dict) -> None:
    def orange(name: str) -> int:
        return int((np.abs(in_view(seen, name) - (255, 158, 0)).max(-1) < 10).sum())

    assert orange("selected") > 150 and orange("overlays_off") == 0


def test_nothing_went_wrong_while_drawing(seen: dict) -> None:
    assert "Traceback" not in seen["output"]
