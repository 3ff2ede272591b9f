"""Proxies and cages in the window of a real Blender: clicks go through them, a cage bends, Undo takes one step."""

import json

import pytest

from tests.blender.conftest import OUT, blender
from tests.helpers import made_splat


@pytest.fixture(scope="module")
def seen(installed: str, screen: dict[str, str]) -> dict:
    """The whole walk, once; what the script found out."""
    rows, codes = made_splat.made_splat(rest=9)
    splat = made_splat.write(OUT / "companions.ply", made_splat.with_codes(rows, codes))
    (OUT / "companions.json").unlink(missing_ok=True)
    script = "/mnt/repo/tests/blender/inside/companions.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", splat, env=screen)
    assert (OUT / "companions.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "companions.json").read_text())
    assert "error" not in facts, facts["error"] + run.stdout[-2000:]
    return facts


def test_a_click_goes_through_a_proxy_to_its_label_object(seen: dict) -> None:
    assert seen["clicked"] == {"wire": True, "mesh": True}


def test_a_cage_bends_its_label_object_from_edit_mode(seen: dict) -> None:
    assert seen["cage_is_active"] and seen["cage_is_gone"] and seen["mode"] == "OBJECT"
    assert sorted(seen["stretched"]) == pytest.approx([1, 1, 2], abs=1e-3)  # S Z 2 along one axis of the splat


def test_one_undo_brings_the_cage_and_the_gaussians_back(seen: dict) -> None:
    assert seen["undone"] and seen["cage_is_back"]


def test_a_holdout_cuts_a_hole_in_eevee_and_cycles(seen: dict) -> None:
    for engine in ("EEVEE", "CYCLES"):
        hole, plane = seen["holdout"][engine]
        assert hole < 0.05 < 0.95 < plane, (engine, hole, plane)
