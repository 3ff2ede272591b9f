"""Runs inside a real Blender with a window: exposure and tint of a label, and undo. Started by test_light.py."""

import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from desk import CATEGORY, GIVEN, area, facts, in_view, region, remove_all, walk, window


def splat():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat)


def start():
    remove_all()
    space = area().spaces.active
    space.show_region_header = space.show_region_toolbar = space.show_gizmo = False
    space.show_region_ui = True
    space.overlay.show_overlays = False
    space.shading.background_type, space.shading.background_color = "VIEWPORT", (0, 0, 0)
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=GIVEN[0])
    splat().bgs.color_mode = "COLOR"
    facts["labels"] = sum(row.level == 1 for row in splat().bgs.labels)


def tab():
    region("UI").active_panel_category = CATEGORY
    r = region()
    facts["box"] = [r.x, window().height - r.y - r.height, r.width, r.height]
    bpy.ops.ed.undo_push(message="Before")


def darker():
    for row in splat().bgs.labels:
        if row.level == 1:
            row.exposure, row.tint = -1, (1, 0.25, 1)
    bpy.ops.ed.undo_push(message="Light")


def undo():
    with in_view():
        bpy.ops.ed.undo()
    facts["exposure_after_undo"] = splat().bgs.labels[0].exposure


STEPS = [(start, 1.5, None), (tab, 1.5, "captured"), (darker, 1.5, "lit"), (undo, 1.5, "undone")]


walk("light", STEPS)
