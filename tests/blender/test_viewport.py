"""True splats on the screen of a real Blender, against a painter that knows no Blender (see painter.py)."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.blender.conftest import OUT, blender
from tests.blender.test_window import picture
from tests.helpers import made_splat
from tests.helpers.painter import paint, psnr

LEAST = 30.0  # decibels that a viewport picture must reach; the display has 8 bits and rounds half pixels


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """The made splat with colours that change with the direction, and haze."""
    out, codes = made_splat.made_splat(per_object=700)
    rng = np.random.default_rng(5)
    for name in (n for n in out.dtype.names or () if n.startswith("f_rest_")):
        out[name] = rng.normal(size=len(out)) * 0.08
    out["opacity"] = rng.uniform(-3, 4, len(out))
    for axis in range(3):
        out[f"scale_{axis}"] = rng.uniform(-3.8, -1.9, len(out))
    return made_splat.with_codes(out, codes)


@pytest.fixture(scope="module")
def seen(installed: str, rows: np.ndarray, screen: dict[str, str]) -> dict:
    """The whole walk, once; what the script noted."""
    (OUT / "splats.json").unlink(missing_ok=True)
    path = made_splat.write(OUT / "splats.ply", rows)
    script = Path("/mnt/repo/tests/blender/inside/viewport.py")
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", path, env=screen, seconds=300)
    assert (OUT / "splats.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "splats.json").read_text())
    assert "error" not in facts, facts["error"] + run.stdout[-2000:]
    assert "Traceback" not in run.stdout + run.stderr, run.stdout + run.stderr
    return facts


def shown(seen: dict, name: str) -> np.ndarray:
    """The 3D view's pixels, 0..1."""
    left, top, right, bottom = seen["cases"][name]["box"]
    return picture(f"splats-{name}")[top:bottom, left:right] / 255.0


def painted(seen: dict, name: str, rows: np.ndarray, **more: np.ndarray) -> np.ndarray:
    case = {key: np.array(value) for key, value in seen["cases"][name].items()}
    left, top, right, bottom = case["box"].tolist()
    matrix = more.pop("matrix", case["matrix"])
    return paint(rows, matrix, case["projection"], case["view"], (right - left, bottom - top), **more)[0]


@pytest.mark.parametrize("name", ["persp", "ortho", "shift", "moved", "stretched", "wireframe"])
def test_the_picture_is_the_engines(seen: dict, rows: np.ndarray, name: str) -> None:
    ours, truth = shown(seen, name), painted(seen, name, rows)
    assert truth.max() > 0.5
    reached = psnr(ours, truth)
    print(f"\n{name}: {reached:.1f} dB")
    assert reached > LEAST


def test_large_splats_come_to_the_same_picture(seen: dict, rows: np.ndarray) -> None:
    """Sorted in the thread and thinned out while moving: at rest nothing of that is left."""
    assert psnr(shown(seen, "rested"), painted(seen, "rested", rows)) > LEAST
    assert seen["after_moving"] - seen["before_moving"] >= 2  # a thin picture, then the whole one


def test_edits_and_deletions_reach_the_card(seen: dict, rows: np.ndarray) -> None:
    moved = rows.copy()
    moved["z"] += np.float32(0.5)
    assert psnr(shown(seen, "edited"), painted(seen, "edited", moved)) > LEAST
    assert seen["rows_of_two"] == 2 * seen["rows"] and seen["rows_of_one"] == seen["rows"]


def test_labels_have_their_colours_in_every_shading(seen: dict, rows: np.ndarray) -> None:
    parts = np.stack([rows[f"seg_{k}"] for k in range(4)], 1).astype(np.uint32)
    codes = (parts << np.arange(0, 32, 8, dtype=np.uint32)).sum(1, dtype=np.uint32)
    labels = codes >> 20
    colors = np.array([seen["label_colors"][str(label)] for label in labels.tolist()])
    for name in ("label", "in_rendered"):
        reached = psnr(shown(seen, name), painted(seen, name, rows, colors=colors))
        print(f"\n{name}: {reached:.1f} dB")
        assert reached > LEAST
    kept = labels != seen["hidden_label"]
    assert psnr(shown(seen, "hidden"), painted(seen, "hidden", rows[kept], colors=colors[kept])) > LEAST
    assert seen["atlas_before"] == seen["atlas_after_hiding"]  # nothing but the palette was uploaded again


@pytest.mark.parametrize("name", ["two", "collection", "nodes"])
def test_two_splats_are_sorted_together(seen: dict, rows: np.ndarray, name: str) -> None:
    """The second is an object of its own, an instance of a collection, or one of geometry nodes."""
    case = seen["cases"][name]
    move = np.linalg.inv(np.array(case["matrix"])) @ np.array(seen["other"])
    other = rows.copy()
    for axis, letter in enumerate("xyz"):
        other[letter] += np.float32(move[axis, 3])  # a translation of the object, in its own space
    assert np.allclose(move[:3, :3], np.eye(3), atol=1e-5)
    reached = psnr(shown(seen, name), painted(seen, name, np.concatenate([rows, other])))
    print(f"\n{name}: {reached:.1f} dB")
    # Colours of the copy depend on its own direction to the eye, the painter's on the shifted rows': the same.
    assert reached > LEAST
    assert seen["rows_with_instance"] == len(rows)  # instances take no memory on the card


def test_a_mesh_hides_what_is_behind_it(seen: dict, rows: np.ndarray) -> None:
    """Pixels of the cube that no Gaussian stands in front of show the cube's grey; others are as without it."""
    case = seen["cases"]["mesh"]
    view, projection = np.array(case["view"]), np.array(case["projection"])
    with_cube, without = shown(seen, "mesh"), painted(seen, "mesh", rows)
    eye = np.linalg.inv(view)[:3, 3]
    world = np.stack([rows[n] for n in "xyz"], 1) @ np.array(case["matrix"])[:3, :3].T + np.array(case["matrix"])[:3, 3]
    # The cube reaches 1.2 from the middle: what is nearer to the eye than its nearest corner is in front of it all.
    corners = np.array(seen["cube_corners"])
    nearest = np.linalg.norm(corners - eye, axis=1).min()
    behind = np.linalg.norm(world - eye, axis=1) > nearest
    assert behind.any()
    clip = corners @ (projection @ view)[:, :3].T + (projection @ view)[:, 3]
    at = (clip[:, :2] / clip[:, 3:] + 1) / 2 * with_cube.shape[1::-1]
    middle = at.mean(0)
    x, y = int(middle[0]), int(with_cube.shape[0] - middle[1])
    inside = with_cube[y - 8 : y + 8, x - 8 : x + 8]
    grey = np.abs(inside - inside.mean(-1, keepdims=True)).max()
    assert grey < 0.08 and inside.mean() > 0.2, "the cube's own grey in its middle, where no ball is in front"
    outside = np.ones(with_cube.shape[:2], bool)
    low, high = at.min(0) - 4, at.max(0) + 4
    height = with_cube.shape[0]
    outside[max(0, int(height - high[1])) : int(height - low[1]) + 1, max(0, int(low[0])) : int(high[0]) + 1] = False
    assert psnr(with_cube[outside], without[outside]) > LEAST


def test_the_clipping_box_cuts(seen: dict) -> None:
    # How colourful: Blender paints greys there, the splats none.
    whole, cut = (np.ptp(shown(seen, name), axis=-1) for name in ("two", "clipped"))
    assert seen["uses_clipping"]
    half = cut.shape[1] // 2
    # A Gaussian goes with its centre, so its edge may reach over the border.
    assert cut[:, half + 60 :].max() < 0.05 < whole[:, half + 60 :].max()
    assert cut[:, : half - 60].max() > 0.5


def test_picking_outlines_and_names(seen: dict) -> None:
    assert seen["picked_row_label"] == seen["wanted_label"]
    assert seen["hovered"] == seen["hover_wanted"]
    assert seen["hover_call"] < 0.1  # seconds: the search itself runs in a thread
    image = shown(seen, "outlined")
    # Outline of what is picked: linear (1, 0.35, 0), shown as (1, 0.62, 0); of what is hovered: white.
    orange = (np.abs(image - (1, 0.62, 0)).max(-1) < 0.03).sum()
    white = (image.min(-1) > 0.98).sum()
    assert orange > 150 and white > 150


def test_modes_look_different(seen: dict) -> None:
    images = [shown(seen, name) for name in ("wireframe", "mixed", "confidence", "label")]
    for i, one in enumerate(images):
        assert one.max() > 0.4
        for other in images[:i]:
            assert (np.abs(one - other).max(-1) > 0.1).mean() > 0.02


def test_nothing_is_drawn_for_what_is_deleted(seen: dict) -> None:
    left, top, right, bottom = seen["cases"]["confidence"]["box"]
    assert np.ptp(picture("splats-deleted")[top:bottom, left:right].astype(int), axis=-1).max() < 5
    assert np.ptp(shown(seen, "confidence"), axis=-1).max() > 0.5
    assert seen["atlas_after_delete"]
