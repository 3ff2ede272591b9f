# mypy: disable-error-code="valid-type"
"""The import and export operators, their menu entries, and drag and drop."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import bpy
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import EnvironmentLacksError, UsageError
from bgs_engine.formats.read import PLY, endings, missing_packages
from bgs_engine.formats.write import format_to_write
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ..cloud.active_splat import make_active, need_splat, selected_splats, splat_of
from ..cloud.label_selection import need_selected_labels
from ..cloud.properties import UP_AXES
from ..cloud.scene_frames import frame_range
from ..cloud.typed import Context, Returned, SplatObject
from ..interface.operator_base import NeedsSplat, ReportingOperator
from ..interface.sidebar import wrapped_text
from ..logic.texts import as_text
from . import by_engine, export_choice, export_format, first_view, importer, sequence, sequence_operator
from .exporter import WITHOUT_CODES, ExportConfig, codes_clash, export_splats, export_wholes, lost, shown_instances

# Endings of files alone: `meta.json` is a name, and other programs have JSON files too.
READ = tuple(end for end in endings() if end.startswith("."))
PATTERN = ";".join(f"*{end}" for end in endings())
MENU_TEXT = "Gaussian Splat (.ply and others)"


class BGS_OT_import(ReportingOperator, bpy.types.Operator, ImportHelper):
    """Import a Gaussian splat from a splat file of any format or a run folder."""

    bl_idname = "bgs.import_splat"
    bl_label = "Import Gaussian Splat"

    filename_ext = ".ply"
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default=PATTERN, options={"HIDDEN"}, maxlen=1024)
    up_axis: bpy.props.EnumProperty(
        name="Up", description="Which axis of the file points up", items=UP_AXES, default="NEG_Y"
    )
    level_bits: bpy.props.StringProperty(
        name="Level Bits",
        default="12,10,10",
        description="The bits of each level, coarse to fine, for a splat with codes but without names",
    )
    captured_colors: bpy.props.BoolProperty(
        name="Colors as Captured",
        default=True,
        description="Set the scene's view transform to Standard if it is AgX or Filmic",
    )
    hide_obstacles: bpy.props.BoolProperty(
        name="Hide Obstacles",
        description="Hide solid objects that reach into the splat, for example the default cube. "
        "The panel Gaussian Splat shows them again",
    )

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        if self.filepath:  # a dropped file needs no file browser
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def work(self, context: Context) -> str:
        if not self.filepath:
            raise UsageError("No file is given.", "Choose the file that your splat trainer exported.")
        config = importer.ImportConfig(
            up_axis=self.up_axis,
            level_bits=BitLayout.parse(self.level_bits).level_bits,
            captured_colors=self.captured_colors,
        )
        path = Path(bpy.path.abspath(self.filepath))
        warn = lambda text: self.report({"WARNING"}, as_text(text))  # noqa: E731
        try:
            return import_into(context, path, config, warn, self.hide_obstacles)
        except EnvironmentLacksError:
            pass
        made, remove = by_engine.temporary_file("scene.ply")
        hide = self.hide_obstacles  # the operator is gone when the engine has ended

        def finish() -> str:
            notes: list[str] = []
            said = import_into(cast(Context, bpy.context), made, config, notes.append, hide, path)
            return ". ".join([said, *notes])

        return by_engine.convert(f"Import {path.name}", path, made, finish, remove, True)


def import_into(
    context: Context, path: Path, config: importer.ImportConfig, warn: Callable[[str], None], hide_obstacles: bool,
    origin: Path | None = None,
) -> str:  # fmt: skip
    """Import a splat into the active collection and make it active. Returns a sentence. See `importer.import_splat`.

    Raises:
        As `importer.import_splat`. Nothing is imported then.
    """
    into = context.collection  # the active one, as all of Blender's importers do
    if into is None or into.library is not None or context.view_layer.active_layer_collection.exclude:
        into = context.scene.collection
    obj = importer.import_splat(context.scene, path, config, warn, into, origin)
    make_active(context, obj)
    others = first_view.obstacles(context, obj)
    first_view.remember(obj, others)
    if hide_obstacles:
        first_view.set_hidden(others, True)
    if context.screen is not None and not bpy.app.background:
        first_view.frame(context.screen, obj)
    offset = obj.bgs.ply_layout.offset
    where = f". (0, 0, 0) of the object is {offset} in the file" if any(offset) else ""
    return f"{len(obj.data.points):,} Gaussians imported{where}"


class BGS_OT_hide_obstacles(NeedsSplat, bpy.types.Operator):
    """Hide the objects that reach into the splat, in the view and in renders. Show Again brings them back."""

    bl_idname = "bgs.hide_obstacles"
    bl_label = "Hide Obstacles"
    show: bpy.props.BoolProperty(name="Show Again", options={"SKIP_SAVE"})
    forget: bpy.props.BoolProperty(name="Keep as It Is", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        if properties.forget:
            return "Close this message, and leave the objects as they are"
        return "Show these objects again" if properties.show else cls.__doc__ or ""

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        obj = splat_of(context)
        reason = super().disabled_reason(context)
        return reason or ("" if obj and obj.bgs.obstacles else "Nothing stood in this splat when it was imported")

    def work(self, context: Context) -> str | None:
        obj = need_splat(context)
        others = first_view.noted(context, obj)
        if self.forget or not others:
            obj.bgs.obstacles.clear()
            return None
        first_view.set_hidden(others, not self.show)
        names = ", ".join(other.name for other in others)
        return f"Shown again: {names}" if self.show else f"Hidden: {names}. Show Again brings it back"


class BGS_FH_ply(bpy.types.FileHandler):
    """Lets users drop a splat on the 3D view or the outliner."""

    bl_idname = "BGS_FH_ply"
    bl_label = "Gaussian Splat"
    bl_import_operator = BGS_OT_import.bl_idname
    bl_file_extensions = ";".join(READ)

    @classmethod
    def poll_drop(cls, context: Context) -> bool:
        return context.area is not None and context.area.type in ("VIEW_3D", "OUTLINER")


class BGS_OT_export(NeedsSplat, bpy.types.Operator, ExportHelper):
    """Export splats as PLY, in the layout of the source file or as plain 62 floats, or in another format."""

    bl_idname = "bgs.export_splat"
    bl_label = "Export Gaussian Splat"
    in_edit_mode = True

    filename_ext = ".ply"
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(default=export_format.PATTERN, options={"HIDDEN"}, maxlen=1024)
    # Not kept for the next time: the last choice is wrong as soon as something else is selected.
    what: bpy.props.EnumProperty(name="What", items=export_choice.CHOICES, options={"SKIP_SAVE"})
    format: bpy.props.EnumProperty(
        name="Format", items=export_format.ITEMS, description="The kind of file. Its ending follows", default="PLY"
    )
    shown_format: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})  # the one that the ending follows
    frames: bpy.props.EnumProperty(name="Frames", items=sequence.CHOICES, options={"SKIP_SAVE"})
    replace: bpy.props.BoolProperty(
        name="Replace Files", description="Replace files that have the names of frames", options={"SKIP_SAVE"}
    )
    plain: bpy.props.BoolProperty(
        name="Plain 62 Floats", description="Use the layout that every viewer reads, without other properties and codes"
    )
    codes: bpy.props.BoolProperty(
        name="Labels",
        default=True,
        description="Add the labels: in the file, or in a labels file beside it. A PLY "
        "gets the code of every Gaussian as seg_0 to seg_3",
    )

    in_dialog = False  # whether the user has chosen in the file browser
    last_file: ClassVar[str] = ""

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        whole = splat_of(context)
        self.in_dialog = not bpy.app.background
        if whole is not None:
            if not self.properties.is_property_set("what"):
                self.what = export_choice.likely(context, whole)
            if not self.filepath:
                folder = export_choice.folder_of(self.last_file)
                path = str(folder / export_choice.file_name(context, whole, self.what))
                self.filepath = export_format.with_ending(path, export_format.named(self.format))
        self.shown_format = self.format
        return super().invoke(context, event)

    def check(self, _context: Context) -> bool:
        """Let the ending follow the format if that was changed, else the format the ending."""
        before = self.filepath, self.format
        typed = export_format.format_at(self.filepath)
        if self.format != self.shown_format or typed is None:
            self.filepath = export_format.with_ending(self.filepath, export_format.named(self.format))
        else:
            self.format = typed.name
        self.shown_format = self.format
        return before != (self.filepath, self.format)

    def draw(self, context: Context) -> None:
        column, one = self.layout.column(), export_format.named(self.format)
        several = self.frames == "RANGE"
        names = ("what", "format", "codes", *(("plain",) if one is PLY else ()), "frames")
        for name in (*names, *(("replace",) if several else ())):
            column.prop(self, name)
        if several:
            column.label(text=f"{len(frame_range(context.scene)):,} files")
        whole = splat_of(context)
        if whole is not None:
            column.label(text=f"{export_choice.gaussians(context, whole, self.what):,} Gaussians")
        if one is not PLY:
            wrapped_text(column, one.loses, context, icon="INFO")
        if missing_packages(one):
            wrapped_text(column, "The engine writes this format.", context, icon="INFO")

    def work(self, context: Context) -> str | None:
        if not self.filepath:
            raise UsageError("No file is given.", "Choose where to write the file.")
        BGS_OT_export.last_file = self.filepath
        whole, path = need_splat(context), Path(bpy.path.abspath(self.filepath))
        context.view_layer.update()
        one = format_to_write(path, here=False)
        plain = self.plain and one is PLY
        config = ExportConfig(plain=plain, codes=self.codes and not plain)
        what = self.what  # the operator is gone when the later frames of a sequence are written
        write = lambda file, names: _write(context, whole, what, file, replace(config, names=names)) + lost(one)  # noqa: E731
        if self.frames == "RANGE":
            sequence.refuse(path, one, what)
            inputs = [] if whole.bgs.source_file is None else [whole.bgs.source_file]
            numbers = sequence.frames_to_write(context.scene)
            sequence.check_files(path, numbers, inputs, self.replace)
            steps = sequence.write_sequence(context.scene, numbers, path, lambda file: write(file, False))
            said = sequence.said(path, numbers)
            return sequence_operator.run(steps, len(numbers), said, self.in_dialog)
        return by_engine.export(path, write)


def _write(context: Context, whole: SplatObject, what: str, path: Path, config: ExportConfig) -> str:
    """Write what was chosen, `what` of `export_choice.CHOICES`. Returns a sentence."""
    objects = selected_splats(context) if what == "SELECTED" else [whole]
    if what == "SELECTED":
        copies = [one for one in shown_instances() if one.parent.select_get()]
        count = export_splats(objects, path, config, copies)
        objects += [one.obj for one in copies]
    elif what == "LABEL":
        only = frozenset((label.level, label.label) for label in need_selected_labels(whole))
        count = export_wholes([whole], path, replace(config, only=only))
    elif what == "SHOWN":
        count = export_wholes([whole], path, replace(config, only=export_choice.shown_keys(whole)))
    else:
        count = export_wholes([whole], path, config, as_imported=what == "SOURCE")
    left_out = config.codes and codes_clash(objects)
    rounded = config.plain and any(any(obj.bgs.ply_layout.offset) for obj in objects)
    notes = [WITHOUT_CODES] if left_out else []
    notes += [". Positions are rounded: the plain layout has 32-bit numbers"] if rounded else []
    return f"{count:,} Gaussians exported{''.join(notes)}"


def _import_menu(self: Any, _context: Any) -> None:
    self.layout.operator(BGS_OT_import.bl_idname, text=MENU_TEXT)


def _export_menu(self: Any, _context: Any) -> None:
    self.layout.operator(BGS_OT_export.bl_idname, text=MENU_TEXT)


CLASSES = (BGS_OT_import, BGS_OT_hide_obstacles, BGS_FH_ply, BGS_OT_export)


def add_menus() -> None:
    """Add the entries in File > Import and File > Export."""
    bpy.types.TOPBAR_MT_file_import.append(_import_menu)  # type: ignore[arg-type]
    bpy.types.TOPBAR_MT_file_export.append(_export_menu)  # type: ignore[arg-type]


def remove_menus() -> None:
    """Remove the entries."""
    bpy.types.TOPBAR_MT_file_import.remove(_import_menu)  # type: ignore[arg-type]
    bpy.types.TOPBAR_MT_file_export.remove(_export_menu)  # type: ignore[arg-type]
