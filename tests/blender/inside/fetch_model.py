"""Runs inside a real Blender with a window: Check Engine and Fetch Mask Model. By test_fetch_model_in_window.py."""

import importlib
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
EXTENSION = next(addon.module for addon in bpy.context.preferences.addons if "gaussian" in addon.module)
doctor = importlib.import_module(f"{EXTENSION}.engine.doctor")
runner = importlib.import_module(f"{EXTENSION}.engine.runner").runner
facts: dict[str, Any] = {}
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.show_tooltips = False
bpy.context.preferences.system.use_region_overlap = False
bpy.context.preferences.system.use_online_access = True


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def region(kind="WINDOW"):
    return next(r for r in area().regions if r.type == kind)


def in_view():
    return bpy.context.temp_override(window=window(), area=area(), region=region())


def start():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    settings = bpy.types.BGS_PT_settings
    bpy.utils.unregister_class(settings)
    settings.bl_options = set()  # open from the start
    settings.bl_order = 0
    bpy.utils.register_class(settings)
    area().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))


def look():
    region("UI").active_panel_category = "Gaussian Splat"
    with in_view():
        if bpy.ops.bgs.close_guide.poll():
            bpy.ops.bgs.close_guide()


def check():
    with in_view():
        bpy.ops.bgs.check_engine("INVOKE_DEFAULT")


def fetch():
    with in_view():
        bpy.ops.bgs.fetch_model("INVOKE_DEFAULT", model="sam2.1-large")


STEPS: list[tuple[Callable[[], None], float, str | None]] = [
    (start, 2, None),
    (look, 2, None),
    (check, 4, "checked"),
    (fetch, 1, "running"),
    (lambda: None, 6, "fetched"),
]
state: dict[str, Any] = {"name": None}


def note(name):
    facts[name] = {
        "lines": list(doctor.shown.lines),
        "here": [model.here for model in doctor.shown.models],
        "running": runner.current is not None,
        "message": runner.last.message,
    }
    subprocess.run(["import", "-window", "root", str(OUT / f"fetch-model-{name}.png")], check=True)


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
    (OUT / "fetch-model.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
