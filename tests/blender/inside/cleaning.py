"""Runs inside a real Blender with a window: Clean Objects, its Strength, undo. By test_cleaning_in_window.py."""

import hashlib
import sys
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from desk import GIVEN, PAUSE, Step, area, corner, facts, hand, in_view, open_tab, remove_all, splats, view_from, walk


def start():
    remove_all()
    area().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=GIVEN[0], level_bits="4,4,4", up_axis="Z")
        bpy.ops.bgs.make_collections("INVOKE_DEFAULT", True)


def look():
    view_from((1, -0.3, 0.6), 5, (0, 0, 0))
    open_tab()
    for obj in splats():
        obj.bgs.color_mode = "COLOR"


def clean():
    with in_view():
        bpy.ops.bgs.clean_objects("INVOKE_DEFAULT", True)  # True: with an undo step, as a button does


def panel():
    """Open Adjust Last Operation, in the lower left corner of the view."""
    hand("mousemove", *corner(90, 15), "sleep", PAUSE, "click", 1)


STRENGTH = (210, 22)  # the slider, the only row


def drag():
    x, y = corner(*STRENGTH)
    moves = [w for k in (20, 40, 60) for w in ("mousemove", x - k, y, "sleep", PAUSE)]
    hand("mousemove", x, y, "sleep", PAUSE, "mousedown", 1, "sleep", PAUSE, *moves, "mouseup", 1)


def type_strength():
    """Click the slider, which opens it for typing, and type 0.5."""
    keys = [w for key in ("0", "period", "5", "Return") for w in ("key", key, "sleep", PAUSE)]
    hand("mousemove", *corner(*STRENGTH), "sleep", PAUSE, "click", 1, "sleep", 1, *keys)


def undo():
    hand("mousemove", *corner(400, 500), "sleep", PAUSE, "key", "ctrl+z")


STEPS: list[Step] = [
    (start, 3, None),
    (look, 2, "before"),
    (clean, 3, "cleaned"),
    (panel, 3, None),
    (drag, 5, "dragged"),
    (type_strength, 6, "again"),
    (undo, 3, "undone"),
]


def note(name):
    last = bpy.context.window_manager.operators[-1] if bpy.context.window_manager.operators else None
    places = {}
    for one in splats():
        values = np.empty(3 * len(one.data.points), np.float32)
        one.data.attributes["position"].data.foreach_get("vector", values)
        places[one.name] = hashlib.sha256(values.tobytes()).hexdigest()
    facts[name] = {
        "points": {one.name: len(one.data.points) for one in splats()},
        "places": places,
        "strength": getattr(getattr(last, "properties", None), "strength", None),
    }


walk("cleaning", STEPS, note)
