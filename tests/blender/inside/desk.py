"""What scripts in a real window of Blender share: its 3D view, real events, pictures, and steps one after another.

A script is started by `blender -P SCRIPT -- SPLAT`. It gives `walk` its steps, and `walk` writes `facts` to
/mnt/out/NAME.json and quits.
"""

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Vector

OUT = Path("/mnt/out")
GIVEN = sys.argv[sys.argv.index("--") + 1 :]  # the arguments of the script
PAUSE = 0.4  # seconds between two events: a frame of a software renderer takes most of this
LONGEST = 60.0  # seconds for an answer on a busy machine
HOLD = 1.2  # seconds that Shift and Ctrl stay down after a click: Blender asks for them when it comes to the click
CATEGORY = "Gaussian Splat"  # the tab of the sidebar
facts: dict[str, Any] = {}
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.show_tooltips = False  # one would cover the list
bpy.context.preferences.system.use_region_overlap = False

_hand: list[subprocess.Popen[bytes]] = []  # the events that still come


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def region(kind="WINDOW"):
    return next(r for r in area().regions if r.type == kind)


def in_view():
    return bpy.context.temp_override(window=window(), area=area(), region=region())


def splats():
    return [o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat]


def whole():
    return next(o for o in splats() if not o.bgs.part_level)


def column(obj, name, key, width, kind):
    """An attribute of a point cloud, [N, width]."""
    values = np.empty(width * len(obj.data.points), kind)
    obj.data.attributes[name].data.foreach_get(key, values)
    return values.reshape(-1, width)


def world_middle(obj, rows=slice(None)):
    """The middle of some points of an object, in the world."""
    return obj.matrix_world @ Vector(column(obj, "position", "vector", 3, np.float32)[rows].mean(0).tolist())


def on_screen(place):
    """A place of the world in the window, in pixels from its upper left corner, as xdotool counts."""
    at = location_3d_to_region_2d(region(), area().spaces.active.region_3d, place)
    return round(region().x + at.x), round(window().height - region().y - at.y)


def corner(x, y):
    """A place in the window, from the lower left corner of the part of the view that no toolbar covers."""
    return region("TOOLS").x + region("TOOLS").width + x, window().height - region().y - y


def remove_all():
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)


def view_from(direction, distance, middle=(0, 0, 0)):
    view = area().spaces.active.region_3d
    view.view_perspective = "PERSP"
    view.view_location, view.view_distance = middle, distance
    view.view_rotation = Vector(direction).to_track_quat("Z", "Y")


def open_tab():
    """The tab of the extension, with its buttons and not the first steps."""
    region("UI").active_panel_category = CATEGORY
    with in_view():
        if bpy.ops.bgs.close_guide.poll():  # an earlier test may have closed it
            bpy.ops.bgs.close_guide()


def hand(*words):
    """Real events of the X server, while Blender goes on. `walk` waits for them before the next step."""
    _hand.append(subprocess.Popen(["xdotool", *map(str, words)]))


def held(action, keys):
    return [w for key in keys for w in (action, key, "sleep", PAUSE)]


def let_go(keys):
    return ["sleep", HOLD if keys else PAUSE, *held("keyup", keys)]


def click(place, *keys):
    hand("mousemove", *place, "sleep", PAUSE, *held("keydown", keys), "click", 1, *let_go(keys))


def press(name, place):
    """A key over a place."""
    hand("mousemove", *place, "sleep", PAUSE, "key", name)


def drag(points, *keys):
    moves = [w for x, y in points[1:] for w in ("mousemove", x, y, "sleep", PAUSE)]
    start = ["mousemove", *points[0], "sleep", PAUSE, *held("keydown", keys), "mousedown", 1, "sleep", PAUSE]
    hand(*start, *moves, "mouseup", 1, *let_go(keys))


def picture(name):
    subprocess.run(["import", "-window", "root", str(OUT / f"{name}.png")], check=True)


Step = tuple[Callable[[], Any], float, str | None]  # what to do, seconds until it is done, the name of what is noted


def named(functions: Sequence[Callable[[], Any]], seconds: float) -> list[Step]:
    """Steps that are all noted, under the names of their functions without `step_`."""
    return [(work, seconds, work.__name__.removeprefix("step_")) for work in functions]


def walk(
    name: str,
    steps: Sequence[Step],
    note: Callable[[str], None] = lambda _: None,
    busy: Callable[[], bool] = lambda: False,
) -> None:
    """Do steps from a timer, because a window draws only between two of its ticks.

    After a step with a name: `note`, and the picture NAME-STEP.png. While `busy` says so, the step is not over, for at
    most `LONGEST` seconds.
    """
    ahead, began = list(steps), time.monotonic()
    last: Step = (lambda: None, 0.0, None)

    def run() -> float | None:
        nonlocal last, began
        try:
            if _hand:
                if _hand[0].poll() is not None:
                    _hand.pop(0)
                return last[1]
            if busy() and time.monotonic() - began < LONGEST:
                return last[1]
            if last[2]:
                note(last[2])
                picture(f"{name}-{last[2]}")
            if not ahead:
                return end()
            last, began = ahead.pop(0), time.monotonic()
            last[0]()
            area().tag_redraw()
            return last[1]
        except Exception:
            facts["error"] = traceback.format_exc()
            return end()

    def end() -> None:
        (OUT / f"{name}.json").write_text(json.dumps(facts))
        bpy.ops.wm.quit_blender()

    bpy.app.timers.register(run, first_interval=2.5, persistent=True)
