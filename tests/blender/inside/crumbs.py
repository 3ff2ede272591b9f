"""Runs inside a real Blender with a window: Find Crumbs, its Strength, Accept and undo. By test_crumbs_in_window.py."""

import sys
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from desk import GIVEN, PAUSE, Step, area, corner, facts, hand, in_view, open_tab, remove_all, view_from, walk


def splat():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat)


def start():
    remove_all()
    area().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=GIVEN[0], level_bits="4,4,4")
        bpy.ops.ed.undo_push(message="Import")


def look():
    view_from((0.2, -1, 0.4), 24, (6.5, 3, -1))
    open_tab()


def find():
    with in_view():
        bpy.ops.bgs.find_crumbs("INVOKE_DEFAULT", True)  # True: with an undo step, as a button does


def panel():
    """Open Adjust Last Operation, in the lower left corner of the view."""
    hand("mousemove", *corner(90, 15), "sleep", PAUSE, "click", 1)


STRENGTH = (210, 45)  # the slider, the upper one of two rows


def drag():
    x, y = corner(*STRENGTH)
    moves = [w for k in (20, 40, 60) for w in ("mousemove", x - k, y, "sleep", PAUSE)]
    hand("mousemove", x, y, "sleep", PAUSE, "mousedown", 1, "sleep", PAUSE, *moves, "mouseup", 1)


def type_strength():
    """Click the slider, which opens it for typing, and type 0.6."""
    keys = [w for key in ("0", "period", "6", "Return") for w in ("key", key, "sleep", PAUSE)]
    hand("mousemove", *corner(*STRENGTH), "sleep", PAUSE, "click", 1, "sleep", 1, *keys)


def accept():
    with in_view():
        bpy.ops.bgs.accept_crumbs("INVOKE_DEFAULT", True)


def undo():
    hand("mousemove", *corner(400, 500), "sleep", PAUSE, "key", "ctrl+z")


STEPS: list[Step] = [
    (start, 2, None),
    (look, 2, None),
    (find, 2, "found"),
    (panel, 3, None),
    (drag, 5, "dragged"),
    (type_strength, 6, "again"),
    (accept, 2, "accepted"),
    (undo, 3, "undone"),
]


def note(name):
    selected = np.zeros(len(splat().data.points), bool)
    found = splat().data.attributes.get(".selection")
    if found is not None:
        found.data.foreach_get("value", selected)
    last = bpy.context.window_manager.operators[-1] if bpy.context.window_manager.operators else None
    facts[name] = {
        "selected": int(selected.sum()),
        "labels": sorted(row.name for row in splat().bgs.labels if row.level == 1),
        "strength": getattr(getattr(last, "properties", None), "strength", None),
    }


walk("crumbs", STEPS, note)
