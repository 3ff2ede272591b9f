"""Runs inside a real Blender with a window: a file saved and opened again, 200 imports and removals, off and on again.

Started by test_splats_life.py; /mnt/out/life.json is what it leaves.
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

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
TIMES = 200
NAME = "bl_ext.user_default.binary_gaussian_segmentation"
facts: dict[str, object] = {}
bpy.context.preferences.view.show_splash = False


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def draw_now(times=1):
    with bpy.context.temp_override(window=window()):
        for _ in range(times):
            area().tag_redraw()
            bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)


def display():
    from bl_ext.user_default.binary_gaussian_segmentation.viewport import draw

    return draw.display


def memory():
    """Resident, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def shot(name):
    subprocess.run(["import", "-window", "root", str(OUT / f"life-{name}.png")], check=True)


def step_save():
    bpy.ops.bgs.import_splat(filepath=str(SPLAT))
    for obj in [o for o in bpy.data.objects if o.type != "POINTCLOUD"]:
        bpy.data.objects.remove(obj)
    area().spaces.active.region_3d.view_distance = 9
    splat = bpy.data.objects[0]
    splat.bgs.level, splat.bgs.labels[0].hidden = 2, True
    draw_now(2)
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "life.blend"))


def step_saved():
    shot("saved")
    bpy.ops.wm.read_homefile(use_empty=True)
    facts["atlas_in_empty_file"] = display().atlas is None
    bpy.ops.wm.open_mainfile(filepath=str(OUT / "life.blend"))


def step_reopened():
    shot("reopened")
    facts["drawn_after_reopen"] = display().atlas is not None
    facts["handlers"] = handlers()
    splat = next(o for o in bpy.data.objects if o.type == "POINTCLOUD")
    facts["modifiers"] = [m.name for m in splat.modifiers]
    bpy.data.batch_remove([splat, splat.data])
    draw_now()
    facts["nothing_left"] = display().atlas is None and not display().views


def handlers():
    lists = [bpy.app.handlers.depsgraph_update_post, bpy.app.handlers.undo_post, bpy.app.handlers.redo_post,
             bpy.app.handlers.load_pre, bpy.app.handlers.frame_change_post]  # fmt: skip
    return [sum(f.__module__.startswith(NAME) for f in one) for one in lists]


def step_many():
    """In portions, so that the window lives."""
    from bl_ext.user_default.binary_gaussian_segmentation.files import importer

    facts.setdefault("memory", [])
    for _ in range(10):
        obj = importer.import_splat(bpy.context.scene, SPLAT, importer.ImportConfig())
        draw_now()
        assert display().atlas is not None and len(display().atlas) == len(obj.data.points)
        bpy.data.batch_remove([obj, obj.data])
        draw_now()
        assert display().atlas is None
    facts["memory"].append(round(memory(), 1))
    return len(facts["memory"]) * 10 < TIMES


def step_left():
    facts["clouds_left"] = len(bpy.data.pointclouds)
    facts["groups_left"] = sorted(g.name for g in bpy.data.node_groups)
    facts["materials_left"] = sorted(m.name for m in bpy.data.materials if "Splat" in m.name)


def step_off():
    bpy.ops.bgs.import_splat(filepath=str(SPLAT))
    draw_now()
    facts["drawn_before_off"] = display().drawn_pictures
    threads_before = threads()
    bpy.ops.preferences.addon_disable(module=NAME)
    draw_now()
    facts["handlers_off"] = handlers()
    facts["threads"] = [threads_before, threads()]
    facts["operator_gone"] = not hasattr(bpy.types, "BGS_OT_render_splats")
    bpy.ops.preferences.addon_enable(module=NAME)
    draw_now()
    facts["handlers_on"] = handlers()
    facts["atlas_on_again"] = display().atlas is not None


def step_render():
    """Render Splats with the button: the animation, the job, its files."""
    data = bpy.data.cameras.new("Camera")
    camera = bpy.data.objects.new("Camera", data)
    camera.location = (0, -9, 0)
    camera.rotation_euler = (1.5708, 0, 0)
    scene = bpy.context.scene
    scene.collection.objects.link(camera)
    scene.camera, scene.frame_start, scene.frame_end = camera, 3, 6
    scene.bgs_render.output = str(OUT / "frames")
    with bpy.context.temp_override(window=window(), area=area()):
        facts["render_said"] = sorted(bpy.ops.bgs.render_splats(animation=True))


def step_wait():
    from bl_ext.user_default.binary_gaussian_segmentation.engine.runner import runner

    if runner.current is not None and time.perf_counter() - state["started"] < 60:
        return True
    facts.setdefault("render_messages", []).append(runner.last.message)
    facts["frames"] = sorted(f.name for f in (OUT / "frames" / "color").glob("*.png"))
    facts["shots_left"] = len(list(Path(bpy.app.tempdir).glob("bgs-shot-*")))
    return False


def step_slow():
    os.environ["BGS_FAKE_ENGINE"] = "slow"
    with bpy.context.temp_override(window=window(), area=area()):
        bpy.ops.bgs.render_splats(animation=False)


def step_cancel():
    facts["cancelled_at"] = time.perf_counter()
    bpy.ops.bgs.cancel_job()


def threads():
    import threading

    return [t.name for t in threading.enumerate() if t.name.startswith("bgs")]


STEPS = [(step_save, 1.0), (step_saved, 1.5), (step_reopened, 0.5), (step_many, 0.1), (step_left, 0.1), (step_off, 0.5),
         (step_render, 0.5), (step_wait, 0.2), (step_slow, 1.0), (step_cancel, 0.1), (step_wait, 0.1)]  # fmt: skip
state: dict[str, Any] = {"next": 0, "started": time.perf_counter()}


def run():
    try:
        if state["next"] >= len(STEPS):
            return end()
        work, seconds = STEPS[state["next"]]
        started = time.perf_counter()
        again = work()
        if not again:
            state["next"] += 1
            state["started"] = time.perf_counter()
        facts[f"seconds_{work.__name__}"] = round(time.perf_counter() - started, 2)
        return seconds
    except Exception:
        facts["error"] = traceback.format_exc()
        return end()


def end():
    (OUT / "life.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
