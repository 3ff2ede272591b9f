"""Real clicks, boxes and lassos on drawn splats in Object Mode, in the window of a real Blender."""

import json
from pathlib import Path

import pytest

from tests.blender.conftest import OUT, blender
from tests.helpers import made_splat


@pytest.fixture(scope="module")
def seen(installed: str, screen: dict[str, str]) -> dict:
    """The whole walk, once; what the script found out."""
    rows, codes = made_splat.made_splat(rest=0)
    splat = made_splat.write(OUT / "selecting.ply", made_splat.with_codes(rows, codes))
    (OUT / "selecting.json").unlink(missing_ok=True)
    script = "/mnt/repo/tests/blender/inside/selecting.py"
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", splat, env=screen)
    assert (OUT / "selecting.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "selecting.json").read_text())
    assert "error" not in facts, facts["error"] + run.stdout[-2000:]
    return facts


def check(seen: dict, step: str, objects: list, gaussians: int | None = None) -> None:
    """Objects 0 to 3 are the four balls, of 1500 Gaussians each, in the order of the list."""
    found = seen["after"][step]
    assert found["objects"] == sorted(map(str, objects)), (step, found)
    assert found["labels"] == [n for n in objects if isinstance(n, int)], (step, found)
    assert found["gaussians"] == (1500 * len(found["labels"]) if gaussians is None else gaussians)


def test_a_click_on_the_drawn_splat_selects_its_object_and_label(seen: dict) -> None:
    check(seen, "click", [0])
    check(seen, "shift", [0, 1])
    check(seen, "shift_again", [0])
    check(seen, "other", [2])


def test_the_label_clicked_last_is_the_active_one(seen: dict) -> None:
    steps = ("click", "shift", "shift_again", "other", "row_ctrl")
    assert [seen["after"][step]["active"] for step in steps] == [0, 1, 1, 2, 2]
    assert seen["after"]["undo"]["active"] == 1  # undo takes back the click on 2; before it, Shift took out 1


def test_split_asks_first_and_leaves_one_label_selected(seen: dict) -> None:
    asks, done = seen["after"]["split_asks"], seen["after"]["split_done"]
    assert len(asks["names"]) == 3 and asks["gaussians"] == 3000
    assert len(done["names"]) == 4 and len(done["labels"]) == 1 and done["gaussians"] == 1500


def test_show_all_makes_the_missing_objects(seen: dict) -> None:
    assert (seen["objects_before"], seen["objects_after"]) == (1, 4)


def test_a_click_is_one_undo_step(seen: dict) -> None:
    check(seen, "undo", [0])


def test_a_click_beside_everything_is_blenders(seen: dict) -> None:
    check(seen, "nothing", [])


def test_boxes_and_lassos(seen: dict) -> None:
    check(seen, "box", [0])
    check(seen, "box_add", [0, 3])
    check(seen, "b", [0, 1, 2, 3])
    check(seen, "box_subtract", [0, 2, 3])
    check(seen, "lasso", [2])


def test_the_nearer_of_a_mesh_and_a_splat_is_hit(seen: dict) -> None:
    check(seen, "near", ["Near"])
    check(seen, "inside", [1])


def test_h_closes_the_eye_of_the_label(seen: dict) -> None:
    assert seen["after"]["hide"]["hidden"] == [1]
    check(seen, "through", [])


def test_a_drag_with_tweak_moves_the_object_under_the_mouse(seen: dict) -> None:
    check(seen, "tweak", [0])
    assert seen["before_drag"] != seen["after_drag"]


def test_circles_of_the_list_select_several_labels_and_their_objects(seen: dict) -> None:
    check(seen, "row", [0])
    check(seen, "row_ctrl", [0, 2])
    check(seen, "row_shift", [2, 3])
    check(seen, "row_name", [1])
    check(seen, "row_undo", [2, 3])


def test_a_renamed_object_renames_its_label(seen: dict) -> None:
    assert seen["after"]["rename"]["titles"][0] == seen["after"]["rename"]["names"][0] == "Chair"


def test_the_tools_for_labels(seen: dict) -> None:
    after = seen["after"]
    balls = {label >> 10 for label in seen["halves"]}
    lasso, more = ({label >> 10 for label in after[step]["marked"]} for step in ("tool_lasso", "tool_add"))
    assert len(balls) == 4 and len(lasso) == 1 and len(after["tool_lasso"]["marked"]) == 2  # both halves of one ball
    assert len(more) == 2 and lasso < more and len(after["tool_add"]["marked"]) == 4
    assert len(after["tool_click"]["marked"]) == 1 and after["tool_click"]["gaussians"] < 1500
    assert after["tool_brush"]["labels"] == [1, 2]


def test_pictures_were_taken(seen: dict) -> None:
    assert (Path(OUT) / "selecting-click.png").is_file() and seen["after"]
