"""Runs inside a real Blender with a window: Apply with its key, undo and redo, and a real drag in edit mode.

Started by test_edits_in_window.py as `blender -P edits.py -- SPLAT`; /mnt/out/edits.json is what it leaves.
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
from mathutils import Euler

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
LIMIT = 60  # seconds for one step on a busy machine
NAMES = {"position": ("vector", 3), "bgs_raw_scale": ("vector", 3), "bgs_raw_rotation": ("color", 4),
         "radiance:sh_3": ("vector", 3)}  # fmt: skip
facts: dict[str, Any] = {"edit_mode": "select_all" in dir(bpy.ops.pointcloud)}
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


def values():
    data, out = splat().data, {}
    for name, (key, width) in NAMES.items():
        found = np.empty(len(data.points) * width, np.float32)
        data.attributes[name].data.foreach_get(key, found)
        out[name] = found.reshape(-1, width)
    return out


def note(step):
    np.savez(OUT / f"edits-{step}.npz", world=np.array(splat().matrix_world), **values())
    subprocess.run(["import", "-window", "root", str(OUT / f"edits-{step}.png")], check=True)


def keys(*names):
    """Real keys, over the middle of the 3D view."""
    region = next(r for r in area().regions if r.type == "WINDOW")
    middle = [region.x + region.width // 2, window().height - region.y - region.height // 2]
    command = ["xdotool", "mousemove", *map(str, middle)]
    for name in names:
        command += ["sleep", "0.3", "key", name]
    state["typing"] = subprocess.Popen(command)


def is_dragging():
    return any(one.bl_idname.startswith("TRANSFORM_OT") for one in window().modal_operators)


def step_import():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    area().spaces.active.overlay.show_overlays = False
    area().spaces.active.region_3d.view_distance = 14
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))
        splat().bgs.color_mode = "COLOR"
    area().spaces.active.region_3d.view_distance = 14
    area().spaces.active.region_3d.view_location = (0, 0, 0)


def step_transform():
    splat().rotation_euler, splat().location = Euler((0.4, 0.5, 0.6)), (0.3, 0.2, 0.1)
    splat().scale = (-1.3, 1.3, 1.3)
    with in_view():
        bpy.ops.ed.undo_push(message="Transform")


def step_before():
    note("before")
    with in_view():
        bpy.ops.object.transform_apply("INVOKE_DEFAULT", True, location=True, rotation=True, scale=True)


def step_applied():
    note("applied")
    keys("ctrl+z")


def step_undone():
    note("undone")
    keys("ctrl+shift+z")


def step_redone():
    note("redone")
    if not facts["edit_mode"]:
        return
    with in_view():
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.pointcloud.select_all(action="SELECT")
        bpy.ops.ed.undo_push(message="Select")


def step_drag():
    """Rotate with keys, and stop before the end."""
    keys("r", "4", "5")


def step_dragging():
    note("dragging")
    facts["modal"] = [operator.bl_idname for operator in window().modal_operators]
    keys("Return")


def step_dragged():
    note("dragged")
    keys("ctrl+z")


def step_drag_undone():
    note("drag-undone")
    keys("r", "3", "0", "Escape")


def step_cancelled():
    note("cancelled")


def is_applied():
    return splat().scale[0] == 1


# (what to do, what has to be true before, because the key before did it)
EDITING = (
    (step_drag, lambda: splat().mode == "EDIT"),
    (step_dragging, is_dragging),
    (step_dragged, lambda: not is_dragging()),
    (step_drag_undone, lambda: True),
    (step_cancelled, lambda: not is_dragging()),
)
steps = [
    (step_import, lambda: True),
    (step_transform, lambda: True),
    (step_before, lambda: True),
    (step_applied, is_applied),
    (step_undone, lambda: not is_applied()),
    (step_redone, is_applied),
    *(EDITING if facts["edit_mode"] else ()),
]
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
        if not state["settled"]:  # the window still has to draw, and to let the shapes follow
            state["settled"] = True
            area().tag_redraw()
            return 2.0
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
    from bl_ext.user_default.binary_gaussian_segmentation.cloud import shapes

    facts["problems"] = list(shapes.problems.values())
    (OUT / "edits.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
