"""Runs inside a real Blender with a window: Find by Words by clicks on the panel. By test_words_in_window.py."""

import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from desk import GIVEN, HOLD, PAUSE, area, facts, hand, in_view, open_tab, region, remove_all, walk, whole

PACKAGE = "bl_ext.user_default.binary_gaussian_segmentation"


def start():
    remove_all()
    area().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat("INVOKE_DEFAULT", filepath=GIVEN[0])
        bpy.ops.ed.undo_push(message="Import")


def look():
    area().spaces.active.region_3d.view_distance = 12
    open_tab()
    registration = sys.modules[f"{PACKAGE}.registration"]
    panels = [c for c in registration.CLASSES if issubclass(c, bpy.types.Panel) and c.is_registered]
    for panel in reversed(panels):  # the window has room for one panel
        bpy.utils.unregister_class(panel)
    for panel in panels:
        if panel.__name__ in ("BGS_PT_labels", "BGS_PT_found"):
            bpy.utils.register_class(panel)


def click(x, y, *keys):
    """Click in the sidebar, so many pixels from its left and from the top of the window."""
    down, up = ([word for key in keys for word in (action, key)] for action in ("keydown", "keyup"))
    x += region("UI").x
    # The mouse moves on the button too, and the press lasts: a busy machine may draw nothing in between.
    at_rest = ["mousemove", x - 4, y, "sleep", PAUSE, "mousemove", x, y, "sleep", 2 * PAUSE]
    hand(*at_rest, *down, "mousedown", 1, "sleep", PAUSE, "mouseup", 1, "sleep", HOLD, *up)


def typed():
    keys = [word for key in ("a", "space", "m", "u", "g", "Return") for word in ("key", key, "sleep", PAUSE)]
    hand("mousemove", region("UI").x + 120, 150, "sleep", PAUSE, "click", 1, "sleep", 1, *keys)


def busy():
    return runner().current is not None


def runner():
    return sys.modules[f"{PACKAGE}.engine.runner"].runner


def note(name):
    answer = sys.modules[f"{PACKAGE}.engine.words"].answer_of(whole())
    shown = [row for row in whole().bgs.labels if row.level == whole().bgs.shown_level]
    facts[name] = {
        "words": answer and answer.words,
        "fitting": answer and [one.key for one in answer.fitting],
        "selected": [(row.level, row.label & 0xFFFFFFFF) for row in shown if row.selected],
        "level": whole().bgs.shown_level,
        "said": runner().last.message,
    }


STEPS = [
    (start, 2, None),
    (look, 3, "looked"),
    (typed, 6, "typed"),
    (lambda: click(243, 150), 6, "asked"),
    (lambda: click(100, 590), 3, "one"),
    (lambda: click(100, 610, "ctrl"), 4, "both"),
    (lambda: click(243, 568), 3, "closed"),
]
walk("words", STEPS, note, busy)
