"""Runs inside a real Blender with a window: Delete, Fill, undo and redo. By test_fill_in_window.py."""

import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

OUT = Path("/mnt/out")
SPLAT, BOX = Path(sys.argv[-2]), int(sys.argv[-1])  # the label of the box
PAUSE = 0.4  # seconds between two events: a frame of a software renderer takes most of this
facts: dict[str, Any] = {}
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.show_tooltips = False
bpy.context.preferences.system.use_region_overlap = False


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def region(kind="WINDOW"):
    return next(r for r in area().regions if r.type == kind)


def in_view():
    return bpy.context.temp_override(window=window(), area=area(), region=region())


def hand(*words):
    """Real events of the X server, while Blender goes on."""
    subprocess.Popen(["xdotool", *map(str, words)])


def corner(x, y):
    """A place in the window, from the lower left corner of the part of the view that no toolbar covers."""
    return region("TOOLS").x + region("TOOLS").width + x, window().height - region().y - y


def start():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    area().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT), level_bits="4,4,4", up_axis="Z")
        bpy.ops.bgs.make_collections("INVOKE_DEFAULT", True)


def look():
    view = area().spaces.active.region_3d
    view.view_location, view.view_distance = (0, 0, 0), 5
    view.view_rotation = Vector((0.3, -1, 0.9)).to_track_quat("Z", "Y")
    region("UI").active_panel_category = "Gaussian Splat"
    whole().bgs.color_mode = "COLOR"
    with in_view():
        if bpy.ops.bgs.close_guide.poll():  # an earlier test may have closed it
            bpy.ops.bgs.close_guide()  # so that the buttons are on the pictures


def whole():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat and o.bgs.whole is None)


def parts():
    return [o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat and o.bgs.whole is not None]


def delete():
    """Select the box and press the key Delete in the view."""
    box = next(o for o in parts() if o.bgs.part_key == BOX)
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


STEPS: list[tuple[Callable[[], None], float, str | None]] = [
    (start, 3, None),
    (look, 2, "before"),
    (delete, 4, "deleted"),
    (fill, 3, "filled"),
    (undo, 4, "undone"),
    (redo, 4, "redone"),
]
state: dict[str, Any] = {"name": None}


def note(name):
    facts[name] = {
        "objects": sorted(one.name for one in parts()),
        "labels": sorted(row.name for row in whole().bgs.labels if row.level == 1),
        "points": len(whole().data.points),
        "can_fill": bpy.ops.bgs.fill.poll(),
    }
    subprocess.run(["import", "-window", "root", str(OUT / f"fill-{name}.png")], check=True)


def run():
    try:
        if state["name"]:
            note(state["name"])
        if not STEPS:
            return end()
        work, seconds, state["name"] = STEPS.pop(0)
        work()
        area().tag_redraw()
        return seconds
    except Exception:
        facts["error"] = traceback.format_exc()
        return end()


def end():
    (OUT / "fill.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
