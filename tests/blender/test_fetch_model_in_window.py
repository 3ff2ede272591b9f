"""Check Engine and Fetch Mask Model in a real window: the list, the progress of the fetch, and the list after it."""

import json
from pathlib import Path

import pytest

from tests.blender.conftest import OUT, blender


@pytest.fixture(scope="module")
def seen(installed: str, screen: dict[str, str], scene: Path, engine: Path) -> dict:
    (OUT / "fetch-model.json").unlink(missing_ok=True)
    script = "/mnt/repo/tests/blender/inside/fetch_model.py"
    env = {**screen, "BGS_ENGINE_PYTHON": str(engine), "BGS_FAKE_ENGINE_STEP": "0.8"}
    run = blender("--window-geometry", 0, 0, 1280, 1400, "-P", script, "--", scene, env=env)
    assert (OUT / "fetch-model.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "fetch-model.json").read_text())
    assert "error" not in facts, facts["error"]
    return facts


def test_check_engine_lists_the_models(seen: dict) -> None:
    assert "Segment uses the mask model sam2.1-small" in " ".join(seen["checked"]["lines"])
    assert seen["checked"]["here"] == [False, False, True]


def test_one_press_fetches_and_the_list_knows_it(seen: dict) -> None:
    assert seen["running"]["running"] and not seen["fetched"]["running"]
    assert seen["fetched"]["here"] == [True, False, True]
    assert "Segment uses the mask model sam2.1-large" in " ".join(seen["fetched"]["lines"])
    assert seen["fetched"]["message"].startswith("SAM 2.1 Large is here")
