"""Runs inside a real Blender with a window: starts an endless job, cancels it, starts another and waits to be killed.

What happened goes to /mnt/out/endless.json as it happens.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import bpy

facts: dict[str, Any] = {}
bpy.context.preferences.view.show_splash = False


def note(**new):
    facts.update(new)
    partial = Path("/mnt/out/endless.partial")
    partial.write_text(json.dumps(facts))
    partial.replace("/mnt/out/endless.json")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def run():
    from bl_ext.user_default.binary_gaussian_segmentation.engine.runner import runner, tick

    step = facts.get("step", 0)
    if step == 0:
        bpy.ops.bgs.import_splat(filepath=sys.argv[-1])
        bpy.context.scene.bgs_settings.output = "/mnt/out/endless_run"
        bpy.ops.bgs.segment()
        note(step=1, first=runner.current.job.pid)
        return 2.0
    if step == 1:
        started = time.perf_counter()
        bpy.ops.bgs.cancel_job()
        note(step=2, cancel_call=time.perf_counter() - started, cancelled_at=time.time())
        return 0.05
    if step == 2:
        if alive(facts["first"]) or runner.current is not None:
            return 0.05
        note(step=3, gone_after=time.time() - facts["cancelled_at"], message=runner.last.message)
        bpy.ops.bgs.segment()
        note(second=runner.current.job.pid)
        return 1.0
    if step == 3:
        bpy.ops.wm.read_homefile()  # another file: the job goes on and is still watched
        note(step=4)
        return 1.0
    watched = runner.current is not None and bpy.app.timers.is_registered(tick)
    note(ready=True, survives_load=watched and alive(facts["second"]))
    return None


bpy.app.timers.register(run, first_interval=2.0, persistent=True)
