"""Runs inside a real Blender with a window: Clean Objects, its Strength, undo. By test_cleaning_in_window.py."""

import hashlib
import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
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


def splats():
    return [o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat]


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
    view.view_rotation = Vector((1, -0.3, 0.6)).to_track_quat("Z", "Y")
    region("UI").active_panel_category = "Gaussian Splat"
    for obj in splats():
        obj.bgs.color_mode = "COLOR"
    with in_view():
        if bpy.ops.bgs.close_guide.poll():
            bpy.ops.bgs.close_guide()  # so that the buttons are on the pictures


def clean():
    with in_view():
        bpy.ops.bgs.clean_objects("INVOKE_DEFAULT", True)  # True: with an undo step, as a button does


def panel():
    """Open Adjust Last Operation, in the lower left corner of the view."""
    hand("mousemove", *corner(90, 15), "sleep", PAUSE, "click", 1)


STRENGTH = (210, 22)  # the slider, the only row


def drag():
    x, y = corner(*STRENGTH)
    moves = [w for k in (20, 40, 60) for w in ("mousemove", x - k, y, "sleep", PAUSE)]
    hand("mousemove", x, y, "sleep", PAUSE, "mousedown", 1, "sleep", PAUSE, *moves, "mouseup", 1)


def type_strength():
    """Click the slider, which opens it for typing, and type 0.5."""
    keys = [w for key in ("0", "period", "5", "Return") for w in ("key", key, "sleep", PAUSE)]
    hand("mousemove", *corner(*STRENGTH), "sleep", PAUSE, "click", 1, "sleep", 1, *keys)


def undo():
    hand("mousemove", *corner(400, 500), "sleep", PAUSE, "key", "ctrl+z")


STEPS: list[tuple[Callable[[], None], float, str | None]] = [
    (start, 3, None),
    (look, 2, "before"),
    (clean, 3, "cleaned"),
    (panel, 3, None),
    (drag, 5, "dragged"),
    (type_strength, 6, "again"),
    (undo, 3, "undone"),
]
state: dict[str, Any] = {"name": None}


def note(name):
    last = bpy.context.window_manager.operators[-1] if bpy.context.window_manager.operators else None
    places = {}
    for one in splats():
        values = np.empty(3 * len(one.data.points), np.float32)
        one.data.attributes["position"].data.foreach_get("vector", values)
        places[one.name] = hashlib.sha256(values.tobytes()).hexdigest()
    facts[name] = {
        "points": {one.name: len(one.data.points) for one in splats()},
        "places": places,
        "strength": getattr(getattr(last, "properties", None), "strength", None),
    }
    subprocess.run(["import", "-window", "root", str(OUT / f"cleaning-{name}.png")], check=True)


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
    (OUT / "cleaning.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
