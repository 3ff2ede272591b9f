"""What sidebar and preferences both draw: text that fits, a running job, the engine's state."""

import textwrap
from typing import Any

import bpy

from . import engine_operators, jobs, segmenting
from .typed import Context

WARNINGS = 3  # of a job that are shown; its log has all
LETTER, MARGINS, ICON_WIDTH = 6.6, 62, 20  # pixels at scale 1: a letter of the default font, what is left and right


def wrapped(box: bpy.types.UILayout, text: str, context: Context, *, icon: Any = "NONE", alert: bool = False) -> None:
    """Text on as many lines as the region's width asks for: a label alone would be cut off."""
    room = context.region.width / context.preferences.system.ui_scale - MARGINS - (ICON_WIDTH if icon != "NONE" else 0)
    column = box.column(align=True)
    column.scale_y = 0.8
    column.alert = alert
    for number, line in enumerate(textwrap.wrap(text, max(16, int(room / LETTER)), break_on_hyphens=False)):
        column.label(text=line, icon=icon if number == 0 else "NONE" if icon == "NONE" else "BLANK1")


def job(column: bpy.types.UILayout, running: jobs.Running) -> None:
    """Stage, bar, time, last message, Cancel."""
    state = running.job.progress
    stage = "reading the result" if state.finished else state.stage
    text = f"{state.done} of {state.total}" if state.total else "..."
    column.label(text=f"{running.title}: {stage[:1].lower()}{stage[1:]}", icon="SORTTIME")
    column.progress(factor=state.fraction, type="BAR", text=text)
    left = "" if state.eta is None else f"; stage: {duration(state.eta)} left"
    lines = column.column(align=True)
    lines.active = False
    lines.label(text=f"{duration(state.seconds)}{left}")
    lines.label(text=state.message or " ")  # always there, so that Cancel does not move under the mouse
    row = column.row()
    row.enabled = not state.cancelling
    row.operator("bgs.cancel_job", icon="CANCEL", text="Cancelling ..." if state.cancelling else "Cancel")


def duration(seconds: float) -> str:
    """Minutes and seconds for people."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def last_job(column: bpy.types.UILayout, context: Context) -> None:
    """How the last job ended."""
    if not jobs.last_message:
        return
    box = column.box()
    icon = "ERROR" if jobs.last_failed else "INFO"
    wrapped(box, f"{jobs.last_title}: {jobs.last_message}", context, icon=icon, alert=jobs.last_failed)
    for text in jobs.last_warnings[:WARNINGS]:
        wrapped(box, text, context, icon="ERROR")
    if len(jobs.last_warnings) > WARNINGS:
        box.label(text=f"and {len(jobs.last_warnings) - WARNINGS} more in the log", icon="BLANK1")
    if jobs.last_failed or jobs.last_warnings:
        box.operator("bgs.copy_details", text="Copy Details", icon="COPYDOWN")


def missing_engine(column: bpy.types.UILayout, context: Context) -> None:
    """What to do where nothing can be segmented yet."""
    missing = segmenting.engine_missing()
    if not missing:
        return
    box = column.box()
    wrapped(box, f"{missing} Segmenting needs it; everything else works without.", context, icon="INFO")
    if not bpy.app.online_access:
        wrapped(box, "To install it, first tick Preferences > System > Allow Online Access.", context, icon="BLANK1")
    row = box.row(align=True)
    row.operator("bgs.install_engine", icon="IMPORT")
    row.operator("preferences.addon_show", text="", icon="PREFERENCES").module = __package__


def doctor(column: bpy.types.UILayout, context: Context) -> None:
    """Check Engine and what it found."""
    column.operator("bgs.check_engine", icon="CHECKMARK")
    if engine_operators.doctor_lines:
        box = column.box()
        for line in engine_operators.doctor_lines:
            wrapped(box, line, context)
