# mypy: disable-error-code="valid-type"
"""The sidebar (tab BGS). `draw` shows what others computed and computes nothing itself."""

import textwrap
from typing import Any

import bpy

from . import engine_operators, jobs, segmenting
from .logic.label_tree import list_order
from .properties import BGS_Label, BGS_Splat
from .scene import splat_of
from .typed import Context

LETTER, MARGINS, ICON_WIDTH = 6.6, 62, 20  # pixels at scale 1: a letter of the default font, what is left and right


class _Sidebar:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "BGS"


class BGS_UL_labels(bpy.types.UIList):
    """Labels of the level shown: colour, name, parent, count, isolate, select, eye."""

    bl_idname = "BGS_UL_labels"

    by_name: bpy.props.BoolProperty(name="By Name", description="Sort by name instead of size")

    def draw_item(
        self, _context: Context, layout: bpy.types.UILayout, data: bpy.types.bpy_struct,
        item: BGS_Label, _icon: int, _active_data: bpy.types.bpy_struct, _active: str, index: int = 0,
        _flag: int = 0,
    ) -> None:  # fmt: skip
        row = layout.row(align=True)
        swatch = row.row()
        swatch.ui_units_x = 0.9
        swatch.prop(item, "color", text="")
        row.prop(item, "name", text="", emboss=False)
        count = row.row()
        count.alignment = "RIGHT"
        count.label(text=_short_count(item.count))
        row.operator("bgs.isolate_label", text="", icon="ZOOM_SELECTED", emboss=False).index = index
        row.operator("bgs.select_label", text="", icon="RESTRICT_SELECT_OFF", emboss=False).index = index
        row.prop(item, "hidden", text="", icon="HIDE_ON" if item.hidden else "HIDE_OFF", emboss=False)

    def draw_filter(self, _context: Context, layout: bpy.types.UILayout) -> None:
        row = layout.row(align=True)
        row.prop(self, "filter_name", text="", icon="VIEWZOOM")
        row.prop(self, "by_name", text="", icon="SORTALPHA", toggle=True)

    def filter_items(self, _context: Context, data: BGS_Splat, prop: str) -> tuple[list[int], list[int]]:
        rows = [(r.level, r.name, r.count) for r in getattr(data, prop)]
        shown, order = list_order(rows, data.shown_level, self.filter_name, self.by_name)
        return [self.bitflag_filter_item if s else 0 for s in shown], order


def _short_count(count: int) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count)


class BGS_PT_splat(_Sidebar, bpy.types.Panel):
    """Which splat."""

    bl_label = "Gaussian Splat"
    bl_idname = "BGS_PT_splat"

    def draw(self, context: Context) -> None:
        obj = splat_of(context)
        column = self.layout.column()
        if obj is None:
            column.label(text="Drop a splat .ply into the view,", icon="INFO")
            column.label(text="or select one that is here.", icon="BLANK1")
            column.operator("bgs.import_splat", text="Import Splat", icon="IMPORT")
            return
        column.label(text=obj.name, icon="OUTLINER_OB_POINTCLOUD")
        column.label(text=f"{len(obj.data.points):,} Gaussians")
        column.prop(obj.bgs, "up_axis")
        column.row(align=True).prop(obj.bgs, "color_mode", expand=True)


class BGS_PT_segment(_Sidebar, bpy.types.Panel):
    """Segment, progress, cancel, errors."""

    bl_label = "Segment"
    bl_idname = "BGS_PT_segment"

    def draw(self, context: Context) -> None:
        column = self.layout.column()
        if jobs.current is not None:
            _draw_job(column, jobs.current)
            return
        big = column.row()
        big.scale_y = 1.5
        big.operator("bgs.segment", text="Segment", icon="MOD_EXPLODE")
        missing = segmenting.engine_missing()
        if missing:
            box = column.box()
            _wrapped(box, f"{missing} Segmenting needs it; everything else works without.", context, icon="INFO")
            _engine_buttons(box)
        if jobs.last_message:
            box = column.box()
            icon = "ERROR" if jobs.last_failed else "INFO"
            _wrapped(box, f"{jobs.last_title}: {jobs.last_message}", context, icon=icon, alert=jobs.last_failed)
            if jobs.last_failed:
                box.operator("bgs.copy_details", text="Copy Details", icon="COPYDOWN")


def _engine_buttons(box: bpy.types.UILayout) -> None:
    row = box.row(align=True)
    row.operator("bgs.install_engine", icon="IMPORT")
    row.operator("preferences.addon_show", text="", icon="PREFERENCES").module = __package__


def _draw_job(column: bpy.types.UILayout, running: jobs.Running) -> None:
    state = running.job.progress
    stage = "reading the result" if state.finished else state.stage
    text = f"{state.done} of {state.total}" if state.total else "..."
    column.label(text=f"{running.title}: {stage[:1].lower()}{stage[1:]}", icon="SORTTIME")
    column.progress(factor=state.fraction, type="BAR", text=text)
    left = "" if state.eta is None else f", about {_duration(state.eta)} left in this stage"
    lines = column.column(align=True)
    lines.active = False
    lines.label(text=f"{_duration(state.seconds)}{left}")
    lines.label(text=state.message or " ")  # always there, so that Cancel does not move under the mouse
    row = column.row()
    row.enabled = not state.cancelling
    row.operator("bgs.cancel_job", icon="CANCEL", text="Cancelling ..." if state.cancelling else "Cancel")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _wrapped(box: bpy.types.UILayout, text: str, context: Context, *, icon: Any = "NONE", alert: bool = False) -> None:
    """Text on as many lines as the sidebar's width asks for: a label alone would be cut off."""
    room = context.region.width / context.preferences.system.ui_scale - MARGINS - (ICON_WIDTH if icon != "NONE" else 0)
    column = box.column(align=True)
    column.scale_y = 0.8
    column.alert = alert
    for number, line in enumerate(textwrap.wrap(text, max(16, int(room / LETTER)), break_on_hyphens=False)):
        column.label(text=line, icon=icon if number == 0 else "NONE" if icon == "NONE" else "BLANK1")


class BGS_PT_settings(_Sidebar, bpy.types.Panel):
    """How it is segmented, and the engine."""

    bl_label = "Settings"
    bl_parent_id = "BGS_PT_segment"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        column = self.layout.column()
        settings = context.scene.bgs_settings
        for name in ("level_bits", "iterations", "device", "dataset", "masks_model", "seed", "output"):
            column.prop(settings, name)
        column.operator("bgs.check_engine", icon="CHECKMARK")
        if engine_operators.doctor_lines:
            box = column.box()
            for line in engine_operators.doctor_lines:
                _wrapped(box, line, context)
        _engine_buttons(column)


class BGS_PT_labels(_Sidebar, bpy.types.Panel):
    """Level slider, label list, selection."""

    bl_label = "Labels"
    bl_idname = "BGS_PT_labels"

    @classmethod
    def poll(cls, context: Context) -> bool:
        obj = splat_of(context)
        return obj is not None and bool(obj.bgs.level_bits)

    def draw(self, context: Context) -> None:
        obj = splat_of(context)
        splat = obj.bgs
        column = self.layout.column()
        column.prop(splat, "level", slider=True)
        column.template_list("BGS_UL_labels", "", splat, "labels", splat, "label_index", rows=8)
        active = splat.active_label()
        if active is not None and active.level > 1:
            parent = next((r for r in splat.labels if r.level == active.level - 1 and r.key == active.parent), None)
            column.label(text=f"Part of {parent.name if parent else '?'}", icon="FILE_PARENT")
        row = column.row(align=True)
        row.operator("bgs.pick", text="Pick", icon="EYEDROPPER")
        row.operator("bgs.grow_selection", text="Grow").shrink = False
        row.operator("bgs.grow_selection", text="Shrink").shrink = True
        row = column.row(align=True)
        row.operator("bgs.select_none", text="Deselect")
        row.operator("bgs.show_all", text="Show All")
        row.operator("bgs.reassign", text="Reassign")
        if splat.run_folder:
            row = column.row()
            row.alert = splat.run_changed
            row.operator("bgs.save_run", text="Save to Run Folder", icon="FILE_TICK")


class BGS_PT_collections(_Sidebar, bpy.types.Panel):
    """Labels as objects, and files."""

    bl_label = "Collections and Export"
    bl_idname = "BGS_PT_collections"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return splat_of(context) is not None

    def draw(self, context: Context) -> None:
        column = self.layout.column()
        if splat_of(context).bgs.level_bits:
            splat = splat_of(context).bgs
            if splat.parts_stale:
                box = column.box()
                text = "Labels have changed since these objects were made."
                _wrapped(box, text, context, icon="ERROR", alert=True)
                box.operator("bgs.update_collections", icon="FILE_REFRESH")
            column.operator_menu_enum("bgs.make_collections", "only", text="Make Collections", icon="OUTLINER")
            row = column.row(align=True)
            row.operator("bgs.merge_back", text="Merge Back")
            row.operator("bgs.remove_collections", text="Remove")
        column.operator("bgs.export_splat", text="Export", icon="EXPORT")


CLASSES = (
    BGS_UL_labels,
    BGS_PT_splat,
    BGS_PT_segment,
    BGS_PT_settings,
    BGS_PT_labels,
    BGS_PT_collections,
)
