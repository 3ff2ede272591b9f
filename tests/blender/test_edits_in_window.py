"""Apply, undo, redo and a drag in the window of a real Blender: shapes follow, and the picture stays the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.blender.conftest import OUT, blender
from tests.blender.test_window import picture


@pytest.fixture(scope="module")
def edited(installed: str, coded: Path, screen: dict[str, str]) -> dict:
    (OUT / "edits.json").unlink(missing_ok=True)
    script = Path("/mnt/repo/tests/blender/inside/edits.py")
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", coded, env=screen, seconds=300)
    assert (OUT / "edits.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "edits.json").read_text())
    assert "error" not in facts, facts["error"] + run.stdout[-2000:]
    assert "Traceback" not in run.stdout + run.stderr, run.stdout + run.stderr
    assert facts["problems"] == []
    return facts


def numbers(step: str) -> dict[str, np.ndarray]:
    with np.load(OUT / f"edits-{step}.npz") as file:
        return {name: file[name].astype(np.float64) for name in file.files}


def covariances(step: str) -> np.ndarray:
    """In world space, [N, 3, 3]."""
    found = numbers(step)
    w, x, y, z = (found["bgs_raw_rotation"] / np.linalg.norm(found["bgs_raw_rotation"], axis=1, keepdims=True)).T
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]).transpose(2, 0, 1)  # fmt: skip
    axes = found["world"][:3, :3] @ turn * np.exp(found["bgs_raw_scale"])[:, None]
    return axes @ axes.transpose(0, 2, 1)


def places(step: str) -> np.ndarray:
    found = numbers(step)
    return found["position"] @ found["world"][:3, :3].T + found["world"][:3, 3]


def assert_same_splat(one: str, two: str) -> None:
    assert np.abs(places(one) - places(two)).max() < 1e-5
    first, second = covariances(one), covariances(two)
    assert np.abs(first - second).max() < 1e-5 * np.abs(first).max()


def test_apply_undo_and_redo(edited: dict) -> None:
    assert not np.allclose(numbers("before")["world"], np.eye(4))
    for step in ("applied", "redone"):
        assert np.allclose(numbers(step)["world"], np.eye(4)), step
        assert_same_splat("before", step)
        assert not np.allclose(numbers(step)["radiance:sh_3"], numbers("before")["radiance:sh_3"])
    before, undone = numbers("before"), numbers("undone")
    assert all(np.array_equal(before[name], undone[name]) for name in before)


def test_the_picture_stays_the_same(edited: dict) -> None:
    view = slice(120, 700), slice(60, 900)
    one = picture("edits-before")[view].astype(float)
    for step in ("applied", "undone", "redone"):
        error = ((picture(f"edits-{step}")[view] - one) ** 2).mean()
        # The same Gaussians with other rounding; the splat covers a part of the view and has colours of 8 bits.
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 40, step
    assert np.ptp(one, axis=-1).max() > 100  # a coloured splat is in the picture


def test_a_drag_in_edit_mode_is_followed_at_its_end(edited: dict) -> None:
    if not edited["edit_mode"]:
        pytest.skip("this Blender has no edit mode for point clouds")
    assert any(name.startswith("TRANSFORM_OT") for name in edited["modal"])
    start, dragging, dragged = numbers("redone"), numbers("dragging"), numbers("dragged")
    assert not np.allclose(dragging["position"], start["position"])
    assert np.array_equal(dragging["bgs_raw_rotation"], start["bgs_raw_rotation"])
    # The rotation, from the points alone (Kabsch), turns the covariances too.
    one, two = (found["position"] - found["position"].mean(0) for found in (start, dragged))
    u, _, vt = np.linalg.svd(two.T @ one)
    turn = u @ vt
    assert np.isclose(np.trace(turn), 1 + 2 * np.cos(np.pi / 4), atol=1e-3)
    want = turn @ covariances("redone") @ turn.T
    assert np.abs(covariances("dragged") - want).max() < 1e-4 * np.abs(want).max()
    for step in ("drag-undone", "cancelled"):
        found = numbers(step)
        assert all(np.array_equal(found[name], start[name]) for name in start), step
