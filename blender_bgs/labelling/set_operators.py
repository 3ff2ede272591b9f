# mypy: disable-error-code="valid-type"
"""Named sets of labels and locks: their operators, and the panel of the sets."""

from typing import Any

import bpy
from bgs_engine.core.errors import UsageError

from ..cloud import label_selection, label_sets
from ..cloud.active_splat import need_splat, splat_of
from ..cloud.label_selection import need_selected_labels
from ..cloud.properties import BGS_LabelSet, without_updates
from ..cloud.typed import Context, SplatObject
from ..interface.operator_base import NeedsLabels, counted
from ..interface.sidebar import SidebarPanel, wrapped_text
from .combining import MODES, describe, draw_buttons
from .edit_operators import NeedsSelectedLabels

INDEX = "Row of the list of sets. -1 means the active row"


class NeedsSets(NeedsLabels):
    """Mix-in for operators that work on a named set."""

    index: int

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None or len(obj.bgs.label_sets):
            return reason
        return "There are no sets yet: select labels and press Save as Set"

    def place(self, obj: SplatObject) -> int:
        """The row of the set.

        Raises:
            UsageError: there is no such row.
        """
        index = obj.bgs.set_index if self.index < 0 else self.index
        if not 0 <= index < len(obj.bgs.label_sets):
            raise UsageError("There is no such set.", "Click one in the list of sets.")
        return index


class BGS_OT_save_set(NeedsSelectedLabels, bpy.types.Operator):
    """Save the selected labels of the shown level as a named set. A set of the same name is replaced."""

    bl_idname = "bgs.save_set"
    bl_label = "Save Labels as Set"
    in_edit_mode = True
    name: bpy.props.StringProperty(
        name="Name", description="The name of the set. Leave it empty for an automatic name", options={"SKIP_SAVE"}
    )

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        chosen = need_selected_labels(obj)
        made = label_sets.save(obj, [(row.level, row.label) for row in chosen], self.name.strip())
        return f"{made.name}: {counted(len(chosen), 'label')}"


class BGS_OT_select_set(NeedsSets, bpy.types.Operator):
    """Select the labels of a set, or combine them with the selection."""

    bl_idname = "bgs.select_set"
    bl_label = "Select Set"
    in_edit_mode = True
    index: bpy.props.IntProperty(default=-1, description=INDEX, options={"SKIP_SAVE"})
    mode: bpy.props.EnumProperty(name="Selection", description="What becomes of the selection", items=MODES)

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        return describe(properties, "the labels of this set")

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        one = obj.bgs.label_sets[self.place(obj)]
        keys = label_sets.keys_of(one)
        if not keys:
            raise UsageError(
                f"{one.name} has no labels. {label_sets.lost_note(one)}", "Select labels and save it anew."
            )
        label_selection.combine_labels(obj, keys, self.mode)
        obj.bgs.picked_row = -1
        selected = len(label_selection.selected_labels(obj))
        return f"{one.name}: {counted(selected, 'label')} selected. {label_sets.lost_note(one)}".rstrip()


class BGS_OT_update_set(NeedsSets, NeedsSelectedLabels, bpy.types.Operator):
    """Give this set the labels that are selected now, in place of its own."""

    bl_idname = "bgs.update_set"
    bl_label = "Replace Labels of Set"
    in_edit_mode = True
    index: bpy.props.IntProperty(default=-1, description=INDEX, options={"SKIP_SAVE"})

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        name, chosen = obj.bgs.label_sets[self.place(obj)].name, need_selected_labels(obj)
        label_sets.save(obj, [(row.level, row.label) for row in chosen], name)
        return f"{name}: {counted(len(chosen), 'label')}"


class BGS_OT_delete_set(NeedsSets, bpy.types.Operator):
    """Delete this set. Its labels stay as they are."""

    bl_idname = "bgs.delete_set"
    bl_label = "Delete Set"
    in_edit_mode = True
    index: bpy.props.IntProperty(default=-1, description=INDEX, options={"SKIP_SAVE"})

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        index = self.place(obj)
        name = obj.bgs.label_sets[index].name
        label_sets.delete(obj, index)
        return f"{name} deleted. Its labels stay as they are"


class BGS_OT_lock_labels(NeedsSelectedLabels, bpy.types.Operator):
    """Protect the selected labels, and all that they contain, against edits of labels, or unlock them."""

    bl_idname = "bgs.lock_labels"
    bl_label = "Lock Labels"
    in_edit_mode = True
    unlock: bpy.props.BoolProperty(name="Unlock", description="Allow edits again", options={"SKIP_SAVE"})

    def work(self, context: Context) -> str:
        chosen = need_selected_labels(need_splat(context))
        with without_updates():
            for row in chosen:
                row.locked = not self.unlock
        return f"{counted(len(chosen), 'label')} {'unlocked' if self.unlock else 'locked'}"


class BGS_UL_sets(bpy.types.UIList):
    """The named sets with their numbers of labels."""

    bl_idname = "BGS_UL_sets"

    def draw_item(
        self, _context: Context, layout: bpy.types.UILayout, _data: bpy.types.bpy_struct,
        item: BGS_LabelSet, _icon: int, _active_data: bpy.types.bpy_struct, _active: str, _index: int = 0,
        _flag: int = 0,
    ) -> None:  # fmt: skip
        row = layout.row(align=True)
        row.prop(item, "name", text="", emboss=False, icon="ERROR" if item.lost else "GROUP")
        count = row.row()
        count.alignment = "RIGHT"
        count.label(text=str(len(item.keys.split())))


class BGS_PT_sets(SidebarPanel, bpy.types.Panel):
    """The named sets and the buttons that select them."""

    bl_label = "Sets"
    bl_idname = "BGS_PT_sets"
    bl_parent_id = "BGS_PT_labels"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        obj, column = splat_of(context), self.layout.column()
        if obj is None:
            return
        sets = obj.bgs.label_sets
        if not len(sets):
            column.operator("bgs.save_set", text="Save as Set", icon="ADD")
            return
        row = column.row()
        row.template_list("BGS_UL_sets", "", obj.bgs, "label_sets", obj.bgs, "set_index", rows=3)
        side = row.column(align=True)
        side.operator("bgs.save_set", text="", icon="ADD")
        side.operator("bgs.delete_set", text="", icon="REMOVE")
        side.operator("bgs.update_set", text="", icon="FILE_REFRESH")
        draw_buttons(column, "bgs.select_set")
        if 0 <= obj.bgs.set_index < len(sets) and sets[obj.bgs.set_index].lost:
            wrapped_text(column, label_sets.lost_note(sets[obj.bgs.set_index]), context, icon="INFO")


CLASSES = (
    BGS_OT_save_set,
    BGS_OT_select_set,
    BGS_OT_update_set,
    BGS_OT_delete_set,
    BGS_OT_lock_labels,
    BGS_UL_sets,
    BGS_PT_sets,
)
