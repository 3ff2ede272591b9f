"""Runs inside a real Blender with a window: a tall splat with floaters is imported beside the default cube.

Started by test_first_view.py; pictures and /mnt/out/first_view.json are what it leaves.
"""

import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import bpy
import numpy as np

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
facts: dict[str, Any] = {}
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.system.use_region_overlap = True  # Blender's default: bars lie over the view


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def region(kind):
    return next(r for r in area().regions if r.type == kind)


def splat():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat)


def in_view():
    return bpy.context.temp_override(window=window(), area=area(), region=region("WINDOW"))


def open_sidebar():
    area().spaces.active.show_region_ui = True


def load():
    region("UI").active_panel_category = "Gaussian Splat"
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))


def measure():
    """Where the Gaussians are in the part of the view that no bar covers: 0..1 from its lower left corner."""
    view, data = area().spaces.active.region_3d, splat().data
    position = np.empty(3 * len(data.points), np.float32)
    data.attributes["position"].data.foreach_get("vector", position)
    world = np.array(splat().matrix_world)
    points = position.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
    matrix = np.array(view.perspective_matrix)
    clip = points @ matrix[:, :3].T + matrix[:, 3]
    whole = region("WINDOW")
    at = (clip[:, :2] / clip[:, 3:] + 1) / 2 * (whole.width, whole.height)
    low = np.array([region("TOOLS").width, 0.0])
    high = np.array([region("UI").x - whole.x, whole.height - region("HEADER").height - region("TOOL_HEADER").height])
    share = (at - low) / (high - low)
    near = share[: facts_of_file()["inside"]]
    facts["low"], facts["high"] = near.min(0).tolist(), near.max(0).tolist()
    facts["bars"] = [region("TOOLS").width, region("UI").width]
    facts["offered"] = [entry.name for entry in splat().bgs.obstacles]
    facts["cube_at_first"] = bpy.data.objects["Cube"].visible_get()


def facts_of_file():
    return json.loads((OUT / "first_view-made.json").read_text())


def hide():
    with in_view():
        facts["hide"] = sorted(bpy.ops.bgs.hide_obstacles())
        bpy.ops.ed.undo_push(message="Hide")
    facts["cube_hidden"] = not bpy.data.objects["Cube"].visible_get()


def show():
    with in_view():
        bpy.ops.bgs.hide_obstacles(show=True)
    facts["cube_again"] = bpy.data.objects["Cube"].visible_get()


STEPS = [
    (open_sidebar, 1.0, None), (load, 1.0, None), (measure, 1.0, "offered"), (hide, 1.5, "hidden"),
    (show, 1.0, None),
]  # fmt: skip
state: dict[str, Any] = {"shot": None}


def run():
    try:
        if state["shot"]:
            subprocess.run(["import", "-window", "root", str(OUT / f"first_view-{state['shot']}.png")], check=True)
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
    (OUT / "first_view.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
