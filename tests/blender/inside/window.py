"""Runs inside a real Blender with a window: import, labels, isolate, a job, collections, undo; a picture of each step.

Started by test_window.py as `blender -P window.py`. What is there is written to /mnt/out/window.json, one entry a step.
The steps run from a timer, because a window only draws between two of its ticks.
"""

import json
import os
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
ARGUMENTS = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
SCENE = Path(ARGUMENTS[0]) if ARGUMENTS else OUT / "made.ply"
VERSION = bpy.app.version_string.split()[0]
JOB_LIMIT = 120  # seconds for the fake engine's four stages, three of which take a second each on an idle machine
facts: dict[str, object] = {"version": VERSION, "steps": []}

bpy.context.preferences.view.show_splash = False
bpy.context.preferences.system.use_region_overlap = False  # nothing lies over the picture


def window():
    return bpy.context.window_manager.windows[0]


def view():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def in_view():
    area = view()
    region = next(r for r in area.regions if r.type == "WINDOW")
    return bpy.context.temp_override(window=window(), area=area, region=region)


def shot(name):
    subprocess.run(["import", "-window", "root", str(OUT / f"{name}.png")], check=True)


def splat():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat and o.bgs.whole is None)


def region_box():
    """Left, top, right, bottom of the 3D view in the screenshot, without its text and gizmos."""
    region = next(r for r in view().regions if r.type == "WINDOW")
    top = window().height - region.y - region.height
    return [region.x, top + 50, region.x + region.width - 60, top + region.height]


def step_open():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    view().spaces.active.show_region_ui = True
    with in_view():
        # As a drop does: the file handler calls its operator with the path already set.
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SCENE))
        bpy.ops.ed.undo_push(message="Import")  # what a user's own call gets by itself
    facts["transform"] = bpy.context.scene.view_settings.view_transform


def step_sidebar():
    if "BGS_VIEW_FROM" in os.environ:  # for the manual's pictures: the scene's good side
        direction = Vector(tuple(map(float, os.environ["BGS_VIEW_FROM"].split(","))))
        view().spaces.active.region_3d.view_rotation = direction.to_track_quat("Z", "Y")
    next(r for r in view().regions if r.type == "UI").active_panel_category = "Gaussian Splat"
    facts["box"] = region_box()


def shot_import():
    splat().select_set(False)


def step_rendered():
    # Cycles: EEVEE compiles its shaders for a minute on a software renderer.
    bpy.context.scene.render.engine = "CYCLES"
    bpy.context.scene.cycles.device = "CPU"
    view().spaces.active.shading.type = "RENDERED"


def step_solid():
    view().spaces.active.shading.type = "SOLID"


def step_job():
    bpy.context.scene.bgs_settings.output = str(OUT / "run")
    bpy.context.view_layer.objects.active = splat()
    with in_view():
        facts["started"] = sorted(bpy.ops.bgs.segment())
    ticks.clear()
    bpy.app.timers.register(beat, first_interval=0.05)


ticks: list[float] = []
bars: list[list[float | None]] = []


def beat():
    """How long Blender's main thread was away between two looks, while a job runs; and what the bar shows."""
    from bl_ext.user_default.binary_gaussian_segmentation.engine.runner import runner

    ticks.append(time.perf_counter())
    if runner.current is not None:
        forecast, state = runner.current.forecast, runner.current.job.progress
        bars.append([forecast.fraction, forecast.left, state.place, len(state.plan)])
    return 0.01 if len(ticks) < 3000 and facts.get("job_running", True) else None


def step_wait():
    """Again and again until the job has ended."""
    from bl_ext.user_default.binary_gaussian_segmentation.engine.runner import runner

    return runner.current is not None and time.perf_counter() - ticks[0] < JOB_LIMIT


def step_job_done():
    from bl_ext.user_default.binary_gaussian_segmentation.engine.runner import runner

    facts["job_running"] = False
    facts["bars"] = bars
    facts["job_message"] = runner.last.message
    facts["job_failed"] = runner.last.failed
    facts["longest_gap"] = float(np.diff(ticks).max()) if len(ticks) > 1 else None
    facts["labels"] = len(splat().bgs.labels)
    facts["names"] = [row.name for row in splat().bgs.labels][:3]


def step_undo():
    with in_view():
        bpy.ops.ed.undo()
    facts["codes_after_undo"] = splat().data.attributes.get("bgs_code") is not None
    with in_view():
        bpy.ops.ed.redo()
    facts["codes_after_redo"] = splat().data.attributes.get("bgs_code") is not None


def step_level_1():
    splat().bgs.level = 1
    splat().bgs.color_mode = "LABEL"


def step_level_2():
    splat().bgs.level = 2


def step_isolate():
    splat().bgs.level = 1
    with in_view():
        bpy.ops.bgs.isolate_label(index=0)
    facts["shown"] = int((attribute("radius") > 0).sum())
    facts["first_count"] = splat().bgs.labels[0].count


def attribute(name):
    out = np.empty(len(splat().data.points), np.float32)
    splat().data.attributes[name].data.foreach_get("value", out)
    return out


def step_show_all():
    with in_view():
        bpy.ops.bgs.show_all()


def step_pick():
    """A real click: the modal operator gets it from the X server."""
    with in_view():
        bpy.ops.bgs.pick("INVOKE_DEFAULT")
    region = next(r for r in view().regions if r.type == "WINDOW")
    middle = splat().matrix_world @ Vector(label_center())
    at = location_3d_to_region_2d(region, view().spaces.active.region_3d, middle)
    click_at = [round(region.x + at.x), round(window().height - region.y - at.y)]
    subprocess.Popen(["xdotool", "mousemove", *map(str, click_at), "sleep", "0.5", "click", "1"])


def label_center():
    position = np.empty(3 * len(splat().data.points), np.float32)
    splat().data.attributes["position"].data.foreach_get("vector", position)
    label = np.empty(len(splat().data.points), np.int32)
    splat().data.attributes["bgs_label"].data.foreach_get("value", label)
    row = splat().bgs.labels[0]
    facts["picked_count"] = row.count
    return position.reshape(-1, 3)[label == row.key].mean(0).tolist()


def step_picked():
    facts["selected"] = int(selection().sum())
    subprocess.Popen(["xdotool", "key", "Escape"])


def selection():
    data = splat().data.attributes.get(".selection")
    out = np.zeros(len(splat().data.points), bool)
    if data is not None:
        data.data.foreach_get("value", out)
    return out


def step_collections():
    splat().bgs.level = 2
    with in_view():
        bpy.ops.bgs.select_none()
        bpy.ops.bgs.make_collections(only="ALL")
    facts["collections"] = sorted(c.name for c in bpy.data.collections)
    facts["parts"] = sum(o.type == "POINTCLOUD" and o.bgs.whole is not None for o in bpy.data.objects)
    for area in window().screen.areas:
        if area.type == "PROPERTIES":
            area.type = "OUTLINER"  # room for the tree
            with bpy.context.temp_override(window=window(), area=area, region=area.regions[-1]):
                for _ in range(4):
                    bpy.ops.outliner.show_one_level(open=True)


def step_drop():
    """What Blender's window does when a file is dropped on the 3D view: two importers know .ply, so it asks."""
    with in_view():
        bpy.ops.wm.drop_import_file("INVOKE_DEFAULT", directory=str(SCENE.parent), files=[{"name": SCENE.name}])


def step_escape():
    subprocess.Popen(["xdotool", "key", "Escape"])


def step_merge():
    with in_view():
        bpy.ops.bgs.merge_back()
    facts["points_after_merge"] = len(splat().data.points)


# (what to do, seconds to wait for the window to draw, picture to take afterwards)
STEPS = [
    (step_open, 1.5, None),
    (step_sidebar, 1.5, None),
    (shot_import, 1.0, "import"),
    (step_rendered, float(os.environ.get("BGS_RENDER_SECONDS", "8")), "rendered"),
    (step_solid, 1.0, None),
    (step_job, float(os.environ.get("BGS_JOB_PICTURE", "1.2")), "job"),
    (step_wait, 0.5, None),
    (step_job_done, 0.5, "segmented"),
    (step_undo, 1.0, None),
    (step_level_1, 1.0, "level_1"),
    (step_level_2, 1.0, "level_2"),
    (step_isolate, 1.0, "isolated"),
    (step_show_all, 0.5, None),
    (step_pick, 3.0, None),
    (step_picked, 1.0, "picked"),
    (step_collections, 1.5, "collections"),
    (step_merge, 1.0, None),
    (step_drop, 1.5, "drop"),
    (step_escape, 1.0, None),
]
state: dict[str, Any] = {"next": 0, "shot": None}


def run():
    try:
        if state["shot"]:
            shot(state["shot"])
            state["shot"] = None
        if state["next"] >= len(STEPS):
            return end()
        work, seconds, picture = STEPS[state["next"]]
        state["next"] += 1
        started = time.perf_counter()
        if work():
            state["next"] -= 1
        facts["steps"].append([work.__name__, round(time.perf_counter() - started, 4)])
        state["shot"] = picture
        for area in window().screen.areas:
            area.tag_redraw()
        return seconds
    except Exception:
        facts["error"] = traceback.format_exc()
        return end()


def end():
    (OUT / "window.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
