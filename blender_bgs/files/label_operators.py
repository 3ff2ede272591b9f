# mypy: disable-error-code="valid-type"
"""Export Labels: one PLY per label in a folder, in the window."""

from pathlib import Path

import bpy
from bgs_engine.core.errors import UsageError

from ..cloud.active_splat import need_splat
from ..cloud.label_selection import need_selected_labels
from ..cloud.typed import Context, Returned
from ..interface.operator_base import NeedsLabels, NoUndo, counted
from .blend_file import refuse_inputs
from .exporter import ExportConfig
from .label_files import write_label_files


class BGS_OT_export_labels(NoUndo, NeedsLabels, bpy.types.Operator):
    """Export the labels of the shown level as files of their own, where their objects are."""

    bl_idname = "bgs.export_labels"
    bl_label = "Export Labels as Files"

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    only: bpy.props.EnumProperty(
        name="Labels",
        items=(
            ("ALL", "All", "All labels of the level"),
            ("SHOWN", "Shown", "The labels whose eye is open"),
            ("SELECTED", "Selected", "The labels selected in the list or in the viewport"),
        ),
    )
    replace: bpy.props.BoolProperty(
        name="Replace Files", description="Replace files that have the names of labels", options={"SKIP_SAVE"}
    )
    plain: bpy.props.BoolProperty(
        name="Plain 62 Floats", description="Use the layout that every viewer reads, without other properties and codes"
    )
    codes: bpy.props.BoolProperty(
        name="Codes", default=True, description="Add the code of every Gaussian as seg_0 to seg_3"
    )

    def invoke(self, context: Context, _event: bpy.types.Event) -> Returned:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def work(self, context: Context) -> str:
        if not self.directory:
            raise UsageError("No folder is given.", "Choose a folder for the files.")
        obj, folder = need_splat(context), Path(bpy.path.abspath(self.directory))
        context.view_layer.update()
        level = obj.bgs.shown_level
        if self.only == "SELECTED":
            chosen = need_selected_labels(obj)
        else:
            rows = [row for row in obj.bgs.labels if row.level == level]
            chosen = [row for row in rows if self.only == "ALL" or not row.hidden]
        if not chosen:
            raise UsageError("No label of this level is shown.", "Open an eye in the list, or choose all labels.")
        source = obj.bgs.source_file

        def check(file: Path) -> None:
            refuse_inputs(file, [] if source is None else [source])
            if file.exists() and not self.replace:
                raise UsageError(f"{file.name} is there already.", "Choose another folder, or tick Replace Files.")

        config = ExportConfig(plain=self.plain, codes=self.codes and not self.plain)
        count, gone = write_label_files(
            obj, folder, config, chosen, level, as_imported=False, check=check,
            needs_all=self.only == "SELECTED", hint="Choose other labels.",
        )  # fmt: skip
        left_out = f". Left out, because their objects were deleted: {', '.join(gone)}" if gone else ""
        return f"{counted(count, 'file')} in {folder}{left_out}"


CLASSES = (BGS_OT_export_labels,)
