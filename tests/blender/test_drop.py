"""A file dropped on the window: the menu names ours, and picking it imports the splat."""

import json
from pathlib import Path

import pytest

from tests.blender.conftest import OUT, blender


@pytest.fixture(scope="module")
def dropped(installed: str, scene: Path, screen: dict[str, str]) -> dict:
    (OUT / "drop.json").unlink(missing_ok=True)
    script = "/mnt/repo/tests/blender/inside/drop.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", scene, env=screen)
    assert (OUT / "drop.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "drop.json").read_text())
    assert "error" not in facts, facts["error"]
    return facts


def test_blenders_drop_operator_offers_ours_and_imports(dropped: dict) -> None:
    assert dropped["by_operator"] == [6000] and dropped["meshes_by_operator"] == 0


def test_a_drop_from_another_program_imports(dropped: dict) -> None:
    assert dropped["xdnd"] == [0, ""]
    assert dropped["by_drop"] == [6000]
