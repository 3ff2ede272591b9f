"""Runs inside a real Blender with a window: how long Python of ours keeps the main thread while a job runs and ends.

Every call from Blender into our files is timed on its own (timers, panels, lists, handlers, drawing), and so is the
gap between two looks of a timer, which is what a user feels; the same without a job tells what Blender needs anyway on
this machine. What was found goes to /mnt/out/responsive.json.
"""

import json
import sys
import time
import traceback
from pathlib import Path

import bpy
import numpy as np

OUT = Path("/mnt/out")
SCENE = Path(sys.argv[-1])
OURS = "binary_gaussian_segmentation"
IDLE_SECONDS = 4.0
facts: dict[str, object] = {}
phase = "start"
calls: dict[tuple[str, str], list[float]] = {}
beats: dict[str, list[float]] = {}
stack: list[tuple[str, float]] = []
depth = 0
bpy.context.preferences.view.show_splash = False


def watch(frame, event, _argument):
    """A profile function: times the outermost frames of our files."""
    global depth
    if event == "call":
        if depth or OURS in frame.f_code.co_filename:
            if depth == 0:
                place = Path(frame.f_code.co_filename)
                stack.append((f"{place.parent.name}/{place.stem}.{frame.f_code.co_name}", time.perf_counter()))
            depth += 1
    elif event == "return" and depth:
        depth -= 1
        if depth == 0:
            name, started = stack.pop()
            calls.setdefault((phase, name), []).append(time.perf_counter() - started)


def beat():
    beats.setdefault(phase, []).append(time.perf_counter())
    return 0.005 if phase != "end" else None


def window():
    return bpy.context.window_manager.windows[0]


def view():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def in_view():
    return bpy.context.temp_override(
        window=window(), area=view(), region=next(r for r in view().regions if r.type == "WINDOW")
    )


def jobs():
    from bl_ext.user_default.binary_gaussian_segmentation.engine.runner import runner

    return runner


def step_open():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    view().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat(filepath=str(SCENE))
        bpy.ops.ed.undo_push(message="Import")


def step_sidebar():
    next(r for r in view().regions if r.type == "UI").active_panel_category = "Gaussian Splat"


def step_idle():
    """The window drawn again and again, nothing else."""
    global phase
    phase = "idle"
    sys.setprofile(watch)
    bpy.app.timers.register(beat)


def step_redraw():
    view().tag_redraw()
    return time.perf_counter() - beats["idle"][0] < IDLE_SECONDS if "idle" in beats else True


def step_job():
    global phase
    phase = "job"
    bpy.context.scene.bgs_settings.output = str(OUT / "responsive_run")
    with in_view():
        bpy.ops.bgs.segment()


def step_wait():
    global phase
    running = jobs().current
    if running is not None and running.job.progress.finished:
        phase = "arrival"
    return running is not None


def step_after():
    global phase
    sys.setprofile(None)
    phase = "end"
    facts["message"] = jobs().last.message
    facts["gaps"] = {
        name: {"longest": float(np.diff(ticks).max()), "median": float(np.median(np.diff(ticks)))}
        for name, ticks in beats.items()
        if len(ticks) > 2
    }
    longest: dict[str, list] = {}
    for (name, call), seconds in calls.items():
        longest.setdefault(name, []).append([round(max(seconds), 4), len(seconds), call])
    facts["calls"] = {name: sorted(rows, reverse=True)[:8] for name, rows in longest.items()}


STEPS = [(step_open, 2.0), (step_sidebar, 3.0), (step_idle, 0.1), (step_redraw, 0.2), (step_job, 0.05),
         (step_wait, 0.05), (lambda: None, 3.0), (step_after, 0.1)]  # fmt: skip


def run():
    try:
        if not STEPS:
            return end()
        work, seconds = STEPS.pop(0)
        if work():
            STEPS.insert(0, (work, seconds))
        return seconds
    except Exception:
        facts["error"] = traceback.format_exc()
        return end()


def end():
    (OUT / "responsive.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
