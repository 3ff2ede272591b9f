# mypy: disable-error-code="valid-type"
"""The Labels panel with the level slider, the label list and the selection buttons."""

from typing import Any

import bpy

from ..cloud.active_splat import splat_of
from ..cloud.label_selection import selected_labels
from ..cloud.properties import BGS_Label, BGS_Splat
from ..cloud.typed import Context
from ..interface.sidebar import SidebarPanel
from ..logic.label_tree import list_order
from . import search
from .operators import list_orders


class BGS_UL_labels(bpy.types.UIList):
    """The labels of the shown level. Each row has a select button, colour, name, count, lock, isolate and eye.

    Blender's lists select one row only. The select button of each row therefore reads Shift and Ctrl.
    """

    bl_idname = "BGS_UL_labels"

    by_name: bpy.props.BoolProperty(name="By Name", description="Sort by name instead of size")

    def draw_item(
        self, _context: Context, layout: bpy.types.UILayout, data: bpy.types.bpy_struct,
        item: BGS_Label, _icon: int, _active_data: bpy.types.bpy_struct, _active: str, index: int = 0,
        _flag: int = 0,
    ) -> None:  # fmt: skip
        row = layout.row(align=True)
        icon: Any = "RADIOBUT_ON" if item.selected else "DOT" if item.partly else "RADIOBUT_OFF"
        row.operator("bgs.select_label", text="", icon=icon, emboss=False).index = index
        swatch = row.row()
        swatch.ui_units_x = 0.9
        swatch.prop(item, "color", text="")
        row.prop(item, "name", text="", emboss=False)
        count = row.row()
        count.alignment = "RIGHT"
        count.label(text=_short_count(item.seen))
        row.prop(item, "locked", text="", icon="LOCKED" if item.locked else "UNLOCKED", emboss=False)
        row.operator("bgs.isolate_label", text="", icon="ZOOM_SELECTED", emboss=False).index = index
        row.prop(item, "hidden", text="", icon="HIDE_ON" if item.hidden else "HIDE_OFF", emboss=False)

    def draw_filter(self, _context: Context, layout: bpy.types.UILayout) -> None:
        row = layout.row(align=True)
        row.prop(self, "filter_name", text="", icon="VIEWZOOM")
        row.prop(self, "by_name", text="", icon="SORTALPHA", toggle=True)

    def filter_items(self, context: Context, data: BGS_Splat, prop: str) -> tuple[list[int], list[int]]:
        rows = [(r.level, r.name, r.count) for r in getattr(data, prop)]
        needles = (self.filter_name, search.text_of(context))
        shown, order = list_order(rows, data.shown_level, needles, self.by_name)
        ranked = sorted((position, row) for row, position in enumerate(order) if shown[row])
        list_orders[data.id_data.session_uid] = [row for _, row in ranked]
        return [self.bitflag_filter_item if s else 0 for s in shown], order


def _short_count(count: int) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count)


class BGS_PT_labels(SidebarPanel, bpy.types.Panel):
    """The level slider, the label list and the selection buttons."""

    bl_label = "Labels"
    bl_idname = "BGS_PT_labels"

    @classmethod
    def poll(cls, context: Context) -> bool:
        obj = splat_of(context)
        return obj is not None and bool(obj.bgs.level_bits)

    def draw(self, context: Context) -> None:
        obj = splat_of(context)
        assert obj is not None  # see `poll`
        splat = obj.bgs
        column = self.layout.column()
        column.prop(splat, "level", slider=True)
        search.draw(column, context)
        column.template_list("BGS_UL_labels", "", splat, "labels", splat, "label_index", rows=6)
        active, below = splat.active_label(), column.row()
        if active is not None and active.level > 1:
            parent = next((r for r in splat.labels if r.level == active.level - 1 and r.key == active.parent), None)
            below.label(text=f"Part of {parent.name if parent else '?'}", icon="FILE_PARENT")
        number = below.row()
        number.alignment = "RIGHT"
        number.label(text=f"{len(selected_labels(obj)):,} selected")
        row = column.row(align=True)
        row.operator("bgs.pick", text="Pick", icon="EYEDROPPER")
        row.operator("bgs.grow_selection", text="Grow").shrink = False
        row.operator("bgs.grow_selection", text="Shrink").shrink = True
        row = column.row(align=True)
        row.operator("bgs.select_touching", text="Touching")
        row.operator("bgs.select_similar", text="Similar")
        row = column.row(align=True)
        row.operator("bgs.select_low_confidence", text="Low Confidence")
        row.operator("bgs.select_none", text="Deselect")
        row = column.row(align=True)
        row.operator("bgs.isolate_label", text="Isolate")
        row.operator("bgs.show_all", text="Show All")
        row = column.row(align=True)
        row.operator("bgs.join_labels", text="Join").make_object = False
        row.operator("bgs.join_labels", text="One Object").make_object = True
        row = column.row(align=True)
        row.operator("bgs.split_label", text="Split")
        row.operator("bgs.reassign", text="Reassign")
        row.operator("bgs.move_to_parent", text="Parent")
        row = column.row(align=True)
        row.operator("bgs.find_crumbs", text="Find Crumbs")
        row.operator("bgs.accept_crumbs", text="Accept")
        if splat.run_folder:
            # The button is highlighted while the folder lacks changes of the labels.
            column.operator("bgs.save_run", text="Save to Run Folder", icon="FILE_TICK", depress=splat.run_changed)


CLASSES = (BGS_UL_labels, BGS_PT_labels)
