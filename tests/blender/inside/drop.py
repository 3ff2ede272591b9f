"""Runs inside a real Blender with a window: a file is dropped on the 3D view, ours is picked from the menu.

Twice: by the operator that Blender's own drop calls, and by a real drop from another program (xdnd.py). What was there
goes to /mnt/out/drop.json.
"""

import json
import subprocess
import sys
import traceback
from pathlib import Path

import bpy

OUT = Path("/mnt/out")
SCENE = Path(sys.argv[-1])
facts: dict[str, object] = {}
bpy.context.preferences.view.show_splash = False


def window():
    return bpy.context.window_manager.windows[0]


def view():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def splats():
    return [o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat]


def shot(name):
    subprocess.run(["import", "-window", "root", str(OUT / f"{name}.png")], check=True)


def empty():
    bpy.data.batch_remove([*bpy.data.objects])


def menu():
    area = view()
    region = next(r for r in area.regions if r.type == "WINDOW")
    window().cursor_warp(region.x + region.width // 2, region.y + region.height // 2)
    with bpy.context.temp_override(window=window(), area=area, region=region):
        bpy.ops.wm.drop_import_file("INVOKE_DEFAULT", directory=str(SCENE.parent), files=[{"name": SCENE.name}])


def pick():
    """Our entry, by its underlined letter: Import Gaussian Splat."""
    shot("drop_real" if "by_operator" in facts else "drop")
    subprocess.run(["xdotool", "key", "g"], check=True)


def picked():
    facts["by_operator"] = [len(o.data.points) for o in splats()]
    facts["meshes_by_operator"] = sum(o.type == "MESH" for o in bpy.data.objects)
    empty()


running: dict[str, subprocess.Popen[str]] = {}


def real_drop():
    region = next(r for r in view().regions if r.type == "WINDOW")
    place = region.x + region.width // 2, window().height - region.y - region.height // 2
    subprocess.run(["xdotool", "mousemove", *map(str, place)], check=True)
    command = [sys.executable if "python" in sys.executable else "python3", "/mnt/repo/tests/blender/inside/xdnd.py"]
    running["drop"] = subprocess.Popen([*command, str(SCENE), *map(str, place)], stderr=subprocess.PIPE, text=True)


def dropped():
    drop = running["drop"]
    if drop.poll() is None:
        return True
    assert drop.stderr is not None
    facts["xdnd"] = [drop.returncode, drop.stderr.read()]
    return False


def real_picked():
    facts["by_drop"] = [len(o.data.points) for o in splats()]
    return None


STEPS = [(empty, 1.0), (menu, 1.5), (pick, 2.0), (picked, 1.0), (real_drop, 0.5), (dropped, 0.3), (lambda: None, 1.5),
         (pick, 2.0), (real_picked, 0.5)]  # fmt: skip


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
    (OUT / "drop.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=3.0, persistent=True)
