# mypy: disable-error-code="valid-type"
"""The operators that make, update, merge, remove and put back label objects."""

import bpy
from mathutils import Matrix

from ..cloud.active_splat import need_splat, selected_parts, splat_of
from ..cloud.label_selection import need_selected_labels
from ..cloud.typed import Context, Returned
from ..interface.operator_base import NeedsLabels, NeedsParts, counted
from . import cleaning, label_objects, merging
from .applied import home_of
from .edited import edited_parts, lost_parts


class BGS_OT_make_collections(NeedsLabels, bpy.types.Operator):
    """Make one object per label of the level, in collections. Existing objects keep their transforms and names."""

    bl_idname = "bgs.make_collections"
    bl_label = "Make Collections"
    only: bpy.props.EnumProperty(
        name="Labels",
        items=(
            ("ALL", "All", "All labels of the level"),
            ("SHOWN", "Shown", "The labels whose eye is open"),
            ("SELECTED", "Selected", "The labels selected in the list or in the viewport"),
        ),
    )

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        return _ask_first(self, context, event)

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        level = obj.bgs.shown_level
        only = None
        if self.only == "SELECTED":
            only = {row.label for row in need_selected_labels(obj)}
        elif self.only == "SHOWN":
            only = {row.label for row in obj.bgs.labels if row.level == level and not row.hidden}
        context.view_layer.update()
        gone = set() if only is None else label_objects.deleted_labels(obj, level) - only
        before = cleaning.cleaned_now(obj)
        made = label_objects.make_tree(context.scene, obj, level, only, gone)
        return f"{counted(len(made), 'object')} at level {level}{cleaning.lost_note(obj, before)}"


def _ask_first(operator: bpy.types.Operator, context: Context, event: bpy.types.Event) -> Returned:
    """Run the operator, but ask the user first if it would overwrite edits."""
    obj = need_splat(context)
    warnings = []
    edited, lost = edited_parts(obj), lost_parts(obj)
    if edited:
        warnings.append(f"Points of {_named(edited)} were edited. Merge Back keeps such edits; this overwrites them.")
    if lost:
        warnings.append(f"You moved {_named(lost)}. This deletes it, because its label is gone.")
    if not warnings:
        return operator.execute(context)
    return context.window_manager.invoke_confirm(
        operator, event, title="Overwrite your edits?", message=" ".join(warnings), confirm_text="Overwrite"
    )


def _named(names: list[str]) -> str:
    return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")


class BGS_OT_update_collections(NeedsParts, bpy.types.Operator):
    """Give the label objects the Gaussians of their labels. Transforms, names and materials stay."""

    bl_idname = "bgs.update_collections"
    bl_label = "Update Collections"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        return reason or ("" if obj and obj.bgs.parts_stale else "The label objects are up to date")

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        return _ask_first(self, context, event)

    def work(self, context: Context) -> str:
        context.view_layer.update()
        obj = need_splat(context)
        before = cleaning.cleaned_now(obj)
        made = label_objects.update_tree(context.scene, obj)
        return f"{counted(len(made), 'object')} up to date{cleaning.lost_note(obj, before)}"


class BGS_OT_remove_collections(NeedsParts, bpy.types.Operator):
    """Delete the label objects and show the whole splat again."""

    bl_idname = "bgs.remove_collections"
    bl_label = "Remove Collections"

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        return _ask_first(self, context, event)

    def work(self, context: Context) -> str:
        return f"{counted(label_objects.remove_tree(need_splat(context)), 'object')} removed"


class BGS_OT_merge_back(NeedsParts, bpy.types.Operator):
    """Merge the label objects into one splat. Transforms and deleted Gaussians are kept."""

    bl_idname = "bgs.merge_back"
    bl_label = "Merge Label Objects Back"

    def work(self, context: Context) -> str:
        context.view_layer.update()
        return f"{merging.merge_back(need_splat(context)):,} Gaussians in one splat"


class BGS_OT_put_back(NeedsParts, bpy.types.Operator):
    """Move the selected label objects back to where the splat has them."""

    bl_idname = "bgs.put_back"
    bl_label = "Put Label Objects Back"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        return "" if selected_parts(context, obj) else "Select the label objects first"

    def work(self, context: Context) -> str:
        context.view_layer.update()
        whole = need_splat(context)
        parts = selected_parts(context, whole)
        for part in parts:
            part.matrix_world = Matrix(home_of(part, whole).tolist())
        return f"{counted(len(parts), 'object')} put back"


CLASSES = (
    BGS_OT_make_collections,
    BGS_OT_update_collections,
    BGS_OT_remove_collections,
    BGS_OT_merge_back,
    BGS_OT_put_back,
)
