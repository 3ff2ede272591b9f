"""Draws the running job, the last job's result and the engine's state, in the Segment panel and the preferences."""

import bpy

from ..cloud.typed import Context
from ..interface.sidebar import duration, wrapped_text
from . import doctor, segmenting
from .preferred import ADDON
from .runner import RunningJob, runner

WARNINGS = 3  # number of a job's warnings that are shown; its log has all


def draw_job(column: bpy.types.UILayout, running: RunningJob) -> None:
    """Draw the stage, the progress bar, the times, the last message and Cancel."""
    state = running.job.progress
    stage = "reading the result" if state.finished else state.stage
    text = f"{state.done} of {state.total}" if state.total else "..."
    column.label(text=f"{running.task.title}: {stage[:1].lower()}{stage[1:]}", icon="SORTTIME")
    column.progress(factor=state.fraction, type="BAR", text=text)
    left = "" if state.eta is None else f"; stage: {duration(state.eta)} left"
    lines = column.column(align=True)
    lines.active = False
    lines.label(text=f"{duration(state.seconds)}{left}")
    lines.label(text=state.message or " ")  # draw an empty line too, so that Cancel does not move under the mouse
    row = column.row()
    row.enabled = not state.cancelling
    row.operator("bgs.cancel_job", icon="CANCEL", text="Cancelling ..." if state.cancelling else "Cancel")


def draw_last_job(column: bpy.types.UILayout, context: Context) -> None:
    """Draw how the last job ended, with its warnings."""
    if not runner.last.message:
        return
    box = column.box()
    icon = "ERROR" if runner.last.failed else "INFO"
    wrapped_text(box, f"{runner.last.title}: {runner.last.message}", context, icon=icon, alert=runner.last.failed)
    for text in runner.last.warnings[:WARNINGS]:
        wrapped_text(box, text, context, icon="ERROR")
    if len(runner.last.warnings) > WARNINGS:
        box.label(text=f"and {len(runner.last.warnings) - WARNINGS} more in the log", icon="BLANK1")
    if runner.last.failed or runner.last.warnings:
        box.operator("bgs.copy_details", text="Copy Details", icon="COPYDOWN")


def draw_missing_engine(column: bpy.types.UILayout, context: Context) -> None:
    """If no engine is installed, draw the reason and Install Engine."""
    missing = segmenting.engine_missing()
    if not missing:
        return
    box = column.box()
    wrapped_text(box, f"{missing} Only Segment and Render Splats need the engine.", context, icon="INFO")
    if not bpy.app.online_access:
        wrapped_text(
            box, "To install it, first tick Preferences > System > Allow Online Access.", context, icon="BLANK1"
        )
    row = box.row(align=True)
    row.operator("bgs.install_engine", icon="IMPORT")
    row.operator("preferences.addon_show", text="", icon="PREFERENCES").module = ADDON


def draw_doctor(column: bpy.types.UILayout, context: Context) -> None:
    """Draw Check Engine and its report."""
    column.operator("bgs.check_engine", icon="CHECKMARK")
    if doctor.shown.lines:
        box = column.box()
        for line in doctor.shown.lines:
            wrapped_text(box, line, context)
