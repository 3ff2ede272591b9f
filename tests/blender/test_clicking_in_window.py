"""The tool Click to Select, with real clicks in the window of a real Blender and a process that answers them."""

import json

import pytest

from tests.blender.conftest import OUT, blender
from tests.helpers import made_splat

BALL = 1500  # Gaussians of each of the four balls, whose radius is 1; a suggestion has radius 0.6, 1.3 or 4.5


@pytest.fixture(scope="module")
def seen(installed: str, serving, screen: dict[str, str]) -> dict:
    """The whole walk, once; what the script found out."""
    rows, codes = made_splat.made_splat(rest=0)
    splat = made_splat.write(OUT / "clicking.ply", made_splat.with_codes(rows, codes))
    (OUT / "clicking.json").unlink(missing_ok=True)
    script = "/mnt/repo/tests/blender/inside/clicking.py"
    env = {**screen, "BGS_ENGINE_PYTHON": str(serving)}
    run = blender("--window-geometry", 0, 0, 1280, 800, "-P", script, "--", splat, env=env)
    assert (OUT / "clicking.json").is_file(), (run.stdout + run.stderr)[-3000:]
    facts = json.loads((OUT / "clicking.json").read_text())
    assert "error" not in facts, facts["error"] + run.stdout[-2000:]
    return facts


def suggested(seen: dict, step: str) -> list[int]:
    """The Gaussians of each ball in the suggestion."""
    found = seen["after"][step]
    assert found["suggested"] is not None, (step, found)
    return found["suggested"]


def test_a_click_suggests_the_ball_and_changes_nothing(seen: dict) -> None:
    click = seen["after"]["click"]
    assert click["steps"] == [True] and click["print"] == seen["before"]
    on_ball = suggested(seen, "click")
    assert BALL / 4 < on_ball[0] < BALL and on_ball[1:] == [0, 0, 0]  # 1.3 round a place on its surface


def test_plus_minus_and_places_beside(seen: dict) -> None:
    larger, beside, back = (suggested(seen, step) for step in ("larger", "beside", "take_back"))
    assert larger[0] == BALL and larger[1] > 0  # 4.5 reaches into the next balls
    assert seen["after"]["beside"]["steps"] == [True, False] and beside[1] == 0 and beside[0] > BALL / 2
    assert seen["after"]["take_back"]["steps"] == [True] and back == suggested(seen, "click")
    assert 0 < suggested(seen, "smaller")[0] < suggested(seen, "click")[0]
    assert suggested(seen, "smallest") == suggested(seen, "smaller")  # there is no smaller one, and no error


def test_escape_leaves_all_as_it_was(seen: dict) -> None:
    after = seen["after"]["escape"]
    assert after["steps"] is None and after["print"] == seen["before"]
    assert seen["undo_poll"] is False  # Ctrl Z is Blender's again


def test_enter_makes_a_label_and_ctrl_z_takes_it_back(seen: dict) -> None:
    after = seen["after"]
    assert (after["again"]["labels"], after["accept"]["labels"]) == (4, 5)
    assert after["accept"]["selected"] == sum(suggested(seen, "part")) > 0
    assert after["accept"]["steps"] is None
    assert after["undo"]["codes"] == after["click"]["codes"] and after["undo"]["labels"] == 4
    assert after["redo"]["codes"] == after["accept"]["codes"] and after["redo"]["labels"] == 5


def test_a_box_marks_the_front_and_shift_enter_adds_to_the_active_label(seen: dict) -> None:
    marked = seen["after"]["box"]["marked"][0]
    assert 0 < marked[2] < BALL / 2 and marked[0] == marked[1] == marked[3] == 0
    assert seen["after"]["box_accept"]["labels"] == 5  # no new one
    assert seen["after"]["box_accept"]["codes"] != seen["after"]["redo"]["codes"]


def test_keys_change_the_radius_of_the_brush(seen: dict) -> None:
    assert seen["after"]["box"]["radius"] == 30
    assert seen["after"]["brush_larger"]["radius"] == 34  # by a seventh
    assert seen["after"]["brush_dragged"]["radius"] not in (30, 34)


def test_a_stroke_marks_the_front_and_ctrl_takes_away(seen: dict) -> None:
    stroke, beside = seen["after"]["brush"], seen["after"]["brush_beside"]
    marked = stroke["marked"][0]
    assert (
        stroke["steps"] == [True] and min(marked[1], marked[2]) > 0 and max(marked) < 0.6 * BALL
    )  # the near half, and a bit
    assert suggested(seen, "brush")[1:3] == marked[1:3]
    assert beside["steps"] == [True, False] and beside["marked"][1][1] > 0
    assert 0 <= suggested(seen, "brush_beside")[1] < marked[1] and suggested(seen, "brush_beside")[2] == marked[2]
    assert seen["after"]["brush_escape"]["codes"] == seen["after"]["box_accept"]["codes"]


def test_hidden_labels_stay_out(seen: dict) -> None:
    assert suggested(seen, "larger")[1] > 0 and suggested(seen, "hidden_large")[1] == 0
    assert suggested(seen, "hidden_large")[0] > BALL / 2


def test_a_moved_label_object_is_clicked_where_it_is(seen: dict) -> None:
    on_ball = suggested(seen, "object_click")
    assert BALL / 4 < on_ball[3] < BALL and on_ball[:3] == [0, 0, 0]
    before, after = seen["after"]["object_click"], seen["after"]["object_accept"]
    assert after["labels"] == before["labels"] + 1 and after["objects"] == before["objects"] + 1


def test_another_tool_ends_the_pointing(seen: dict) -> None:
    assert seen["after"]["tool_left"]["steps"] == [True] and seen["after"]["tool_gone"]["steps"] is None
