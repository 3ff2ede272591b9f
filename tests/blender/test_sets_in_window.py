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


def test_it_ran(seen: dict) -> None:
    assert seen["looked"]["selected"] == []
