"""The Collections and Export panel."""

import bpy

from ..cloud.active_splat import splat_of
from ..cloud.typed import Context, SplatObject
from ..interface.operator_base import counted
from ..interface.sidebar import SidebarPanel, wrapped_text
from . import trimmed
from .filling import unfilled_labels
from .missing import lacking, missing_objects


class BGS_PT_collections(SidebarPanel, bpy.types.Panel):
    """The buttons for label objects and export."""

    bl_label = "Collections and Export"
    bl_idname = "BGS_PT_collections"

    @classmethod
    def poll(cls, context: Context) -> bool:
        return splat_of(context) is not None

    def draw(self, context: Context) -> None:
        column, obj = self.layout.column(), splat_of(context)
        assert obj is not None  # see `poll`
        splat = obj.bgs
        if splat.level_bits:
            if splat.parts_stale:
                box = column.box()
                text = "Labels changed after the label objects were made."
                wrapped_text(box, text, context, icon="ERROR", alert=True)
                box.operator("bgs.update_collections", icon="FILE_REFRESH")
            missing = len(missing_objects(obj))
            if missing:
                wrapped_text(column, f"{lacking(missing)}. Show All makes them.", context, icon="INFO")
            gone = len(unfilled_labels(obj))
            if gone:
                text = f"{counted(gone, 'label object')} {'was' if gone == 1 else 'were'} deleted."
                wrapped_text(column, text, context, icon="INFO")
                column.operator("bgs.fill", text="Fill What They Hid" if gone > 1 else "Fill What It Hid")
            column.operator_menu_enum("bgs.make_collections", "only", text="Make Collections", icon="OUTLINER")
            row = column.row(align=True)
            row.operator("bgs.merge_back", text="Merge Back")
            row.operator("bgs.remove_collections", text="Remove")
            column.operator("bgs.remove_and_fill")
            column.operator("bgs.clean_objects", text=_clean_text(obj), icon="BRUSH_DATA")
        column.operator_menu_enum("bgs.make_proxy", "use", text="Make Proxy", icon="MESH_ICOSPHERE")
        row = column.row(align=True)
        row.operator("bgs.make_cage", icon="MOD_LATTICE")
        row.operator("bgs.apply_cage")
        row = column.row(align=True)
        row.operator("bgs.export_splat", text="Export", icon="EXPORT")
        row.operator("bgs.export_labels", text="Export Labels")


def _clean_text(whole: SplatObject) -> str:
    """The button says at which strength the objects are cleaned."""
    found = sorted({round(trimmed.strength_of(part), 2) for part in trimmed.cleaned_parts(whole)})
    return (
        f"Clean Objects ({' to '.join(f'{one:.2f}' for one in (found[:1] + found[1:][-1:]))})"
        if found
        else "Clean Objects"
    )


CLASSES = (BGS_PT_collections,)
