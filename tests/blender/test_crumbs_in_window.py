"""Find Crumbs and Accept in a real window, started from the search (F3): selection, Strength in F9, labels, undo."""

import json

import pytest

from tests.blender.conftest import OUT, blender
from tests.helpers import made_crumbs


@pytest.fixture(scope="module")
def seen(installed: str, screen: dict[str, str]) -> dict:
    (OUT / "crumbs.json").unlink(missing_ok=True)
    path, _ = made_crumbs.write(OUT / "crumbs.ply")
    script = "/mnt/repo/tests/blender/inside/crumbs.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", path, env=screen)
    assert (OUT / "crumbs.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "crumbs.json").read_text())
    assert "error" not in facts, facts["error"]
    return facts


def test_find_selects_what_accept_takes(seen: dict) -> None:
    assert seen["found"]["selected"] == made_crumbs.FLOATERS + 1  # and the stray
    assert seen["found"]["labels"] == ["L1_1", "L1_2"]
    assert seen["accepted"]["labels"] == ["Crumbs", "L1_1", "L1_2"]


def test_strength_can_be_dragged_afterwards(seen: dict) -> None:
    assert seen["dragged"]["strength"] < seen["found"]["strength"]
    assert seen["dragged"]["selected"] < seen["found"]["selected"]
    assert seen["again"]["selected"] == seen["found"]["selected"]


def test_undo_takes_accept_back(seen: dict) -> None:
    assert seen["undone"]["labels"] == ["L1_1", "L1_2"]
    assert seen["undone"]["selected"] == made_crumbs.FLOATERS + 1
