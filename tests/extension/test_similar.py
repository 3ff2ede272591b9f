"""Select Similar: copies of the selected label are added, and nothing else."""

import bpy
import numpy as np
import pytest

from blender_bgs.cloud import label_selection, point_clouds
from blender_bgs.labelling.similar import similar
from blender_bgs.logic import attributes as at
from tests.helpers import made_splat

COLORS = ("f_dc_0", "f_dc_1", "f_dc_2")


@pytest.fixture
def balls(tmp_path):
    """Four balls, called A to D: A and B are red, C is red and half as large again, D is yellow."""
    rows, codes = made_splat.made_splat()
    for name in COLORS:
        rows[name][1500:4500] = np.tile(rows[name][:1500], 2)
    for axis, place in zip("xyz", (-2, 0, 2), strict=True):
        rows[axis][3000:4500] = place + 1.5 * (rows[axis][3000:4500] - place)
    path = made_splat.write(tmp_path / "balls.ply", made_splat.with_codes(rows, codes))
    bpy.ops.bgs.import_splat(filepath=str(path))
    obj = bpy.context.view_layer.objects.active
    obj.bgs.level = 1
    for label, name in zip(codes[::1500].view(np.uint32) >> 20, "ABCD", strict=True):
        next(row for row in obj.bgs.labels if (row.level, row.label) == (1, label)).name = name
    return obj


def choose(obj, *names: str) -> None:
    label_selection.select_labels(obj, [(1, row.label) for row in obj.bgs.labels if row.name in names])


def selected(obj) -> set[str]:
    return {row.name for row in obj.bgs.labels if row.level == 1 and row.selected}


def test_the_copy_is_added_and_the_others_are_not(balls) -> None:
    choose(balls, "A")
    assert bpy.ops.bgs.select_similar() == {"FINISHED"}
    assert selected(balls) == {"A", "B"}
    found = similar(balls, [row for row in balls.bgs.labels if row.name == "A"])
    assert [row.name for row, _ in found] == ["B", "C", "D"]  # C differs in one thing, D in colour alone: most of all
    assert found[0][1] > 0.8


def test_a_low_likeness_adds_more_and_at_most_counts(balls) -> None:
    choose(balls, "A")
    bpy.ops.bgs.select_similar(least=0.0, most=2)
    assert selected(balls) == {"A", "B", "C"}
    choose(balls, "A")
    bpy.ops.bgs.select_similar(least=0.0)
    assert selected(balls) == {"A", "B", "C", "D"}


def test_hidden_labels_and_other_levels_stay_out(balls) -> None:
    next(row for row in balls.bgs.labels if row.name == "B").hidden = True
    choose(balls, "A")
    bpy.ops.bgs.select_similar()
    assert selected(balls) == {"A"}
    balls.bgs.level = 2  # halves of the balls: those of A and B are mirrored copies of each other
    half = next(row for row in balls.bgs.labels if row.level == 2)
    assert {row.level for row, _ in similar(balls, [half])} == {2}


def test_what_was_kept_is_not_used_after_an_edit_of_the_points(balls) -> None:
    a = [row for row in balls.bgs.labels if row.name == "A"]
    assert similar(balls, a)[0][0].name == "B"
    position = point_clouds.need_column(balls.data, at.POSITION)
    position[1500:3000] *= 1.5
    point_clouds.set_column(balls.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))
    assert dict((row.name, alike) for row, alike in similar(balls, a))["B"] < 0.1


def test_one_gaussian_is_too_few(balls) -> None:
    label_selection.select(balls, np.arange(6000) == 0)
    bpy.ops.bgs.reassign(target="NEW")
    with pytest.raises(RuntimeError, match="too few Gaussians"):
        bpy.ops.bgs.select_similar()
