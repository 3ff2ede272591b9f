"""Runs inside a real Blender with a window: Delete, Fill, undo and redo. By test_fill_in_window.py."""

import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from desk import GIVEN, PAUSE, Step, area, corner, facts, hand, in_view, open_tab, remove_all, view_from, walk, whole


def start():
    remove_all()
    area().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=GIVEN[0], level_bits="4,4,4", up_axis="Z")
        bpy.ops.bgs.make_collections("INVOKE_DEFAULT", True)


def look():
    view_from((0.3, -1, 0.9), 5, (0, 0, 0))
    open_tab()
    whole().bgs.color_mode = "COLOR"


def parts():
    return [o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat and o.bgs.whole is not None]


def delete():
    """Select the box and press the key Delete in the view."""
    box = next(o for o in parts() if o.bgs.part_key == int(GIVEN[1]))  # the second argument is its label
    for one in bpy.context.view_layer.objects:
        one.select_set(one == box)
    bpy.context.view_layer.objects.active = box
    with in_view():
        bpy.ops.ed.undo_push(message="Select")
    hand("mousemove", *corner(400, 500), "sleep", PAUSE, "key", "Delete")


def fill():
    with in_view():
        bpy.ops.bgs.fill("INVOKE_DEFAULT", True)  # True: with an undo step, as a button does


def undo():
    hand("mousemove", *corner(400, 500), "sleep", PAUSE, "key", "ctrl+z")


def redo():
    hand("mousemove", *corner(400, 500), "sleep", PAUSE, "key", "ctrl+shift+z")


STEPS: list[Step] = [
    (start, 3, None),
    (look, 2, "before"),
    (delete, 4, "deleted"),
    (fill, 3, "filled"),
    (undo, 4, "undone"),
    (redo, 4, "redone"),
]


def note(name):
    facts[name] = {
        "objects": sorted(one.name for one in parts()),
        "labels": sorted(row.name for row in whole().bgs.labels if row.level == 1),
        "points": len(whole().data.points),
        "can_fill": bpy.ops.bgs.fill.poll(),
    }


walk("fill", STEPS, note)
