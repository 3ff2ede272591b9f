"""Clicks without a window: a real process answers as the engine does, and the suggestion becomes labels."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from blender_bgs.clicking import accepting, engine_scene, view
from blender_bgs.clicking.asking import asking
from blender_bgs.clicking.operators import look
from blender_bgs.clicking.pointing import Step
from blender_bgs.cloud import code_tables, labels, point_clouds, selection, shown
from blender_bgs.logic import attributes as at
from blender_bgs.parts import label_objects
from blender_bgs.viewport.draw import display

ROOT = Path(__file__).resolve().parents[2]
LAYOUT = BitLayout()
BALL = 1500  # Gaussians of a ball of the made splat, which has radius 1; the next ball is 4 away


@pytest.fixture(autouse=True)
def serving(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """`tests/helpers/fake_serve.py` in place of the engine; gives a function that reads what was asked."""
    folder = tmp_path_factory.mktemp("serve")
    script, log = folder / "fake-serve", folder / "asked.jsonl"
    # Only chosen variables reach the engine, so it reads those of this test from a file.
    path = f"import json, os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
    path += f"os.environ.update(json.load(open({str(folder / 'variables.json')!r})))\n"
    script.write_text(f"#!{sys.executable}\n{path}{(ROOT / 'tests/helpers/fake_serve.py').read_text()}")
    script.chmod(0o755)
    monkeypatch.setenv("BGS_ENGINE_PYTHON", str(script))
    mode("good")
    yield lambda: [json.loads(line) for line in log.read_text().splitlines()]
    asking.close()
    asking.problem = ""


def mode(value: str) -> None:
    """Let the stand-in do something, see `fake_serve`."""
    folder = Path(os.environ["BGS_ENGINE_PYTHON"]).parent
    given = {"BGS_FAKE_SERVE": value, "BGS_FAKE_SERVE_LOG": str(folder / "asked.jsonl")}
    (folder / "variables.json").write_text(json.dumps(given))


def middle_of(obj, label: int | None = None, ball: int = 0) -> int:
    """The point nearest to the middle of a ball, or of a label of level 1."""
    position = point_clouds.need_column(obj.data, at.POSITION)
    rows = np.arange(BALL * ball, BALL * (ball + 1))
    if label is not None:
        rows = np.flatnonzero(code_tables.table_of(obj).rows(1, label))
    return int(rows[np.linalg.norm(position[rows] - position[rows].mean(0), axis=1).argmin()])


def attributes(obj) -> dict[str, bytes]:
    """Every attribute of a cloud, bit for bit."""
    found = {}
    for attribute in obj.data.attributes:
        values = point_clouds.get_column(obj.data, attribute.name)
        found[attribute.name] = b"" if values is None else values.tobytes()
    return found


def suggested() -> np.ndarray:
    assert asking.pointing is not None
    points = asking.pointing.points()
    assert points is not None
    return points


def test_a_click_suggests_and_changes_nothing_in_the_file(coded, serving) -> None:
    obj, _, _ = coded
    before, listed = attributes(obj), [(r.level, r.label, r.name) for r in obj.bgs.labels]
    assert bpy.ops.bgs.add_place(point=middle_of(obj)) == {"FINISHED"}
    points = suggested()
    assert np.array_equal(np.flatnonzero(points), np.arange(BALL))  # radius 1.3 holds just the ball
    assert display.preview is not None
    assert np.array_equal(display.preview[obj.session_uid], np.where(points, np.float32(1), 0))  # it is quite sure
    assert attributes(obj) == before and [(r.level, r.label, r.name) for r in obj.bgs.labels] == listed
    bpy.ops.bgs.cancel_pointing()
    assert asking.pointing is None and display.preview is None
    assert attributes(obj) == before
    asked = serving()
    assert len(asked) == 1 and asked[0]["inside"] == [True]
    assert np.allclose(asked[0]["places"][0], point_clouds.need_column(obj.data, at.POSITION)[middle_of(obj)])


def test_sizes_places_beside_and_taking_back(coded, serving) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.add_place(point=middle_of(obj))
    bpy.ops.bgs.change_size(by=-1)
    assert 0 < suggested().sum() < BALL
    smallest = suggested()
    bpy.ops.bgs.change_size(by=-1)  # there is no smaller one
    assert np.array_equal(suggested(), smallest)
    bpy.ops.bgs.change_size(by=1)
    bpy.ops.bgs.change_size(by=1)
    large = suggested().sum()
    assert large > 2 * BALL
    bpy.ops.bgs.add_place(point=middle_of(obj, ball=1), beside=True)
    assert BALL <= suggested().sum() < 4 * BALL and not suggested()[BALL : 2 * BALL].any()  # still the large size
    assert [one["so_far"] for one in serving()] == [None, large]
    bpy.ops.bgs.take_back_place()
    bpy.ops.bgs.change_size(by=1)
    assert suggested().sum() == large
    bpy.ops.bgs.take_back_place()
    assert asking.pointing is None and asking.session is not None  # it stays open for the next click
    assert [one["inside"] for one in serving()] == [[True], [True, False], [True]]


def test_the_tint_and_the_words_say_how_sure_the_engine_is(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.add_place(point=middle_of(obj))
    pointing = asking.pointing
    assert pointing is not None and pointing.answer is not None
    assert pointing.words() == "Part: 1,500 Gaussians, 3 views agree"  # what the stand-in says
    shown_now = pointing.suggestion
    assert shown_now is not None
    sure = np.linspace(0, 1, 4 * BALL, dtype=np.float32)
    sure[3] = np.nan
    unsure = replace(shown_now, confidence=sure, views=1)
    pointing.answer = replace(pointing.answer, suggestions=(unsure,), likeliest=0)
    pointing.size = 0
    tint = pointing.strengths()
    assert tint is not None and (tint[BALL:] == 0).all()  # outside the suggestion, whatever the confidence there
    assert np.allclose(tint[4:BALL], 0.55 + 0.45 * sure[4:BALL]) and np.isclose(tint[3], 0.55)
    assert pointing.words() == "1,500 Gaussians, 1 view agrees"
    pointing.answer = replace(pointing.answer, suggestions=(replace(unsure, views=0),), likeliest=0)
    assert pointing.words() == "1,500 Gaussians, from the labels"


def test_an_area_corrects_what_is_shown(coded, serving) -> None:
    """What earlier steps did is in `so_far`, so a mark comes alone; a place comes with the places before it."""
    obj, _, _ = coded
    bpy.ops.bgs.add_place(point=middle_of(obj))
    first = suggested()
    pointing = asking.begin(obj)
    marked = np.zeros(4 * BALL, bool)
    marked[BALL : BALL + 100] = True
    asking.add(pointing, Step(True, marked=marked))
    assert np.array_equal(suggested(), first | marked)
    asking.add(pointing, Step(False, marked=first))
    assert np.array_equal(suggested(), marked)
    bpy.ops.bgs.add_place(point=middle_of(obj, ball=1))
    asked = serving()
    assert [len(one["places"]) for one in asked] == [1, 0, 0, 2]
    assert [one["marked"] for one in asked] == [None, 100, None, None]
    assert [one["excluded"] for one in asked] == [None, None, BALL, None]
    assert [one["so_far"] for one in asked] == [None, BALL, BALL + 100, 100]


def test_a_new_label_lies_beside_and_all_others_stay(coded) -> None:
    obj, _, codes = coded
    obj.bgs.level = 2
    names = {(r.level, r.label): r.name for r in obj.bgs.labels}
    bpy.ops.bgs.add_place(point=middle_of(obj))
    bpy.ops.bgs.change_size(by=-1)
    points = suggested()
    assert bpy.ops.bgs.accept_suggestion(how="NEW") == {"FINISHED"}
    after = code_tables.codes_of(obj)
    target = set(np.unique(LAYOUT.labels(after[points], 2)).tolist())
    assert len(target) == 1 and not target & set(np.unique(LAYOUT.labels(codes, 2)).tolist())
    assert np.array_equal(LAYOUT.labels(after, 1), LAYOUT.labels(codes, 1))  # the ball is still one label
    assert np.array_equal(after[~points], codes[~points])
    assert all(names.get((r.level, r.label), r.name) == r.name for r in obj.bgs.labels)
    assert obj.bgs.active_label().label in target and np.array_equal(selection.selected(obj), points)
    assert asking.pointing is None and display.preview is None


def test_a_suggestion_that_is_a_label_only_selects_it(coded) -> None:
    obj, _, codes = coded
    bpy.ops.bgs.add_place(point=middle_of(obj))
    bpy.ops.bgs.accept_suggestion(how="NEW")
    assert np.array_equal(code_tables.codes_of(obj), codes)
    assert np.array_equal(np.flatnonzero(selection.selected(obj)), np.arange(BALL))


def test_add_to_the_active_label_and_take_from_it(coded) -> None:
    obj, _, codes = coded
    active = int(LAYOUT.labels(codes, 1)[BALL])
    labels.activate(obj, (1, active))
    bpy.ops.bgs.add_place(point=middle_of(obj))
    bpy.ops.bgs.change_size(by=-1)
    points = suggested()
    bpy.ops.bgs.accept_suggestion(how="ADD")
    after = code_tables.codes_of(obj)
    assert (LAYOUT.labels(after, 1)[points] == active).all()
    assert np.array_equal(after[~points], codes[~points])
    bpy.ops.bgs.add_place(point=middle_of(obj))
    assert suggested().sum() == BALL
    bpy.ops.bgs.accept_suggestion(how="TAKE")
    again = code_tables.codes_of(obj)
    assert not (LAYOUT.labels(again, 1)[points] == active).any()
    assert len(np.unique(LAYOUT.labels(again, 1)[points])) == 1
    assert np.array_equal(again[~points], codes[~points])


def test_nothing_is_taken_where_all_would_go(coded) -> None:
    obj, _, codes = coded
    labels.activate(obj, (1, int(LAYOUT.labels(codes, 1)[0])))
    bpy.ops.bgs.add_place(point=middle_of(obj))
    with pytest.raises(RuntimeError, match="Nothing would be left"):
        bpy.ops.bgs.accept_suggestion(how="TAKE")
    assert np.array_equal(code_tables.codes_of(obj), codes) and asking.pointing is not None


def test_a_splat_without_labels_gets_some(tmp_path) -> None:
    from tests.helpers import made_splat

    rows, _ = made_splat.made_splat()
    bpy.ops.bgs.import_splat(filepath=str(made_splat.write(tmp_path / "bare.ply", rows)))
    obj = bpy.context.view_layer.objects.active
    bpy.ops.bgs.add_place(point=middle_of(obj))
    with pytest.raises(RuntimeError, match="no labels yet"):
        bpy.ops.bgs.accept_suggestion(how="ADD")
    bpy.ops.bgs.accept_suggestion(how="NEW")
    table = code_tables.table_of(obj)
    assert obj.bgs.levels == 3 and np.array_equal(table.rows(1, 1), np.arange(4 * BALL) < BALL)
    assert labels.find(obj, 1, 0).name == "Rest" and obj.bgs.active_label().label == 1


def test_label_objects_get_the_new_label(coded) -> None:
    obj, _, _ = coded
    label_objects.make_tree(bpy.context.scene, obj, 1)
    bpy.ops.bgs.add_place(point=middle_of(obj))
    bpy.ops.bgs.change_size(by=-1)
    points = suggested()
    bpy.ops.bgs.accept_suggestion(how="NEW")
    label = obj.bgs.active_label().label
    made = [part for part in code_tables.parts_of(obj) if part.bgs.part_key & 0xFFFFFFFF == label]
    assert len(made) == 1 and len(made[0].data.points) == points.sum()
    assert sum(len(part.data.points) for part in code_tables.parts_of(obj)) == 4 * BALL


def test_gaussians_of_a_moved_object_stay_where_one_sees_them(coded) -> None:
    obj, _, _ = coded
    label_objects.make_tree(bpy.context.scene, obj, 1)
    part = next(p for p in code_tables.parts_of(obj) if point_clouds.need_column(p.data, at.ROW).min() == 0)
    part.location, part.rotation_euler = (0.5, 2.0, 3.0), (0.4, 0.2, 1.0)
    bpy.context.view_layer.update()
    rows = point_clouds.need_column(part.data, at.ROW)
    before = world_positions(part)
    bpy.ops.bgs.add_place(point=middle_of(obj))
    bpy.ops.bgs.change_size(by=-1)
    points = np.flatnonzero(suggested())
    bpy.ops.bgs.accept_suggestion(how="NEW")
    bpy.context.view_layer.update()
    label = obj.bgs.active_label().label
    made = next(p for p in code_tables.parts_of(obj) if p.bgs.part_key & 0xFFFFFFFF == label)
    assert np.array_equal(point_clouds.need_column(made.data, at.ROW), points)
    assert np.allclose(world_positions(made), before[np.searchsorted(rows, points)], atol=1e-5)


def world_positions(obj) -> np.ndarray:
    matrix = np.array(obj.matrix_world)
    return point_clouds.need_column(obj.data, at.POSITION) @ matrix[:3, :3].T + matrix[:3, 3]


def test_deleted_and_reordered_points_are_found_in_the_file(coded, serving) -> None:
    """Blender's points are in another order and fewer; the rows of the file are in bgs_row."""
    obj, _, _ = coded
    order = np.random.default_rng(0).permutation(4 * BALL)[: 3 * BALL]
    cloud = point_clouds.new_cloud("fewer", len(order))
    for attribute in list(obj.data.attributes):
        values = point_clouds.get_column(obj.data, attribute.name)
        if values is not None:
            point_clouds.set_column(cloud, at.Column(attribute.name, attribute.data_type, values[order]))
    for material in obj.data.materials:
        cloud.materials.append(material)
    obj.data = cloud
    rows = point_clouds.need_column(obj.data, at.ROW)
    assert np.array_equal(rows, order)
    inside = np.flatnonzero(order < BALL)
    bpy.ops.bgs.add_place(point=int(inside[0]))
    bpy.ops.bgs.change_size(by=1)
    points = suggested()
    near = serving()[0]["places"][0]
    position = point_clouds.need_column(obj.data, at.POSITION)
    assert np.allclose(near, position[inside[0]])
    assert np.array_equal(points, np.linalg.norm(position - np.array(near), axis=1) <= 4.5)


def test_a_splat_without_its_file_says_what_to_do(coded) -> None:
    _, path, _ = coded
    path.unlink()
    with pytest.raises(RuntimeError, match=r"cannot read the Gaussians .* Press Segment"):
        bpy.ops.bgs.add_place(point=0)
    assert asking.session is None


def test_a_missing_engine_says_what_to_do(coded, monkeypatch) -> None:
    monkeypatch.delenv("BGS_ENGINE_PYTHON")
    with pytest.raises(RuntimeError, match=r"No engine is installed\. Press Install Engine"):
        bpy.ops.bgs.add_place(point=0)


def test_an_engine_that_does_not_open_or_refuses_says_so(coded) -> None:
    mode("failing")
    bpy.ops.bgs.add_place(point=0)
    assert asking.pointing is None and asking.session is None
    assert asking.problem == "There is no mask model. Allow Blender to go online."
    mode("refusing")
    bpy.ops.bgs.add_place(point=0)
    assert asking.pointing is not None and asking.pointing.answer is None
    assert asking.pointing.problem == "No view sees this place. Click at another one."


def test_the_session_ends_with_its_splat(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.add_place(point=0)
    session = asking.session
    assert session is not None and asking.check() is not None
    bpy.data.objects.remove(obj)
    assert asking.check() is None and asking.session is None
    assert session.wait(3.0, "ended").phase == "ended"


def camera_above(height: float = 12.0):
    """A 3D view that looks down the z axis of the world, as a bpy wheel has none."""
    to_view, projection = np.eye(4), np.diag([1.8, 1.8, -1.0, 0.0])
    to_view[2, 3], projection[2, 3], projection[3, 2] = -height, -0.2, -1
    region = SimpleNamespace(view_matrix=to_view, window_matrix=projection)
    return SimpleNamespace(
        view_layer=bpy.context.view_layer, space_data=None, region_data=region, scene=bpy.context.scene,
        region=SimpleNamespace(width=600, height=600), mode="OBJECT",
    )  # fmt: skip


def seen_at(obj, ball: int) -> tuple[np.ndarray, tuple[float, float]]:
    """The middle of a ball in the world, and its pixel from the lower left corner in `camera_above`."""
    position = point_clouds.need_column(obj.data, at.POSITION)
    rows = point_clouds.need_column(obj.data, at.ROW)
    middle = position[(rows >= BALL * ball) & (rows < BALL * (ball + 1))].mean(0)
    world = (np.array(obj.matrix_world) @ np.array([*middle, 1.0]))[:3]
    return world, tuple(300 + 300 * 1.8 * world[:2] / (12.0 - world[2]))


def test_a_click_on_a_moved_label_object_lies_where_the_file_has_it(coded) -> None:
    """The place on the turned and scaled object is the place of the same Gaussians in the file."""
    obj, _, _ = coded
    label_objects.make_tree(bpy.context.scene, obj, 1)
    part = next(p for p in code_tables.parts_of(obj) if point_clouds.need_column(p.data, at.ROW).min() == 0)
    part.location, part.rotation_euler, part.scale = (0.5, 2.0, 3.0), (0.4, 0.2, 1.0), (1.5, 1.5, 1.5)
    bpy.context.view_layer.update()
    context = camera_above()
    _, mouse = seen_at(part, 0)
    touched = view.touch(context, None, mouse)
    assert touched is not None and touched.obj == part and touched.whole == obj
    scene = engine_scene.open_scene(obj)
    place = scene.place_of(part, int(scene.rows_of(obj)[touched.point]), touched.place, touched.mean)
    balls = np.stack([scene.positions[BALL * n : BALL * (n + 1)].mean(0) for n in range(4)])
    distance = np.linalg.norm(balls - place, axis=1)
    assert distance.argmin() == 0 and 0.7 < distance[0] < 1.1  # on the surface of the ball, whose radius is 1
    pointing = asking.begin(obj)
    look(context, pointing, obj, part)
    camera = pointing.camera
    assert camera is not None
    x, y, z = (camera.viewmat @ np.array([*place, 1.0]))[:3]
    assert np.allclose((camera.fx * x / z + camera.cx, 600 - (camera.fy * y / z + camera.cy)), mouse, atol=0.01)


def test_hidden_labels_stay_out(coded, serving) -> None:
    obj, _, codes = coded
    gone = int(LAYOUT.labels(codes, 1)[BALL])
    shown.set_hidden(obj, {(1, gone)})
    context = camera_above()
    pointing = asking.begin(obj)
    look(context, pointing, obj, obj)
    assert pointing.among is not None and np.array_equal(np.flatnonzero(~pointing.among), np.arange(BALL, 2 * BALL))
    assert view.touch(context, None, seen_at(obj, 1)[1]) is None
    assert view.touch(context, None, seen_at(obj, 2)[1]) is not None
    shown.set_hidden(obj, (), {(1, gone)})
    look(context, pointing, obj, obj)
    assert pointing.among is None


def test_hidden_label_objects_stay_out(coded) -> None:
    obj, _, codes = coded
    label_objects.make_tree(bpy.context.scene, obj, 1)
    shown.set_hidden(obj, {(1, int(LAYOUT.labels(codes, 1)[0]))})
    bpy.context.view_layer.update()
    points = view.shown_points(camera_above(), obj)
    assert np.array_equal(np.flatnonzero(~points), np.arange(BALL))


def test_an_empty_suggestion_is_refused(coded) -> None:
    obj, _, _ = coded
    with pytest.raises(UsageError, match="empty"):
        accepting.accept(bpy.context.scene, obj, np.zeros(4 * BALL, bool), "NEW")


def test_a_click_before_the_answer_to_the_last_one_loses_neither(coded, serving, monkeypatch) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.add_place(point=middle_of(obj))
    with monkeypatch.context() as hurried:
        hurried.setattr(asking, "wait", lambda: None)
        bpy.ops.bgs.add_place(point=middle_of(obj, ball=1))
    bpy.ops.bgs.add_place(point=middle_of(obj, ball=2))
    last = serving()[-1]
    assert len(last["places"]) == 3 and last["so_far"] is None  # the engine knows all three as new
    assert np.array_equal(np.flatnonzero(suggested()), np.arange(3 * BALL))


def test_a_label_that_is_hidden_before_it_is_accepted_stays_out(coded) -> None:
    obj, _, codes = coded
    bpy.ops.bgs.add_place(point=middle_of(obj))
    bpy.ops.bgs.change_size(by=1)
    points = suggested()
    assert points[BALL : 2 * BALL].any()
    shown.set_hidden(obj, {(1, int(LAYOUT.labels(codes, 1)[BALL]))})
    bpy.ops.bgs.accept_suggestion(how="NEW")
    after = code_tables.codes_of(obj)
    assert np.array_equal(after[BALL : 2 * BALL], codes[BALL : 2 * BALL])
    points[BALL : 2 * BALL] = False
    assert np.array_equal(selection.selected(obj), points)


def test_points_that_were_joined_are_not_rows_of_the_file(coded, serving) -> None:
    """Blender's Join repeats `bgs_row`: the joined points would get the label of other Gaussians."""
    obj, _, _ = coded
    bpy.ops.bgs.add_place(point=middle_of(obj))
    count = len(obj.data.points)
    cloud = point_clouds.new_cloud("joined", count + 10)
    for attribute in list(obj.data.attributes):
        values = point_clouds.get_column(obj.data, attribute.name)
        if values is not None:
            both = np.concatenate([values, values[:10]])
            point_clouds.set_column(cloud, at.Column(attribute.name, attribute.data_type, both))
    for material in obj.data.materials:
        cloud.materials.append(material)
    obj.data = cloud
    with pytest.raises(RuntimeError, match=r"has other Gaussians than .* Press Segment"):
        bpy.ops.bgs.add_place(point=0)
    assert asking.pointing is None


def test_another_run_of_the_splat_begins_anew(coded, serving) -> None:
    """The rows of what was pointed at are those of the file that the engine read then."""
    obj, _, _ = coded
    bpy.ops.bgs.add_place(point=middle_of(obj))
    before = asking.pointing
    obj.bgs.run_id = "another"
    bpy.ops.bgs.add_place(point=middle_of(obj, ball=1))
    assert asking.pointing is not None and asking.pointing is not before and len(asking.pointing.steps) == 1
    assert len(serving()[-1]["places"]) == 1


def test_a_gaussian_without_a_place_is_refused_and_the_next_click_is_answered(tmp_path) -> None:
    from tests.helpers import made_splat

    rows, _ = made_splat.made_splat()
    rows["x"][100:200] = np.nan
    bpy.ops.bgs.import_splat(filepath=str(made_splat.write(tmp_path / "broken.ply", rows)))
    obj = bpy.context.view_layer.objects.active
    with pytest.raises(RuntimeError, match="no finite coordinates"):
        bpy.ops.bgs.add_place(point=150)
    bpy.ops.bgs.add_place(point=BALL + 10)
    assert suggested().any() and len(obj.data.points) == len(suggested())
