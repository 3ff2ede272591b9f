"""What an export proposes and writes when labels are hidden or selected."""

from pathlib import Path

import bpy
import pytest

from bgs_engine.core.errors import UsageError
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, label_selection, shown
from blender_bgs.files import export_choice


def written(folder: Path, what: str) -> int:
    path = folder / "out.ply"
    path.unlink(missing_ok=True)
    assert bpy.ops.bgs.export_splat(filepath=str(path), what=what) == {"FINISHED"}
    return read_ply(path).count


def test_hidden_labels_are_not_among_the_shown_ones(coded, tmp_path) -> None:
    whole, source, _ = coded
    everything = read_ply(source).count
    first = next(row for row in whole.bgs.labels if row.level == 1)
    shown.set_hidden(whole, [(1, first.label)])
    assert export_choice.gaussians(bpy.context, whole, "SHOWN") == everything - first.count
    assert written(tmp_path, "SHOWN") == everything - first.count
    assert written(tmp_path, "WHOLE") == everything
    shown.set_hidden(whole, [(row.level, row.label) for row in whole.bgs.labels if row.level == 1])
    with pytest.raises(UsageError, match="No label is shown"):
        export_choice.shown_keys(whole)


def test_the_choice_that_is_proposed(coded) -> None:
    whole, _, _ = coded
    label_selection.select_labels(whole, [])
    assert export_choice.likely(bpy.context, whole) == "WHOLE"
    row = next(row for row in whole.bgs.labels if row.level == whole.bgs.shown_level)
    shown.set_hidden(whole, [(row.level, row.label)])
    assert export_choice.likely(bpy.context, whole) == "SHOWN"
    other = next(r for r in whole.bgs.labels if r.level == whole.bgs.shown_level and not r.hidden)
    other.name = "Plush: 1/2"
    label_selection.select_labels(whole, [(other.level, other.label)])
    assert export_choice.likely(bpy.context, whole) == "LABEL"
    assert export_choice.gaussians(bpy.context, whole, "LABEL") == other.count
    name = export_choice.file_name(bpy.context, whole, "LABEL")
    assert name.startswith("Plush") and "/" not in name and ":" not in name
    assert export_choice.file_name(bpy.context, whole, "WHOLE") == f"{whole.name}.ply"


def test_a_selected_label_object_is_proposed(coded) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    parts = code_tables.parts_of(whole)
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == parts[0])
    bpy.context.view_layer.objects.active = parts[0]
    assert export_choice.likely(bpy.context, whole) == "SELECTED"
    assert export_choice.gaussians(bpy.context, whole, "SELECTED") == len(parts[0].data.points)
    assert export_choice.file_name(bpy.context, whole, "SELECTED") == f"{parts[0].name}.ply"
