"""Real keys and clicks in Edit Mode: hidden Gaussians are never selected, and the list follows."""

import json
from pathlib import Path

import pytest

from tests.blender.conftest import OUT, blender


@pytest.fixture(scope="module")
def steps(installed: str, coded: Path, screen: dict[str, str]) -> dict:
    (OUT / "edit_mode.json").unlink(missing_ok=True)
    script = Path("/mnt/repo/tests/blender/inside/edit_mode.py")
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", coded, env=screen, seconds=300)
    assert (OUT / "edit_mode.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "edit_mode.json").read_text())
    assert "error" not in facts, facts["error"] + run.stdout[-2000:]
    assert "Traceback" not in run.stdout + run.stderr, run.stdout + run.stderr
    if not facts["edit_mode"]:
        pytest.skip("this Blender has no edit mode for point clouds")
    return dict(facts["steps"])


def test_only_shown_gaussians_are_selected(steps: dict) -> None:
    assert all(found["hidden_selected"] == 0 for found in steps.values())
    assert steps["entered"]["selected"] == 0  # nothing was selected in Object Mode
    assert steps["all"]["selected"] == steps["all"]["shown"] < steps["all"]["points"]
    assert steps["none"]["selected"] == 0
    assert 0 < steps["circle"]["selected"] <= steps["circle"]["shown"]


def test_delete_and_undo_keep_the_list_true(steps: dict) -> None:
    before, deleted = steps["circle"], steps["deleted"]
    assert deleted["points"] == before["points"] - before["selected"]
    assert sum(deleted["list"]) == deleted["points"]
    assert steps["undone"]["points"] == before["points"] and steps["undone"]["list"] == before["list"]
    assert steps["left"]["mode"] == "OBJECT" and steps["left"]["points"] == before["points"]
