"""Runs inside a real Blender with a window: search, conditions, sets and locks by clicks. By test_sets_in_window.py."""

import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
PAUSE = 0.4  # seconds between two events: a frame of a software renderer takes most of this
NAMES = ("red ball", "green ball", "blue ball", "yellow ball")
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


def splat():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat)


def hand(*words):
    """Real events of the X server, while Blender goes on."""
    subprocess.Popen(["xdotool", *map(str, words)])


def start():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    area().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))
        bpy.ops.ed.undo_push(message="Import")


def look():
    area().spaces.active.region_3d.view_distance = 12
    region("UI").active_panel_category = "Gaussian Splat"
    for row, name in zip([r for r in splat().bgs.labels if r.level == 1], NAMES, strict=True):
        row.name = name
    with in_view():
        if bpy.ops.bgs.close_guide.poll():
            bpy.ops.bgs.close_guide()
    show_only_labels()


def show_only_labels():
    """Take the other panels away and open those of the Labels panel, so that all buttons are in the window."""
    package = "bl_ext.user_default.binary_gaussian_segmentation"
    registration = sys.modules[f"{package}.registration"]
    panels = [c for c in registration.CLASSES if issubclass(c, bpy.types.Panel) and c.is_registered]
    for panel in reversed(panels):
        bpy.utils.unregister_class(panel)
    for panel in panels:
        if panel.__name__ in ("BGS_PT_labels", "BGS_PT_sets", "BGS_PT_conditions"):
            panel.bl_options = set()
            bpy.utils.register_class(panel)


def beside():
    hand("mousemove", region("UI").x + 150, 790)


def click(x, y):
    """Click in the sidebar, so many pixels from its left and from the top of the window."""
    hand("mousemove", region("UI").x + x, y, "sleep", PAUSE, "click", 1)


def typed(*keys):
    """Click the search field, take out what is in it, and type."""
    keys = ("ctrl+a", "BackSpace", *keys, "Return")
    words = [w for key in keys for w in ("key", key, "sleep", PAUSE)]
    hand("mousemove", region("UI").x + 120, 150, "sleep", PAUSE, "click", 1, "sleep", 1, *words)


def undo():
    hand("mousemove", 300, 600, "sleep", PAUSE, "key", "ctrl+z")


STEPS: list[tuple[Callable[[], None], float, str | None]] = [
    (start, 2, None),
    (look, 3, None),
    (beside, 2, "looked"),
    (lambda: typed("r", "e", "d"), 9, "typed"),
    (lambda: click(222, 150), 3, "found"),
    (lambda: typed(), 9, "cleared"),
    (lambda: click(190, 178), 3, "locked"),
    (lambda: click(112, 655), 3, "conditioned"),
    (lambda: click(36, 178), 3, "one"),
    (lambda: click(144, 546), 3, "saved"),
    (lambda: click(36, 242), 3, "another"),
    (beside, 1, "beside"),
    (lambda: click(201, 631), 3, "added"),
    (undo, 3, "undone"),
]
state: dict[str, Any] = {"name": None}


def note(name):
    obj = splat()
    facts[name] = {
        "selected": sorted(row.name for row in obj.bgs.labels if row.level == 1 and row.selected),
        "locked": sorted(row.name for row in obj.bgs.labels if row.locked),
        "sets": {one.name: len(one.keys.split()) for one in obj.bgs.label_sets},
    }
    subprocess.run(["import", "-window", "root", str(OUT / f"sets-{name}.png")], check=True)


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
    (OUT / "sets.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
