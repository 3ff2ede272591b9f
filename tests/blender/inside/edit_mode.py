"""Runs inside a real Blender with a window: real keys and clicks in Edit Mode of a splat with hidden labels.

Started by test_edit_mode_in_window.py as `blender -P edit_mode.py -- SPLAT`; /mnt/out/edit_mode.json is what it leaves.
"""

import json
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Vector

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
LIMIT = 60  # seconds for one step on a busy machine
facts: dict[str, Any] = {"edit_mode": "select_all" in dir(bpy.ops.pointcloud), "steps": {}}
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.system.use_region_overlap = False


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def in_view():
    region = next(r for r in area().regions if r.type == "WINDOW")
    return bpy.context.temp_override(window=window(), area=area(), region=region)


def splat():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD")


def bits(name):
    attribute, out = splat().data.attributes.get(name), np.zeros(len(splat().data.points), bool)
    if attribute is not None:
        attribute.data.foreach_get("value", out)
    return out


def note(step):
    radius = np.zeros(len(splat().data.points), np.float32)
    splat().data.attributes["radius"].data.foreach_get("value", radius)
    chosen, seen = bits(".selection"), radius > 0
    facts["steps"][step] = {
        "mode": splat().mode, "points": len(radius), "shown": int(seen.sum()), "selected": int(chosen.sum()),
        "hidden_selected": int((chosen & ~seen).sum()),
        "list": [row.count for row in splat().bgs.labels if row.level == 1],
    }  # fmt: skip
    subprocess.run(["import", "-window", "root", str(OUT / f"edit-mode-{step}.png")], check=True)


def keys(*names):
    """Real keys and a click, over the middle of the shown Gaussians."""
    region = next(r for r in area().regions if r.type == "WINDOW")
    where, radius = np.zeros(3 * len(splat().data.points), np.float32), np.zeros(len(splat().data.points), np.float32)
    splat().data.attributes["position"].data.foreach_get("vector", where)
    splat().data.attributes["radius"].data.foreach_get("value", radius)
    middle = splat().matrix_world @ Vector(where.reshape(-1, 3)[radius > 0].mean(0).tolist())
    at = location_3d_to_region_2d(region, area().spaces.active.region_3d, middle)
    command = ["xdotool", "mousemove", str(region.x + int(at.x)), str(window().height - region.y - int(at.y))]
    for name in names:
        command += ["sleep", "0.4", *(("click", "1") if name == "click" else ("key", name))]
    state["typing"] = subprocess.Popen(command)


def step_import():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))
        bpy.ops.bgs.isolate_label(index=2)
        bpy.ops.ed.undo_push(message="Isolate")


def step_enter():
    keys("Tab")


def step_all():
    note("entered")
    keys("a")


def step_none():
    note("all")
    keys("alt+a")


def step_circle():
    note("none")
    keys("c", "click", "Escape")


def step_delete():
    note("circle")
    with in_view():
        bpy.ops.pointcloud.delete("INVOKE_DEFAULT", True)


def step_undo():
    note("deleted")
    keys("ctrl+z")


def step_leave():
    note("undone")
    keys("Tab")


def step_end():
    note("left")


EDITING = (
    (step_enter, lambda: True),
    (step_all, lambda: splat().mode == "EDIT"),
    (step_none, lambda: True),
    (step_circle, lambda: True),
    (step_delete, lambda: True),
    (step_undo, lambda: True),
    (step_leave, lambda: True),
    (step_end, lambda: splat().mode == "OBJECT"),
)
steps = [(step_import, lambda: True), *(EDITING if facts["edit_mode"] else ())]
state: dict[str, Any] = {"typing": None, "settled": False, "since": time.monotonic()}


def run():
    """The steps from a timer, because a window draws only between two of its ticks."""
    try:
        if not steps:
            return end()
        work, is_ready = steps[0]
        typing = state["typing"]
        late = time.monotonic() - state["since"] > LIMIT
        if ((typing is not None and typing.poll() is None) or not is_ready()) and not late:
            state["settled"] = False
            return 0.2
        if not state["settled"]:  # the window still has to draw, and the handlers to follow
            state["settled"] = True
            area().tag_redraw()
            return 1.5
        assert not late, f"{work.__name__} waited for {LIMIT} s"
        steps.pop(0)
        work()
        state.update(settled=False, since=time.monotonic())
        area().tag_redraw()
        return 0.2
    except Exception:
        facts["error"] = traceback.format_exc()
        return end()


def end():
    (OUT / "edit_mode.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
