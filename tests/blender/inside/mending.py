"""Runs inside a real Blender with a window: a label mended by hand, a second Segment that keeps it, Select Similar.

Started by test_mending_in_window.py. What is there is written to /mnt/out/mending.json.
"""

import json
import subprocess
import sys
import time
import traceback
from pathlib import Path

import bpy
import numpy as np

OUT = Path("/mnt/out")
SCENE = Path(sys.argv[sys.argv.index("--") + 1])
LIMIT = 120  # seconds for a job of the stand-in for the engine
facts: dict = {}
bpy.context.preferences.view.show_splash = False


def window():
    return bpy.context.window_manager.windows[0]


def view():
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def in_view():
    region = next(r for r in view().regions if r.type == "WINDOW")
    return bpy.context.temp_override(window=window(), area=view(), region=region)


def splat():
    return next(o for o in bpy.data.objects if o.type == "POINTCLOUD" and o.bgs.is_splat and o.bgs.whole is None)


def codes() -> np.ndarray:
    out = np.empty(len(splat().data.points), np.int32)
    splat().data.attributes["bgs_code"].data.foreach_get("value", out)
    return out


def first(level: int = 1):
    return next(row for row in splat().bgs.labels if row.level == level)


def step_open() -> None:
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    view().spaces.active.show_region_ui = True
    with in_view():
        bpy.ops.bgs.import_splat(filepath=str(SCENE))
    bpy.context.scene.bgs_settings.output = str(OUT / "run")


def step_sidebar() -> None:
    next(r for r in view().regions if r.type == "UI").active_panel_category = "Gaussian Splat"


def step_segment() -> None:
    with in_view():
        facts.setdefault("started", []).append(sorted(bpy.ops.bgs.segment()))
    facts["deadline"] = time.monotonic() + LIMIT


def step_wait() -> bool:
    from bl_ext.user_default.binary_gaussian_segmentation.engine.runner import runner

    facts.setdefault("messages", [])
    if runner.current is None:
        facts["messages"].append(runner.last.message)
    return runner.current is not None and time.monotonic() < facts["deadline"]


def step_mend() -> None:
    """Join the two largest labels, as a person who sees that they are one thing."""
    from bl_ext.user_default.binary_gaussian_segmentation.engine import keeping

    facts["shown_before"] = keeping.shows_switch(splat())
    splat().bgs.level = 1
    numbers = [i for i, row in enumerate(splat().bgs.labels) if row.level == 1][:2]
    with in_view():
        bpy.ops.bgs.select_label(index=numbers[0])
        bpy.ops.bgs.select_label("EXEC_DEFAULT", index=numbers[1], extend=True)
        bpy.ops.bgs.join_labels()
    row = next(row for row in splat().bgs.labels if row.level == 1 and row.selected)
    row.name = "Mine"
    with in_view():
        bpy.ops.ed.undo_push(message="Mend")  # what a user's own call gets by itself
    facts["shown_after"] = keeping.shows_switch(splat())
    np.save(OUT / "mended.npy", mine())


def mine() -> np.ndarray:
    from bl_ext.user_default.binary_gaussian_segmentation.cloud import code_tables

    row = next(row for row in splat().bgs.labels if row.name == "Mine")
    return code_tables.table_of(splat()).rows(1, row.label)


def step_kept() -> None:
    facts["same"] = bool(np.array_equal(mine(), np.load(OUT / "mended.npy")))
    facts["labels"] = sum(row.level == 1 for row in splat().bgs.labels)
    facts["changed"] = splat().bgs.run_changed
    facts["by_engine"] = bool(np.array_equal(np.load(OUT / "run" / "codes.npy"), codes()))


def step_undo() -> None:
    before = codes()
    with in_view():
        bpy.ops.ed.undo()
    facts["undone_to_mended"] = bool(np.array_equal(mine(), np.load(OUT / "mended.npy")))
    with in_view():
        bpy.ops.ed.redo()
    facts["redone"] = bool(np.array_equal(codes(), before))


def step_similar() -> None:
    with in_view():
        index = next(i for i, row in enumerate(splat().bgs.labels) if row.level == 1 and row.name != "Mine")
        bpy.ops.bgs.select_label(index=index)
        started = time.perf_counter()
        bpy.ops.bgs.select_similar(least=0, most=1)
        facts["similar_seconds"] = time.perf_counter() - started
    facts["selected"] = sum(row.level == 1 and row.selected for row in splat().bgs.labels)


# (what to do, seconds to wait for the window to draw, picture to take afterwards)
STEPS = [
    (step_open, 1.5, None), (step_sidebar, 1.0, None), (step_segment, 0.5, None), (step_wait, 0.5, None),
    (step_mend, 1.5, "mended"), (step_segment, 0.5, None), (step_wait, 0.5, None), (step_kept, 1.0, "kept"),
    (step_undo, 1.0, None), (step_similar, 1.0, "similar"),
]  # fmt: skip
state: dict = {"next": 0, "shot": None}


def run() -> float | None:
    try:
        if state["shot"]:
            subprocess.run(["import", "-window", "root", str(OUT / f"{state['shot']}.png")], check=True)
            state["shot"] = None
        if state["next"] >= len(STEPS):
            return end()
        work, seconds, picture = STEPS[state["next"]]
        state["next"] += 1
        if work():
            state["next"] -= 1
        else:
            state["shot"] = picture
        for area in window().screen.areas:
            area.tag_redraw()
        return seconds
    except Exception:
        facts["error"] = traceback.format_exc()
        return end()


def end() -> None:
    (OUT / "mending.json").write_text(json.dumps(facts))
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
