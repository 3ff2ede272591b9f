"""Clean Objects in a real window: Strength in Adjust Last Operation is a preview, and one undo takes all back."""

import json

import pytest

from tests.blender.conftest import OUT, blender
from tests.helpers import made_halo


@pytest.fixture(scope="module")
def seen(installed: str, screen: dict[str, str]) -> dict:
    (OUT / "cleaning.json").unlink(missing_ok=True)
    path = made_halo.write(OUT / "halo.ply")
    script = "/mnt/repo/tests/blender/inside/cleaning.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", path, env=screen)
    assert (OUT / "cleaning.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "cleaning.json").read_text())
    assert "error" not in facts, facts["error"]
    return facts


def test_clean_trims_and_takes_the_faint_ball_away(seen: dict) -> None:
    before, cleaned = seen["before"]["points"], seen["cleaned"]["points"]
    assert sum(before.values()) == sum(cleaned.values()) + 1
    assert seen["cleaned"]["places"] != seen["before"]["places"]


def test_strength_can_be_dragged_afterwards(seen: dict) -> None:
    assert seen["dragged"]["strength"] < seen["cleaned"]["strength"]
    assert seen["dragged"]["places"] != seen["cleaned"]["places"]
    assert seen["again"] == seen["cleaned"]


def test_one_undo_takes_all_back(seen: dict) -> None:
    assert seen["undone"]["places"] == seen["before"]["places"]
