"""Find by Words in a real window: typing, the button beside the search field, and the list of what fits."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.blender.conftest import OUT, blender


@pytest.fixture(scope="module")
def seen(installed: str, screen: dict[str, str], engine: Path, scene: Path) -> dict:
    (OUT / "words.json").unlink(missing_ok=True)
    run = OUT / "words-run"
    command: list[str | Path] = [engine, "-m", "bgs_engine", "segment", scene, "-o", run]
    assert subprocess.Popen(command, stdin=subprocess.PIPE).wait() == 0  # a closed standard input would cancel it
    script = "/mnt/repo/tests/blender/inside/words.py"
    told = {**screen, "BGS_ENGINE_PYTHON": str(engine)}
    ran = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", run, env=told)
    assert (OUT / "words.json").is_file(), (ran.stdout + ran.stderr)[-3000:]
    facts = json.loads((OUT / "words.json").read_text())
    assert "error" not in facts, facts["error"]
    return facts


def test_the_button_beside_the_search_asks_the_engine(seen: dict) -> None:
    assert seen["typed"]["words"] is None
    assert seen["asked"]["words"] == "a mug" and len(seen["asked"]["fitting"]) == 2


def test_a_click_selects_a_found_label_and_shows_its_level(seen: dict) -> None:
    fitting = seen["asked"]["fitting"]
    assert seen["asked"]["level"] == 1 and seen["asked"]["selected"] == []
    assert seen["one"]["selected"] == fitting[:1] and seen["one"]["level"] == fitting[0][0] == 2
    assert sorted(seen["both"]["selected"]) == sorted(fitting)


def test_the_list_is_closed(seen: dict) -> None:
    assert seen["both"]["words"] == "a mug" and seen["closed"]["words"] is None
    assert sorted(seen["closed"]["selected"]) == sorted(seen["asked"]["fitting"])
