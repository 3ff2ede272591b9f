"""The window right after an import into Blender's start-up file: the whole splat is in view, the cube can be hidden."""

import json

import numpy as np
import pytest

from tests.blender.conftest import OUT, blender
from tests.blender.test_window import picture
from tests.helpers import made_splat


@pytest.fixture(scope="module")
def seen(installed: str, screen: dict[str, str]) -> dict:
    rows, _ = made_splat.made_splat(per_object=500)
    rows["y"] *= 4  # a tower; y points down in the file
    floaters = rows[::40].copy()
    for axis in "xyz":
        floaters[axis] = np.random.default_rng(ord(axis)).uniform(-200, 200, len(floaters))
    path = made_splat.write(OUT / "tower.ply", np.concatenate([rows, floaters]))
    (OUT / "first_view-made.json").write_text(json.dumps({"inside": len(rows)}))
    (OUT / "first_view.json").unlink(missing_ok=True)
    script = "/mnt/repo/tests/blender/inside/first_view.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", path, env=screen)
    assert (OUT / "first_view.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "first_view.json").read_text())
    assert "error" not in facts, facts["error"]
    return facts


def test_the_whole_splat_is_in_the_part_of_the_view_that_nothing_covers(seen: dict) -> None:
    low, high = np.array(seen["low"]), np.array(seen["high"])
    assert min(seen["bars"]) > 30  # there are bars to mind
    assert (low > 0).all() and (high < 1).all()
    assert (high - low).max() > 0.8  # floaters do not make it small
    # In the middle; perspective moves the middle of the points by a few hundredths.
    assert np.allclose((low + high) / 2, 0.5, atol=0.08)


def test_the_default_cube_can_be_hidden_and_comes_back(seen: dict) -> None:
    assert seen["offered"] == ["Cube"] and seen["cube_at_first"]
    assert seen["hide"] == ["FINISHED"] and seen["cube_hidden"] and seen["cube_again"]
    with_cube, without = picture("first_view-offered").astype(int), picture("first_view-hidden").astype(int)
    assert (np.abs(with_cube - without).max(-1) > 30).mean() > 0.01
