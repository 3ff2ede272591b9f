"""A second segmentation, labels changed by hand, and the run folder that follows them."""

import shutil
from pathlib import Path
from typing import cast

import bpy
import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout, unsigned
from bgs_engine.core.label_table import build_label_table, read_labels
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import codes_in, finish, open_run, partial_folder, write_run
from blender_bgs.cloud import code_tables, label_selection, labels, point_clouds
from blender_bgs.cloud.typed import SplatObject
from blender_bgs.engine import keeping, segmenting
from blender_bgs.engine.segment_config import SegmentConfig
from blender_bgs.files import save_to_run
from blender_bgs.logic import attributes as at
from blender_bgs.parts import label_objects
from blender_bgs.parts.edited import lost_parts
from tests.helpers import made_splat


def write_answer(scene: Path, run: Path, codes: np.ndarray) -> Path:
    """A run folder as the engine writes it."""
    ply = read_ply(scene)
    count = ply.count
    means, grey, ones = ply.columns(("x", "y", "z")), np.full((count, 3), 0.5, np.float32), np.ones(count, np.float32)
    table = build_label_table(BitLayout(), codes, means, ones, grey)
    sure = np.arange(count, dtype=np.float32) / count
    write_run(partial_folder(run), ply, codes, ones, table, {"source": str(scene)}, sure)
    finish(run)
    return run


@pytest.fixture
def run_import(tmp_path):
    """The made splat out of a run folder; returns (object, run folder, codes)."""
    rows, codes = made_splat.made_splat()
    run = write_answer(made_splat.write(tmp_path / "made.ply", rows), tmp_path / "made_bgs", codes)
    bpy.ops.bgs.import_splat(filepath=str(run / "scene.ply"))
    return bpy.context.view_layer.objects.active, run, codes


def other_numbers(codes: np.ndarray) -> np.ndarray:
    """The same objects under new numbers; of the first ball a third joins the second ball."""
    layout = BitLayout()
    new = layout.pack([layout.local(codes, level) ^ number for level, number in ((1, 0x5A5), (2, 0x155), (3, 0x2AA))])
    new[:500] = new[1500:2000]
    return new


def segment_again(obj, run: Path, codes: np.ndarray, scene: Path) -> None:
    write_answer(scene, run, codes)
    segmenting.apply_answer(obj, segmenting.read_answer(run, segmenting.snapshot_of(obj, in_order=False)))


def test_names_colours_and_eyes_outlive_a_second_segmentation(run_import) -> None:
    obj, run, codes = run_import
    obj.bgs.level = 1
    layout = BitLayout()
    balls = [int(label) for label in layout.labels(codes[[0, 1500, 3000, 4500]], 1)]
    for name, label in zip(("Sofa", "Lamp", "Table"), balls, strict=False):
        labels.find(obj, 1, label).name = name
    labels.find(obj, 1, balls[2]).hidden = True
    colors = [tuple(labels.find(obj, 1, label).color) for label in balls]
    new = other_numbers(codes)
    segment_again(obj, run, new, run.parent / "made.ply")
    assert np.array_equal(code_tables.codes_of(obj), new)
    after = [int(label) for label in layout.labels(new[[1000, 1500, 3000, 4500]], 1)]
    assert not set(after) & set(balls)
    found = [labels.find(obj, 1, label) for label in after]
    # The first ball lost a third and still is two thirds of what it was: more than half of the union.
    assert [row.name for row in found[:3]] == ["Sofa", "Lamp", "Table"]
    assert found[3].name.startswith("L1_")  # nobody named it, so it has the name that its new rank gives
    assert [tuple(row.color) for row in found] == colors
    assert found[2].hidden and not found[0].hidden
    sure = point_clouds.need_column(obj.data, at.CONFIDENCE)
    assert sure is not None and np.array_equal(sure, np.arange(6000, dtype=np.float32) / 6000)
    assert "Sofa" in {row.name for row in read_labels(run / "labels.json").levels[0]}  # for other programs too


def test_objects_are_updated_after_a_second_segmentation(run_import) -> None:
    obj, run, codes = run_import
    bpy.ops.bgs.make_collections()
    assert not bpy.ops.bgs.update_collections.poll()  # nothing to update yet
    label = int(BitLayout().labels(codes[:1], 1)[0])
    part = next(p for p in code_tables.parts_of(obj) if unsigned(p.bgs.part_key) == label)
    home, mine = bpy.data.collections.new("Mine"), bpy.data.materials.new("Mine")
    bpy.context.scene.collection.children.link(home)
    for collection in part.users_collection:
        collection.objects.unlink(part)
    home.objects.link(part)
    part.name, part.location.x, part.data.materials[0] = "My Sofa", 5, mine
    new = other_numbers(codes)
    segment_again(obj, run, new, run.parent / "made.ply")
    part = cast(SplatObject, bpy.data.objects["My Sofa"])
    assert obj.bgs.parts_stale and len(part.data.points) == 1500  # the object waits for the button ...
    assert np.array_equal(
        point_clouds.need_column(part.data, at.CODE), new[:1500]
    )  # ... but shows the labels as they are
    assert bpy.ops.bgs.update_collections() == {"FINISHED"}
    part = cast(SplatObject, bpy.data.objects["My Sofa"])
    assert len(part.data.points) == 1000 and part.location.x == 5
    assert part.data.materials[0] == mine and part.users_collection[0] == home
    sizes = sorted(len(p.data.points) for p in code_tables.parts_of(obj))
    assert sizes == [1000, 1500, 1500, 2000] and not obj.bgs.parts_stale
    before = len(obj.data.points)
    bpy.ops.bgs.merge_back()
    assert len(obj.data.points) == before and np.array_equal(code_tables.codes_of(obj), new)


def test_a_moved_object_whose_label_is_gone_is_named_first(run_import) -> None:
    obj, run, codes = run_import
    bpy.ops.bgs.make_collections()
    part = code_tables.parts_of(obj)[0]
    part.location.x += 3
    bpy.context.view_layer.update()
    assert lost_parts(obj) == []
    segment_again(obj, run, codes * 0 + 77, run.parent / "made.ply")  # everything is one thing now
    assert lost_parts(obj) == [part.name]


def test_only_some_objects_and_a_second_segmentation_merge_to_every_gaussian_once(run_import) -> None:
    obj, run, codes = run_import
    for index in (0, 1):
        obj.bgs.label_index = index
        bpy.ops.bgs.make_collections(only="SELECTED")
    assert len(code_tables.parts_of(obj)) == 2
    segment_again(obj, run, other_numbers(codes), run.parent / "made.ply")
    bpy.ops.bgs.merge_back()
    assert np.array_equal(point_clouds.need_column(obj.data, at.ROW), np.arange(6000))
    assert obj.data.attributes.get(at.IN_OBJECTS) is None


def test_an_answer_for_an_edited_splat_is_refused(run_import) -> None:
    obj, run, _ = run_import
    snapshot = segmenting.snapshot_of(obj, in_order=False)
    rows = point_clouds.need_column(obj.data, at.ROW)
    point_clouds.set_column(obj.data, at.Column(at.ROW, "INT", rows[::-1]))
    before = code_tables.codes_of(obj)
    with pytest.raises(segmenting.InputError, match="edited"):
        segmenting.apply_answer(obj, segmenting.read_answer(run, snapshot))
    assert np.array_equal(code_tables.codes_of(obj), before)


def reassign_first_ball(obj) -> np.ndarray:
    label = int(BitLayout().labels(code_tables.codes_of(obj)[:1], 1)[0])
    index = next(i for i, row in enumerate(obj.bgs.labels) if row.level == 1 and row.label == label)
    bpy.ops.bgs.select_label(index=index)
    bpy.ops.bgs.reassign(target="NEW", name="Chair")
    return code_tables.codes_of(obj)


def test_changed_labels_go_to_the_run_folder_when_asked(run_import) -> None:
    obj, run, codes = run_import
    table = (run / "labels.json").read_bytes()
    new = reassign_first_ball(obj)
    assert obj.bgs.run_changed and np.array_equal(open_run(run).codes, codes)  # not before somebody saves
    assert bpy.ops.bgs.save_run() == {"FINISHED"}
    saved = open_run(run)
    assert np.array_equal(saved.codes, new) and not obj.bgs.run_changed
    assert np.array_equal(codes_in(read_ply(run / "scene.ply")), new)
    assert "Chair" in {row.name for row in saved.labels().levels[0]}
    assert saved.info["labels_per_level"] == [sum(r.level == level for r in obj.bgs.labels) for level in (1, 2, 3)]
    # What the engine had found is still there, also after a second time.
    assert np.array_equal(np.load(run / "codes_engine.npy"), codes)
    bpy.ops.bgs.reassign(target="NEW")
    bpy.ops.bgs.save_run()
    assert np.array_equal(np.load(run / "codes_engine.npy"), codes)
    assert (run / "labels_engine.json").read_bytes() == table
    assert not list(run.glob(".*"))  # nothing half-written is left


def test_saving_the_blend_saves_the_run_folder_and_undo_goes_back_with_it(run_import, tmp_path) -> None:
    obj, run, codes = run_import
    name = obj.name
    bpy.ops.ed.undo_push(message="before")
    new = reassign_first_ball(obj)
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    assert np.array_equal(open_run(run).codes, new)
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    assert np.array_equal(code_tables.codes_of(obj), codes)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    assert np.array_equal(open_run(run).codes, codes)


def test_a_file_without_changed_labels_leaves_the_run_folder_alone(run_import, tmp_path) -> None:
    _, run, codes = run_import
    other = codes.copy()
    other[:10] = other[2000]
    np.save(run / "codes.npy", other)  # what another .blend has put there meanwhile
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    assert np.array_equal(open_run(run).codes, other)


def test_a_run_folder_about_something_else_is_refused_in_words(run_import, tmp_path) -> None:
    _, run, _ = run_import
    rows, codes = made_splat.made_splat(per_object=10)
    shutil.rmtree(run)
    write_answer(made_splat.write(tmp_path / "small.ply", rows), run, codes)
    with pytest.raises(RuntimeError, match="Another run"):
        bpy.ops.bgs.save_run()
    assert len(open_run(run).codes) == 40


def test_another_run_of_the_same_size_is_not_written_to(run_import, tmp_path) -> None:
    obj, run, codes = run_import
    other = codes[::-1].copy()
    write_answer(tmp_path / "made.ply", run, other)
    label_selection.select(obj, np.arange(6000) < 100)
    bpy.ops.bgs.reassign(target="NEW", name="Mine")
    with pytest.raises(RuntimeError, match="Another run"):
        bpy.ops.bgs.save_run()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    assert np.array_equal(open_run(run).codes, other)
    assert "Mine" not in (run / "labels.json").read_text()


def test_deleted_gaussians_keep_their_codes_in_the_folder(run_import) -> None:
    obj, run, codes = run_import
    bpy.ops.bgs.make_collections()
    label_objects.remove_part(code_tables.parts_of(obj)[1])
    bpy.ops.bgs.merge_back()
    assert len(obj.data.points) == 4500
    label_selection.select(obj, np.arange(4500) < 100)
    bpy.ops.bgs.reassign(target="NEW", name="Chair")
    assert save_to_run.save(obj)
    there = open_run(run).codes
    kept = point_clouds.need_column(obj.data, at.ROW)
    assert np.array_equal(there[kept], code_tables.codes_of(obj))
    gone = np.setdiff1d(np.arange(6000), kept)
    assert np.array_equal(there[gone], codes[gone])


def test_colours_come_back_with_the_run(run_import) -> None:
    obj, run, _ = run_import
    before = {(row.level, row.key): row.color[:] for row in obj.bgs.labels}
    row = [row for row in obj.bgs.labels if row.level == 1][1]
    key = row.level, row.key
    row.color = (0.25, 0.5, 0.75)
    assert obj.bgs.run_changed
    assert bpy.ops.bgs.save_run() == {"FINISHED"}
    table = read_labels(run / "labels.json")
    assert sum(one.shown_color is not None for level in table.levels for one in level) == 1
    bpy.ops.bgs.import_splat(filepath=str(run / "scene.ply"))
    again = bpy.context.view_layer.objects.active
    after = {(row.level, row.key): row.color[:] for row in again.bgs.labels}
    assert np.allclose(after.pop(key), (0.25, 0.5, 0.75))
    before.pop(key)
    # Children of the recoloured label are shades of its new colour; all others are as before.
    shift = {2: 10, 3: 20}
    for one, color in before.items():
        if one[0] == 1 or (one[1] & 0xFFFFFFFF) >> shift[one[0]] != key[1] & 0xFFFFFFFF:
            assert np.allclose(after[one], color), one


def segment_keeping(obj, run: Path, codes: np.ndarray) -> segmenting.Answer:
    """As the Segment button does it, with the engine's answer given."""
    mended = keeping.mended_labels(obj)
    given = segmenting.snapshot_of(obj, in_order=False, mended=mended)
    write_answer(run.parent / "made.ply", run, codes)
    answer = segmenting.read_answer(run, given)
    segmenting.apply_answer(obj, answer)
    return answer


def test_a_mended_label_outlives_a_second_and_a_third_segmentation(run_import) -> None:
    obj, run, _ = run_import
    assert not keeping.may_be_mended(obj) and keeping.mended_labels(obj) is None
    label_selection.select(obj, (np.arange(6000) >= 1000) & (np.arange(6000) < 2000))
    bpy.ops.bgs.reassign(target="NEW", name="Chair")  # a third of the first two balls
    chair = next(row for row in obj.bgs.labels if row.name == "Chair")
    chair.color = (0.25, 0.5, 0.75)
    mine = np.flatnonzero(code_tables.table_of(obj).rows(1, chair.label))
    assert mine.tolist() == list(range(1000, 2000))
    for number in (0x5A5, 0x3C3):
        layout = BitLayout()
        new = layout.pack([np.repeat([1, 2, 3, 4], 1500) ^ number, np.repeat([5], 6000), np.arange(6000) % 2])
        answer = segment_keeping(obj, run, new)
        assert answer.kept == 3 and obj.bgs.run_changed  # the chair and the two labels that it was taken from
        chair = next(row for row in obj.bgs.labels if row.name == "Chair")
        rows = code_tables.table_of(obj).rows(1, chair.label)
        assert np.flatnonzero(rows).tolist() == list(range(1000, 2000))
        assert np.allclose(chair.color, (0.25, 0.5, 0.75))
        codes = code_tables.codes_of(obj)
        assert np.array_equal(codes[3000:], new[3000:])  # nobody touched the other balls
        assert len(np.unique(codes[rows])) == 4  # two children, from two balls of the new run, each with its two
    assert np.array_equal(open_run(run).codes, new)  # the folder has the engine's answer until it is saved
    assert bpy.ops.bgs.save_run() == {"FINISHED"}
    assert np.array_equal(open_run(run).codes, codes) and np.array_equal(np.load(run / "codes_engine.npy"), new)
    assert keeping.may_be_mended(obj)


def test_the_run_gets_the_levels_that_mended_labels_need(run_import) -> None:
    obj, _, _ = run_import
    reassign_first_ball(obj)
    assert keeping.mended_labels(obj) is None  # the whole ball got another number: nothing to keep
    label_selection.select(obj, np.arange(6000) < 100)
    bpy.ops.bgs.reassign(target="NEW")
    mended = keeping.mended_labels(obj)
    assert mended is not None and {level for level, _ in mended.keys} == {1}
    assert keeping.config_for(SegmentConfig(), mended).level_bits == "12,10,10"
    assert keeping.config_for(SegmentConfig(level_bits="8"), mended).level_bits == "8"
    obj.bgs.level = 2
    label_selection.select(obj, np.arange(6000) < 50)
    bpy.ops.bgs.reassign(target="NEW")
    with pytest.raises(segmenting.UsageError, match="finer than level 1"):
        keeping.config_for(SegmentConfig(level_bits="8"), keeping.mended_labels(obj))


def test_mended_labels_of_a_lost_run_folder_are_not_replaced_unasked(run_import) -> None:
    obj, run, _ = run_import
    label_selection.select(obj, np.arange(6000) < 100)
    bpy.ops.bgs.reassign(target="NEW")
    run.rename(run.with_name("elsewhere"))
    with pytest.raises(segmenting.UsageError, match=r"not in .*any more.*switch off Keep Mended Labels"):
        keeping.mended_labels(obj)


def test_a_result_without_room_is_refused_and_the_next_one_keeps_the_labels(run_import) -> None:
    obj, run, _ = run_import
    label_selection.select(obj, np.arange(6000) < 100)
    bpy.ops.bgs.reassign(target="NEW", name="Chair")
    before, mended = code_tables.codes_of(obj), keeping.mended_labels(obj)
    given = segmenting.snapshot_of(obj, in_order=False, mended=mended)
    crowded = BitLayout().pack([np.arange(6000) % 4096, np.repeat([0], 6000), np.repeat([0], 6000)])
    write_answer(run.parent / "made.ply", run, crowded)  # the 4,500 of the other balls have all 4,096 labels
    with pytest.raises(segmenting.UsageError, match="no place in the new run") as caught:
        segmenting.read_answer(run, given)
    assert "more bits" in caught.value.hint and np.array_equal(code_tables.codes_of(obj), before)
    again = keeping.mended_labels(obj)  # the folder has the run that was refused
    assert mended is not None and again is not None and again.keys == mended.keys


def test_automatic_names_go_to_the_run_folder_and_come_back_apart_from_given_ones(run_import) -> None:
    obj, run, _ = run_import
    obj.bgs.level = 1
    obj.bgs.labels[0].name = "Mars"
    bpy.ops.bgs.name_labels()
    bpy.ops.bgs.save_run()
    written = {(level, row.label): row for level, rows in enumerate(open_run(run).labels().levels, 1) for row in rows}
    before = {(row.level, row.label): (row.name, row.automatic) for row in obj.bgs.labels}
    assert {key: (row.name, row.automatic) for key, row in written.items()} == before
    bpy.data.objects.remove(obj)
    bpy.ops.bgs.import_splat(filepath=str(run / "scene.ply"))
    again = bpy.context.view_layer.objects.active
    assert {(row.level, row.label): (row.name, row.automatic) for row in again.bgs.labels} == before
    assert sum(name != automatic for name, automatic in before.values()) == 1  # Mars


def test_automatic_names_of_the_first_run_do_not_stay_after_the_second(run_import) -> None:
    obj, run, codes = run_import
    bpy.ops.bgs.name_labels()
    next(row for row in obj.bgs.labels if row.level == 1).name = "Mars"
    segment_again(obj, run, other_numbers(codes), run.parent / "made.ply")  # this engine gives no automatic names
    names = [row.name for row in obj.bgs.labels if row.level == 1]
    assert "Mars" in names and all(name == "Mars" or name.startswith("L1_") for name in names)
