"""Runs inside a real Blender with a window: exposure and tint of a label, and undo. Started by test_light.py."""

import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import bpy

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
facts: dict[str, Any] = {}
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.system.use_region_overlap = False


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def region(kind="WINDOW"):
    return next(r for r in area().regions if r.type == kind)


def in_view():
    return bpy.context.temp_override(window=window(), area=area(), region=region())


def splat():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat)


def start():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    space = area().spaces.active
    space.show_region_header = space.show_region_toolbar = space.show_gizmo = False
    space.show_region_ui = True
    space.overlay.show_overlays = False
    space.shading.background_type, space.shading.background_color = "VIEWPORT", (0, 0, 0)
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))
    splat().bgs.color_mode = "COLOR"
    facts["labels"] = sum(row.level == 1 for row in splat().bgs.labels)


def tab():
    region("UI").active_panel_category = "Gaussian Splat"
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
state: dict[str, Any] = {"shot": None}


def run():
    try:
        if state["shot"]:
            subprocess.run(["import", "-window", "root", str(OUT / f"light-{state['shot']}.png")], check=True)
        if not STEPS:
            return end()
        work, seconds, state["shot"] = STEPS.pop(0)
        work()
        area().tag_redraw()
        return seconds
    except Exception:
        facts["error"] = traceback.format_exc()
        return end()


def end():
    (OUT / "light.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
