"""Runs inside a real Blender with a window: an animation is exported through the file browser, cancelled by Esc, and
exported again. Started by test_frames_in_window.py as `blender -P frames.py -- SPLAT FOLDER`.
"""

import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from desk import GIVEN, area, facts, hand, in_view, open_tab, press, region, remove_all, walk, whole, window

SPLAT, FOLDER = Path(GIVEN[0]), Path(GIVEN[1])
bpy.context.preferences.view.filebrowser_display_type = "WINDOW"


def names():
    return sorted(path.name for path in FOLDER.iterdir())


def is_running():
    return any(one.bl_idname == "BGS_OT_export_frames" for one in window().modal_operators)


def note(step):
    facts[step] = {"files": names(), "running": is_running(), "frame": bpy.context.scene.frame_current}


def step_import():
    remove_all()
    area().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))
    obj = whole()
    obj.driver_add("location", 0).driver.expression = "frame / 10"
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, 250
    bpy.context.scene.frame_set(7)


def step_look():
    open_tab()


def ask():
    """The dialog of File > Export, in a window of its own."""
    with in_view():
        bpy.ops.bgs.export_splat("INVOKE_DEFAULT", filepath=str(FOLDER / "walk.ply"), what="WHOLE", frames="RANGE")


def confirm():
    """What the button Export of the file browser does."""
    browser = bpy.context.window_manager.windows[-1]
    files = next(a for a in browser.screen.areas if a.type == "FILE_BROWSER")
    part = next(r for r in files.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=browser, area=files, region=part):
        bpy.ops.file.execute()


def step_escape():
    middle = region().x + region().width // 2, window().height - region().y - region().height // 2
    press("Escape", middle)


def shorten():
    bpy.context.scene.frame_end = 4
    facts["short"] = True


def is_busy():
    """Wait for the first frames of the long export, and for the end of the short one."""
    if "short" in facts:
        return is_running()
    return "dialog" in facts and "writing" not in facts and bpy.context.scene.frame_current == 7


def nothing():
    hand("mousemove", 300, 300)


walk(
    "frames",
    [
        (step_import, 1.0, None),
        (step_look, 1.0, None),
        (ask, 2.0, "dialog"),
        (confirm, 1.5, "writing"),
        (step_escape, 1.5, "cancelled"),
        (shorten, 0.5, None),
        (ask, 2.0, None),
        (confirm, 2.0, "written"),
        (nothing, 0.5, None),
    ],
    note,
    is_busy,
)
