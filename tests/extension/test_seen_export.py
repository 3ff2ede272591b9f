"""Exports are what one sees: moved label objects, deleted ones, several splats of different kinds."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import codes_in
from blender_bgs.cloud import code_tables, labels, point_clouds
from blender_bgs.cloud.seen import MADE
from blender_bgs.files import exporter
from blender_bgs.logic import attributes as at
from blender_bgs.parts import label_objects
from tests.helpers import made_splat


def import_(folder: Path, name: str, rest: int = 9, per_object: int = 50, codes: bool = True, seed: int = 0):
    """A made splat in the scene; returns (object, rows)."""
    rows, labels_ = made_splat.made_splat(per_object, rest, seed)
    table = made_splat.with_codes(rows, labels_) if codes else rows
    bpy.ops.bgs.import_splat(filepath=str(made_splat.write(folder / f"{name}.ply", table)))
    return bpy.context.view_layer.objects.active, table


def export(folder: Path, what: str, **options) -> np.ndarray:
    """The rows that an export writes."""
    path = folder / "exported.ply"
    path.unlink(missing_ok=True)
    assert bpy.ops.bgs.export_splat(filepath=str(path), what=what, **options) == {"FINISHED"}
    ply = read_ply(path)
    return ply.take(np.arange(ply.count))


def body(path: Path) -> bytes:
    return made_splat.body(path)


@pytest.fixture
def moved_and_deleted(coded):
    """Label objects of the made splat, one moved by 2 along x and one deleted; (whole, source, rows moved, gone)."""
    whole, source, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    moved, deleted = code_tables.parts_of(whole)[:2]
    rows = [point_clouds.need_column(part.data, at.ROW) for part in (moved, deleted)]
    moved.location.x += 2
    label_objects.remove_part(deleted)
    bpy.context.view_layer.update()
    return whole, source, *rows


def test_a_whole_splat_is_what_one_sees(moved_and_deleted, tmp_path) -> None:
    _, source, moved, gone = moved_and_deleted
    there = read_ply(source).take(np.setdiff1d(np.arange(6000), gone))
    rows = export(tmp_path, "WHOLE")
    is_moved = np.isin(np.setdiff1d(np.arange(6000), gone), moved)
    assert len(rows) == 4500 and is_moved.sum() == 1500
    assert rows[~is_moved].tobytes() == there[~is_moved].tobytes()  # what did not move has its bytes
    # x of Blender is x of the file. float32 of a few units
    assert np.allclose(rows["x"][is_moved] - there["x"][is_moved], 2, atol=1e-5)
    assert rows["time"].tobytes() == there["time"].tobytes() and np.array_equal(rows["seg_3"], there["seg_3"])


def test_it_is_what_merge_back_makes(moved_and_deleted, tmp_path) -> None:
    seen = export(tmp_path, "WHOLE")
    bpy.ops.bgs.merge_back()
    merged = export(tmp_path, "WHOLE")
    assert merged.dtype == seen.dtype
    for name in seen.dtype.names:
        assert np.allclose(seen[name], merged[name], atol=1e-6), name  # float32, activated and back


def test_the_splat_as_imported_has_its_own_name(moved_and_deleted, tmp_path) -> None:
    whole, source, _, _ = moved_and_deleted
    export(tmp_path, "SOURCE")
    assert body(tmp_path / "exported.ply") == body(source)
    whole.location.x += 1  # nor does a move of the whole count
    export(tmp_path, "SOURCE")
    assert body(tmp_path / "exported.ply") == body(source)
    bpy.ops.bgs.merge_back()
    with pytest.raises(RuntimeError, match="edits were merged into it"):
        export(tmp_path, "SOURCE")
    assert not (tmp_path / "exported.ply").exists()


def test_a_chosen_label_is_where_its_object_is(moved_and_deleted, tmp_path) -> None:
    whole, source, moved, gone = moved_and_deleted
    codes = point_clouds.need_column(whole.data, at.CODE)

    def choose(row: int) -> None:
        label = int(BitLayout().labels(codes[[row]], 1)[0])
        keys = [(r.level, r.label) for r in whole.bgs.labels]
        whole.bgs.label_index = keys.index((1, label))

    choose(moved[0])
    rows = export(tmp_path, "LABEL")
    assert np.allclose(rows["x"] - read_ply(source).take(moved)["x"], 2, atol=1e-5)
    choose(gone[0])
    with pytest.raises(RuntimeError, match="no Gaussians"):
        export(tmp_path, "LABEL")


def test_objects_of_some_labels_leave_the_rest_where_it_is(coded, tmp_path) -> None:
    whole, source, _ = coded
    whole.bgs.label_index = 0
    bpy.ops.bgs.make_collections(only="SELECTED")
    part = code_tables.parts_of(whole)[0]
    rows = point_clouds.need_column(part.data, at.ROW)
    export(tmp_path, "WHOLE")
    assert body(tmp_path / "exported.ply") == body(source)
    label_objects.remove_part(part)
    there = export(tmp_path, "WHOLE")
    assert there.tobytes() == read_ply(source).take(np.setdiff1d(np.arange(6000), rows)).tobytes()


def test_all_objects_deleted_is_said_and_the_whole_can_be_shown_again(coded, tmp_path) -> None:
    whole, source, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    assert whole.get(MADE) is not None  # the mark that the export asks for
    for part in code_tables.parts_of(whole):
        label_objects.remove_part(part)
    with pytest.raises(RuntimeError, match="All label objects of coded were deleted"):
        export(tmp_path, "WHOLE")
    export(tmp_path, "SOURCE")
    assert body(tmp_path / "exported.ply") == body(source)
    whole.hide_viewport = False
    export(tmp_path, "WHOLE")
    assert body(tmp_path / "exported.ply") == body(source)


def test_hidden_is_not_deleted(coded, tmp_path) -> None:
    whole, source, _ = coded
    whole.bgs.labels[0].hidden = True
    bpy.ops.bgs.make_collections(only="ALL")
    code_tables.parts_of(whole)[1].hide_viewport = True
    export(tmp_path, "WHOLE")
    assert body(tmp_path / "exported.ply") == body(source)


@pytest.mark.parametrize(("first", "second"), [(0, 45), (45, 0), (9, 24), (24, 9)])
def test_harmonics_of_the_highest_degree_are_kept(tmp_path, first: int, second: int) -> None:
    a, rows_a = import_(tmp_path, "a", first, codes=False)
    b, rows_b = import_(tmp_path, "b", second, codes=False, seed=1)
    a.select_set(True)
    joined = export(tmp_path, "SELECTED")
    most = max(first, second)
    assert len(joined) == 400 and sum(name.startswith("f_rest_") for name in joined.dtype.names) == most
    for name, rows, rest in ((a.name, rows_a, first), (b.name, rows_b, second)):
        mine = joined[:200] if np.array_equal(joined["x"][:200], rows["x"]) else joined[200:]
        assert np.array_equal(mine["x"], rows["x"]) and np.array_equal(mine["time"], rows["time"]), name
        for channel in range(3):
            for k in range(most // 3):
                values = mine[f"f_rest_{channel * (most // 3) + k}"]
                want = rows[f"f_rest_{channel * (rest // 3) + k}"] if k < rest // 3 else np.zeros(200, np.float32)
                assert np.array_equal(values, want), (name, channel, k)


def test_what_only_one_splat_has_is_kept(tmp_path) -> None:
    rows, _ = made_splat.made_splat(20, 0)
    names = [name for name in rows.dtype.names if name not in ("time", "nx", "ny", "nz")]
    fewer = rows[names].astype([(name, rows.dtype[name].str) for name in names])
    first = None
    for name, table in (("a", fewer), ("b", rows)):
        bpy.ops.bgs.import_splat(filepath=str(made_splat.write(tmp_path / f"{name}.ply", table)))
        first = first or bpy.context.view_layer.objects.active
    first.select_set(True)
    joined = export(tmp_path, "SELECTED")
    assert set(joined.dtype.names) == set(rows.dtype.names)
    assert np.array_equal(np.sort(joined["time"]), np.sort(np.concatenate([rows["time"], np.zeros(80)])))


def test_codes_that_would_mix_splats_up_are_left_out(tmp_path) -> None:
    a, _ = import_(tmp_path, "a")
    b, _ = import_(tmp_path, "b", seed=1)
    a.select_set(True)
    assert exporter.codes_clash([a, b])  # both have the labels 17, 900, 3000 and 4095
    assert not any(name.startswith("seg_") for name in export(tmp_path, "SELECTED").dtype.names)
    codes = code_tables.codes_of(b)
    labels.attach(b, codes ^ np.int32(0x5A5 << 20), BitLayout())  # other numbers at level 1
    assert not exporter.codes_clash([a, b])
    export(tmp_path, "SELECTED")
    there = codes_in(read_ply(tmp_path / "exported.ply"))
    assert set(np.unique(there)) == set(np.unique(code_tables.codes_of(a))) | set(np.unique(code_tables.codes_of(b)))
    # Label objects of one splat share its numbers.
    bpy.context.view_layer.objects.active = a
    b.select_set(False)
    bpy.ops.bgs.make_collections(only="ALL")
    parts = code_tables.parts_of(a)
    for part in parts:
        part.select_set(True)
    assert not exporter.codes_clash(parts)
    assert "seg_0" in (export(tmp_path, "SELECTED").dtype.names or ())


def test_labels_are_exported_as_files_in_the_window(coded, tmp_path) -> None:
    obj, path, _ = coded
    rows = [row for row in obj.bgs.labels if row.level == 1]
    rows[0].name, rows[3].hidden = "Chair", True
    out = tmp_path / "labels"
    out.mkdir()
    assert bpy.ops.bgs.export_labels(directory=str(out), only="SHOWN") == {"FINISHED"}
    assert sorted(file.name for file in out.iterdir()) == ["Chair.ply", "L1_2.ply", "L1_3.ply"]
    chair = read_ply(out / "Chair.ply")
    mine = code_tables.table_of(obj).rows(1, rows[0].label)
    assert np.array_equal(chair.columns(("x", "y", "z")), read_ply(path).columns(("x", "y", "z"))[mine])
    with pytest.raises(RuntimeError, match="there already"):
        bpy.ops.bgs.export_labels(directory=str(out), only="ALL")
    assert len(list(out.iterdir())) == 3  # nothing was written before it was noticed
    assert bpy.ops.bgs.export_labels(directory=str(out), only="ALL", replace=True) == {"FINISHED"}
    assert len(list(out.iterdir())) == 4
    with pytest.raises(RuntimeError, match="No label of this level is selected"):
        bpy.ops.bgs.export_labels(directory=str(out), only="SELECTED", replace=True)
