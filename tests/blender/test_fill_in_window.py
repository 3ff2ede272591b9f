"""Delete, Fill, undo and redo in a real window: which objects and labels there are."""

import json

import pytest

from tests.blender.conftest import OUT, blender
from tests.helpers import made_hole


@pytest.fixture(scope="module")
def seen(installed: str, screen: dict[str, str]) -> dict:
    (OUT / "fill.json").unlink(missing_ok=True)
    path, _ = made_hole.write(OUT / "hole.ply")
    script = "/mnt/repo/tests/blender/inside/fill.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", path, made_hole.BOX[0], env=screen)
    assert (OUT / "fill.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "fill.json").read_text())
    assert "error" not in facts, facts["error"]
    return facts


def test_delete_offers_fill(seen: dict) -> None:
    assert not seen["before"]["can_fill"] and seen["deleted"]["can_fill"]
    assert len(seen["deleted"]["objects"]) == len(seen["before"]["objects"]) - 1


def test_fill_is_a_label_and_an_object_of_its_own(seen: dict) -> None:
    new = [name for name in seen["filled"]["objects"] if name not in seen["deleted"]["objects"]]
    assert len(new) == 1 and new[0].startswith("Fill of ")
    assert new[0] in seen["filled"]["labels"] and not seen["filled"]["can_fill"]
    assert seen["filled"]["points"] > seen["before"]["points"]


def test_undo_takes_it_back_in_one_step_and_redo_brings_it_again(seen: dict) -> None:
    assert seen["undone"] == seen["deleted"]
    assert seen["redone"] == seen["filled"]
