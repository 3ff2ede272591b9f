# mypy: disable-error-code="valid-type"
"""The sidebar (tab BGS). `draw` shows what others computed and computes nothing itself."""

import bpy

from . import drawing, jobs
from .logic.label_tree import list_order
from .properties import BGS_Label, BGS_Splat
from .scene import splat_of
from .typed import Context


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
        if obj.bgs.level_bits:
            column.row(align=True).prop(obj.bgs, "color_mode", expand=True)


class BGS_PT_segment(_Sidebar, bpy.types.Panel):
    """Segment, progress, cancel, errors."""

    bl_label = "Segment"
    bl_idname = "BGS_PT_segment"

    def draw(self, context: Context) -> None:
        column = self.layout.column()
        if jobs.current is not None:
            drawing.job(column, jobs.current)
            return
        big = column.row()
        big.scale_y = 1.5
        big.operator("bgs.segment", text="Segment", icon="MOD_EXPLODE")
        drawing.missing_engine(column, context)
        drawing.last_job(column, context)


class BGS_PT_settings(_Sidebar, bpy.types.Panel):
    """How it is segmented, and the engine."""

    bl_label = "Settings"
    bl_parent_id = "BGS_PT_segment"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        column = self.layout.column()
        settings = context.scene.bgs_settings
        for name in ("level_bits", "iterations", "device", "dataset", "views", "masks_model", "seed", "output"):
            column.prop(settings, name)
        drawing.doctor(column, context)


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
        column.template_list("BGS_UL_labels", "", splat, "labels", splat, "label_index", rows=6)
        active = splat.active_label()
        if active is not None and active.level > 1:
            parent = next((r for r in splat.labels if r.level == active.level - 1 and r.key == active.parent), None)
            column.label(text=f"Part of {parent.name if parent else '?'}", icon="FILE_PARENT")
        row = column.row(align=True)
        row.operator("bgs.pick", text="Pick", icon="EYEDROPPER")
        row.operator("bgs.grow_selection", text="Grow").shrink = False
        row.operator("bgs.grow_selection", text="Shrink").shrink = True
        row = column.row(align=True)
        row.operator("bgs.select_doubtful", text="Doubtful")
        row.operator("bgs.select_none", text="Deselect")
        row.operator("bgs.show_all", text="Show All")
        row.operator("bgs.reassign", text="Reassign")
        if splat.run_folder:
            # Highlighted while the folder lacks what was mended here.
            column.operator("bgs.save_run", text="Save to Run Folder", icon="FILE_TICK", depress=splat.run_changed)


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
                drawing.wrapped(box, text, context, icon="ERROR", alert=True)
                box.operator("bgs.update_collections", icon="FILE_REFRESH")
            column.operator_menu_enum("bgs.make_collections", "only", text="Make Collections", icon="OUTLINER")
            row = column.row(align=True)
            row.operator("bgs.merge_back", text="Merge Back")
            row.operator("bgs.remove_collections", text="Remove")
        column.operator("bgs.export_splat", text="Export", icon="EXPORT")


class BGS_MT_splat(bpy.types.Menu):
    """Everything the sidebar does, where Blender's search (F3) finds it."""

    bl_idname = "BGS_MT_splat"
    bl_label = "Gaussian Splat"

    def draw(self, _context: Context) -> None:
        for number, group in enumerate(MENU):
            if number:
                self.layout.separator()
            for name in group:
                self.layout.operator(name)


MENU = (
    ("bgs.import_splat", "bgs.export_splat", "bgs.render_splats"),
    ("bgs.segment", "bgs.cancel_job", "bgs.copy_details", "bgs.install_engine", "bgs.check_engine"),
    ("bgs.pick", "bgs.select_label", "bgs.grow_selection", "bgs.select_doubtful", "bgs.select_none"),
    ("bgs.isolate_label", "bgs.show_all"),
    ("bgs.reassign", "bgs.save_run"),
    ("bgs.make_collections", "bgs.update_collections", "bgs.merge_back", "bgs.remove_collections"),
)


def _object_menu(self: bpy.types.Menu, _context: Context) -> None:
    self.layout.separator()
    self.layout.menu(BGS_MT_splat.bl_idname, icon="OUTLINER_OB_POINTCLOUD")


def add_menus() -> None:
    """Object > Gaussian Splat."""
    bpy.types.VIEW3D_MT_object.append(_object_menu)  # type: ignore[arg-type]


def remove_menus() -> None:
    """Take it off again."""
    bpy.types.VIEW3D_MT_object.remove(_object_menu)  # type: ignore[arg-type]


CLASSES = (
    BGS_MT_splat,
    BGS_UL_labels,
    BGS_PT_splat,
    BGS_PT_segment,
    BGS_PT_settings,
    BGS_PT_labels,
    BGS_PT_collections,
)
