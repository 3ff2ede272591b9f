# mypy: disable-error-code="valid-type"
"""The search field above the label list. The list shows what fits at once; the button beside it selects that."""

from typing import Any

import bpy
from bgs_engine.core.errors import UsageError

from ..cloud import label_selection
from ..cloud.active_splat import need_splat
from ..cloud.label_selection import need_selected_labels
from ..cloud.typed import Context
from ..interface.operator_base import NeedsLabels, counted
from ..logic.label_names import copies_of
from .combining import MODES, describe
from .edit_operators import NeedsSelectedLabels


def text_of(context: Context) -> str:
    """What is in the search field."""
    return str(context.window_manager.bgs_search).strip()  # type: ignore[attr-defined]


def draw(layout: bpy.types.UILayout, context: Context) -> None:
    """Draw the field and its buttons: one that names labels, or those that select and search by words."""
    row = layout.row(align=True)
    row.prop(context.window_manager, "bgs_search", text="", icon="VIEWZOOM", placeholder="Search")
    if not text_of(context):
        row.operator("bgs.name_labels", text="", icon="FONT_DATA")
    else:
        button: Any = row.operator("bgs.select_by_name", text="", icon="SELECT_SET")
        button.text = text_of(context)
        button = row.operator("bgs.find_words", text="", icon="OUTLINER_OB_FONT")
        button.text = text_of(context)


class BGS_OT_select_by_name(NeedsLabels, bpy.types.Operator):
    """Select the shown labels of this level whose name has a text in it."""

    bl_idname = "bgs.select_by_name"
    bl_label = "Select Labels by Name"
    in_edit_mode = True
    text: bpy.props.StringProperty(name="Text", description="A part of the name. Capitals do not matter")
    mode: bpy.props.EnumProperty(name="Selection", description="What becomes of the selection", items=MODES)

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        return describe(properties, "the shown labels whose name has this text in it")

    def work(self, context: Context) -> str:
        obj, wanted = need_splat(context), self.text.strip().casefold()
        if not wanted:
            raise UsageError("No text is given.", "Write a part of the name into the search field.")
        level = obj.bgs.shown_level
        rows = [row for row in obj.bgs.labels if row.level == level and not row.hidden]
        found = [row for row in rows if wanted in row.name.casefold()]
        label_selection.combine_labels(obj, [(level, row.label) for row in found], self.mode)
        obj.bgs.picked_row = -1
        named = f"{counted(len(found), 'label')} of level {level} {'has' if len(found) == 1 else 'have'} it in the name"
        return f"{named}, {counted(len(label_selection.selected_labels(obj)), 'label')} selected"


class BGS_OT_select_copies(NeedsSelectedLabels, bpy.types.Operator):
    """Add the shown labels that have the name of a selected one with another number, such as "chair 1" to "chair 6"."""

    bl_idname = "bgs.select_copies"
    bl_label = "Select Copies by Name"
    in_edit_mode = True

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        level, chosen = obj.bgs.shown_level, need_selected_labels(obj)
        rows = [row for row in obj.bgs.labels if row.level == level and not row.hidden]
        wanted = copies_of([row.name for row in chosen], [row.name for row in rows])
        before = {row.label for row in chosen}
        found = [row.label for row in rows if row.name in wanted and row.label not in before]
        label_selection.combine_labels(obj, [(level, label) for label in found], "ADD")
        return f"{counted(len(found), 'label')} added, {counted(len(found) + len(before), 'label')} selected"


CLASSES = (BGS_OT_select_by_name, BGS_OT_select_copies)


def add_to_blender() -> None:
    """Add the field to the window manager, so that no file keeps it."""
    bpy.types.WindowManager.bgs_search = bpy.props.StringProperty(  # type: ignore[attr-defined]
        name="Search",
        description="Shows only labels whose name has this text in it",
        options={"TEXTEDIT_UPDATE", "SKIP_SAVE"},
    )


def remove_from_blender() -> None:
    """Remove it."""
    del bpy.types.WindowManager.bgs_search  # type: ignore[attr-defined]
