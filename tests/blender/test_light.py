"""Exposure and tint of labels in a real window: the display values on the screen are multiplied, and undo restores."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.blender.conftest import OUT, blender
from tests.blender.test_window import picture


@pytest.fixture(scope="module")
def seen(installed: str, coded: Path, screen: dict[str, str]) -> dict:
    (OUT / "light.json").unlink(missing_ok=True)
    script = "/mnt/repo/tests/blender/inside/light.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", coded, env=screen)
    assert (OUT / "light.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "light.json").read_text())
    assert "error" not in facts, facts["error"]
    return facts


def shown(seen: dict, name: str) -> np.ndarray:
    left, top, width, height = seen["box"]
    return picture(f"light-{name}")[top : top + height, left : left + width] / 255.0


def test_light_multiplies_what_is_on_the_screen(seen: dict) -> None:
    captured, lit = shown(seen, "captured"), shown(seen, "lit")
    assert seen["labels"] == 4
    bright = captured > 0.3
    ratio = np.array([np.median((lit[..., c] / np.maximum(captured[..., c], 1e-3))[bright[..., c]]) for c in range(3)])
    # Half the light, and green a quarter of that. Two steps of 255 at a value of 0.3 are 3 %.
    assert np.allclose(ratio, np.array([0.5, 0.125, 0.5]) ** (1 / 2.2), rtol=0.03)


def test_undo_gives_the_captured_light_back(seen: dict) -> None:
    assert seen["exposure_after_undo"] == 0
    assert np.abs(shown(seen, "undone") - shown(seen, "captured")).max() < 2 / 255
