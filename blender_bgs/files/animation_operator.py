# mypy: disable-error-code="valid-type"
"""Export of animated splats as one GLB, in the menu File > Export."""

from pathlib import Path
from typing import Any

import bpy
from bgs_engine.core.errors import UsageError
from bpy_extras.io_utils import ExportHelper

from ..cloud.active_splat import need_splat, selected_splats
from ..cloud.scene_frames import frame_range
from ..cloud.typed import Context, Returned
from ..interface.operator_base import NeedsSplat, counted
from . import animation, export_choice, sequence, sequence_operator


class BGS_OT_export_animation(NeedsSplat, bpy.types.Operator, ExportHelper):
    """Export the animation of splats and label objects as one GLB, with a node for each of them."""

    bl_idname = "bgs.export_animation"
    bl_label = "Export Splat Animation"
    in_edit_mode = True

    filename_ext = ".glb"
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default="*.glb", options={"HIDDEN"})
    what: bpy.props.EnumProperty(
        name="What",
        items=[choice for choice in export_choice.CHOICES if choice[0] in ("WHOLE", "SELECTED")],
        default="WHOLE",
        options={"SKIP_SAVE"},
    )

    in_dialog = False  # whether the user has chosen in the file browser

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        self.in_dialog = not bpy.app.background
        if not self.filepath:
            name = Path(export_choice.file_name(context, need_splat(context), self.what)).with_suffix(".glb")
            self.filepath = str(export_choice.folder_of("") / name)
        return super().invoke(context, event)

    def draw(self, context: Context) -> None:
        column = self.layout.column()
        column.prop(self, "what")
        column.label(text=counted(len(frame_range(context.scene)), "frame"))

    def work(self, context: Context) -> str | None:
        if not self.filepath:
            raise UsageError("No file is given.", "Choose where to write the GLB.")
        path, whole = Path(bpy.path.abspath(self.filepath)), need_splat(context)
        context.view_layer.update()
        chosen = selected_splats(context) if self.what == "SELECTED" else None
        if chosen is not None and not chosen:
            raise UsageError("No splat is selected.", "Select the splat objects to export.")
        numbers = sequence.frames_to_write(context.scene)
        steps = animation.write_animated(context.scene, numbers, path, animation.pieces_for([whole], chosen))
        said = f"{counted(len(numbers), 'frame')} in {path.name}"
        return sequence_operator.run(steps, len(numbers), said, self.in_dialog)


def _export_menu(self: Any, _context: Any) -> None:
    self.layout.operator(BGS_OT_export_animation.bl_idname, text="Gaussian Splat Animation (.glb)")


CLASSES = (BGS_OT_export_animation,)


def add_menus() -> None:
    """Add the entry in File > Export."""
    bpy.types.TOPBAR_MT_file_export.append(_export_menu)  # type: ignore[arg-type]


def remove_menus() -> None:
    """Remove the entry."""
    bpy.types.TOPBAR_MT_file_export.remove(_export_menu)  # type: ignore[arg-type]
