"""Search, Select by Condition, sets and locks in a real window, by clicks on the panel."""

import json

import pytest

from tests.blender.conftest import OUT, blender
from tests.helpers import made_splat


@pytest.fixture(scope="module")
def seen(installed: str, screen: dict[str, str]) -> dict:
    (OUT / "sets.json").unlink(missing_ok=True)
    rows, codes = made_splat.made_splat()
    path = made_splat.write(OUT / "balls.ply", made_splat.with_codes(rows, codes))
    script = "/mnt/repo/tests/blender/inside/sets.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", path, env=screen)
    assert (OUT / "sets.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "sets.json").read_text())
    assert "error" not in facts, facts["error"]
    return facts


def test_the_button_beside_the_search_selects_what_is_listed(seen: dict) -> None:
    assert seen["typed"]["selected"] == []
    assert seen["found"]["selected"] == ["red ball"]


def test_a_click_on_the_lock_closes_it(seen: dict) -> None:
    assert seen["cleared"]["locked"] == []
    assert seen["locked"]["locked"] == ["blue ball"]


def test_a_condition_selects(seen: dict) -> None:
    """All four balls are larger than the 0.5 m of the panel's default."""
    assert len(seen["conditioned"]["selected"]) == 4


def test_a_set_is_saved_and_added_again_and_undo_takes_that_back(seen: dict) -> None:
    assert seen["one"]["selected"] == ["blue ball"] and not seen["one"]["sets"]
    assert seen["saved"]["sets"] == {"Set": 1}
    assert seen["another"]["selected"] == seen["undone"]["selected"] == ["yellow ball"]
    assert seen["added"]["selected"] == ["blue ball", "yellow ball"]
    assert seen["undone"]["sets"] == {"Set": 1}
