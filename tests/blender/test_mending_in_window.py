"""A label mended by hand outlives a second Segment in a real window, and Select Similar works there."""

import json
from pathlib import Path

import pytest

from tests.blender.conftest import OUT, blender


@pytest.fixture(scope="module")
def seen(installed: str, engine: Path, scene: Path, screen: dict[str, str]) -> dict:
    """The whole walk, once; what the script found out."""
    (OUT / "mending.json").unlink(missing_ok=True)
    env = {**screen, "BGS_ENGINE_PYTHON": str(engine), "BGS_FAKE_ENGINE_STEP": "0.005"}
    script = "/mnt/repo/tests/blender/inside/mending.py"
    run = blender("--window-geometry", 0, 0, 1280, 1000, "-P", script, "--", scene, env=env)
    assert (OUT / "mending.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "mending.json").read_text())
    assert "error" not in facts, facts["error"] + run.stdout[-2000:]
    return facts


def test_the_switch_is_there_once_something_was_changed(seen: dict) -> None:
    assert not seen["shown_before"] and seen["shown_after"]


def test_the_joined_label_outlives_the_second_run(seen: dict) -> None:
    assert seen["started"] == [["FINISHED"]] * 2
    assert "1 mended label kept" in seen["messages"][-1], seen["messages"]
    # The stand-in finds four quadrants each time; two of them were joined.
    assert seen["same"] and seen["labels"] == 3
    assert seen["changed"] and not seen["by_engine"]  # the folder has the engine's own answer


def test_undo_goes_back_to_the_labels_as_they_were_mended(seen: dict) -> None:
    assert seen["undone_to_mended"] and seen["redone"]


def test_at_most_one_similar_label_is_added(seen: dict) -> None:
    assert seen["selected"] == 2 and seen["similar_seconds"] < 2
