"""Runs inside a real Blender with a window: the pie menu by its key, the first steps, menus, and overlays that are off.

Started by test_places.py; pictures and /mnt/out/places.json are what it leaves.
"""

import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import bpy

OUT = Path("/mnt/out")
SPLAT = Path(sys.argv[sys.argv.index("--") + 1])
ADDON = "bl_ext.user_default.binary_gaussian_segmentation"
facts: dict[str, Any] = {"steps": []}
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.system.use_region_overlap = False


def window():
    return bpy.context.window_manager.windows[0]


def area(kind="VIEW_3D"):
    return max((a for a in window().screen.areas if a.type == kind), key=lambda a: a.width * a.height)


def region(kind="WINDOW", of="VIEW_3D"):
    return next(r for r in area(of).regions if r.type == kind)


def in_view():
    return bpy.context.temp_override(window=window(), area=area(), region=region())


def splat():
    return next(
        (o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat and o.bgs.whole is None), None
    )


def middle():
    r = region()
    return r.x + r.width // 2, window().height - r.y - r.height // 2


def note_step():
    from bl_ext.user_default.binary_gaussian_segmentation import guide

    facts["steps"].append(guide.step_of(splat()))


def start():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    preferences = bpy.context.preferences.addons[ADDON].preferences
    facts["guide_at_first"] = preferences.bl_rna.properties["show_guide"].default
    preferences.show_guide = True  # an earlier run may have closed it
    area().spaces.active.show_region_ui = True
    note_step()


def tab():
    region("UI").active_panel_category = "Gaussian Splat"


def load():
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=str(SPLAT))
    note_step()
    window().cursor_warp(*middle())


def press_v():
    subprocess.run(["xdotool", "mousemove", *map(str, middle())], check=True)
    subprocess.Popen(["xdotool", "sleep", "0.3", "key", "v"])


def choose_right():
    """The place at the right of the pie is Isolate Label."""
    x, y = middle()
    subprocess.Popen(["xdotool", "mousemove", str(x + 130), str(y), "sleep", "0.4", "click", "1"])


def chosen():
    facts["hidden_by_pie"] = sum(row.hidden for row in splat().bgs.labels if row.level == 1)
    with in_view():
        bpy.ops.bgs.show_all()


def select():
    with in_view():
        bpy.ops.bgs.select_label(index=0)
    note_step()


def overlays_off():
    area().spaces.active.overlay.show_overlays = False


def overlays_on():
    area().spaces.active.overlay.show_overlays = True


def make_objects():
    with in_view():
        bpy.ops.bgs.make_collections(only="ALL")
    note_step()


def right_click_in_outliner():
    """On the row of the first collection below the scene's own."""
    outliner = area("OUTLINER")
    row = outliner.x + 80, window().height - (outliner.y + outliner.height - 26 - 3 * 20 + 10)
    subprocess.Popen(
        ["xdotool", "mousemove", *map(str, row), "sleep", "0.3", "click", "1", "sleep", "0.3", "click", "3"]
    )


def escape():
    subprocess.Popen(["xdotool", "key", "Escape"])


def close_guide():
    preferences = bpy.context.preferences.addons[ADDON].preferences
    with in_view():
        facts["close"] = sorted(bpy.ops.bgs.close_guide())
    facts["guide_after"] = preferences.show_guide
    bpy.ops.wm.save_userpref()


def keys():
    config = bpy.context.window_manager.keyconfigs
    item = next(i for i in config.user.keymaps["Object Mode"].keymap_items if i.idname == "bgs.pie")
    facts["key"] = [item.type, item.value, item.shift or item.ctrl or item.alt]
    of_blender = [i.idname for mode in ("Object Mode", "Point Cloud", "3D View", "3D View Generic", "Window", "Screen")
                  if mode in config.default.keymaps for i in config.default.keymaps[mode].keymap_items
                  if i.type == "V" and not (i.shift or i.ctrl or i.alt or i.oskey)]  # fmt: skip
    facts["same_key"] = of_blender
    bpy.ops.preferences.addon_show(module=ADDON)


STEPS = [
    (start, 1.0, None), (tab, 1.0, "start"), (load, 1.5, "imported"), (select, 0.5, None),
    (press_v, 1.5, "pie"), (choose_right, 2.0, None), (chosen, 0.5, None), (select, 1.0, "selected"),
    (overlays_off, 1.0, "overlays_off"), (overlays_on, 0.5, None),
    (make_objects, 1.5, "objects"), (right_click_in_outliner, 2.5, "outliner"), (escape, 1.0, None),
    (close_guide, 1.0, "closed"), (keys, 2.0, "preferences"),
]  # fmt: skip
state: dict[str, Any] = {"shot": None}


def run():
    try:
        if state["shot"]:
            subprocess.run(["import", "-window", "root", str(OUT / f"places-{state['shot']}.png")], check=True)
        if not STEPS:
            return end()
        work, seconds, state["shot"] = STEPS.pop(0)
        work()
        for one in window().screen.areas:
            one.tag_redraw()
        return seconds
    except Exception:
        facts["error"] = traceback.format_exc()
        return end()


def end():
    facts["box"] = [region().x, window().height - region().y - region().height, region().width, region().height]
    (OUT / "places.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
