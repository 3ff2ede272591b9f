"""Draws the running job, the last job's result and the engine's state, in the Segment panel and the preferences."""

import bpy

from ..cloud.active_splat import splat_of
from ..cloud.typed import Context
from ..interface.sidebar import ICON_WIDTH, duration, wrapped_text
from ..logic.window_words import for_window
from . import doctor, segmenting
from .preferred import ADDON
from .runner import RunningJob, runner

WARNINGS = 3  # number of a job's warnings that are shown; its log has all


def draw_job(column: bpy.types.UILayout, running: RunningJob) -> None:
    """Draw the bar of the whole job, the time left, the stage and its steps, the last message and Cancel."""
    state, forecast = running.job.progress, running.forecast
    stage = "reading the result" if state.finished else state.stage
    place = f"stage {state.place + 1} of {len(state.plan)}" if state.place >= 0 and not state.finished else ""
    column.label(text=": ".join(filter(None, (running.task.title, place))), icon="SORTTIME")
    column.progress(factor=forecast.fraction, type="BAR", text=f"{100 * forecast.fraction:.0f} %")
    lines = column.column(align=True)
    lines.active = False
    lines.label(text=", ".join(filter(None, (duration(state.seconds), forecast.in_words()))))
    steps = f", {state.done:,} of {state.total:,}" if state.total and not state.finished else ""
    lines.label(text=f"{stage[:1].upper()}{stage[1:]}{steps}")
    # An empty line is drawn too, so that Cancel does not move under the mouse.
    lines.label(text=for_window(state.message) or " ")
    row = column.row()
    row.enabled = not state.cancelling
    row.operator("bgs.cancel_job", icon="CANCEL", text="Cancelling ..." if state.cancelling else "Cancel")


def draw_last_job(column: bpy.types.UILayout, context: Context) -> None:
    """Draw how the last job ended, with its warnings, unless it was about another splat than the active one."""
    if not runner.last.message or not runner.last.belongs_to(splat_of(context)):
        return
    box = column.box()
    icon = "ERROR" if runner.last.failed else "INFO"
    row = box.row()
    text = f"{runner.last.title}: {runner.last.message}"
    wrapped_text(row.column(), text, context, icon=icon, alert=runner.last.failed, beside=ICON_WIDTH)
    row.operator("bgs.dismiss_result", text="", icon="X", emboss=False)
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
    wrapped_text(box, f"{missing} Segment, Render Splats and some file formats need the engine.", context, icon="INFO")
    if not bpy.app.online_access:
        wrapped_text(
            box, "To install it, first tick Preferences > System > Allow Online Access.", context, icon="BLANK1"
        )
    row = box.row(align=True)
    row.operator("bgs.install_engine", icon="IMPORT")
    row.operator("preferences.addon_show", text="", icon="PREFERENCES").module = ADDON


def draw_doctor(column: bpy.types.UILayout, context: Context) -> None:
    """Draw Check Engine, its report, and the better mask models with their buttons."""
    column.operator("bgs.check_engine", icon="CHECKMARK")
    if doctor.shown.lines:
        box = column.box()
        for line in doctor.shown.lines:
            wrapped_text(box, for_window(line), context)
    for model in doctor.shown.models:
        box = column.box()
        wrapped_text(box, for_window(model.words), context, icon="CHECKMARK" if model.here else "IMPORT")
        if not model.here:
            box.operator("bgs.fetch_model", text="Fetch").model = model.name
