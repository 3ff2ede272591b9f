# mypy: disable-error-code="valid-type"
"""The preferences of the extension: where the engine is, and where Install Engine puts it.

`engine.preferred` reads them.
"""

from pathlib import Path

import bpy
import rna_keymap_ui

from .cloud.typed import Context
from .engine import status
from .engine.preferred import ADDON
from .engine.runner import runner
from .interface import pie
from .interface.sidebar import wrapped_text


class BGS_Preferences(bpy.types.AddonPreferences):
    """Edit > Preferences > Add-ons > Binary Gaussian Segmentation."""

    bl_idname = ADDON

    engine_python: bpy.props.StringProperty(
        name="Engine Python",
        subtype="FILE_PATH",
        description="A Python that has the engine, or the folder of its environment. "
        "Leave it empty to use the environment that Install Engine made",
    )
    install_folder: bpy.props.StringProperty(
        name="Install Folder",
        subtype="DIR_PATH",
        default=str(Path.home() / "bgs-engine"),
        description="The folder in which Install Engine makes its environment (about 2 GB, more with CUDA)",
    )
    base_python: bpy.props.StringProperty(
        name="Base Python",
        subtype="FILE_PATH",
        description="The Python that makes the environment, 3.11 or newer. Leave it empty to use Blender's own",
    )
    device: bpy.props.EnumProperty(
        name="Install For",
        items=(
            ("auto", "This Machine", "Installs CUDA packages if this machine has an NVIDIA driver"),
            ("cpu", "CPU", "Installs less and works on every machine"),
            ("cuda", "NVIDIA GPU", "Installs several gigabytes of CUDA packages"),
        ),
    )
    untested: bpy.props.BoolProperty(
        name="Untested Versions",
        description="Install the newest packages, where the tested ones have no build for this machine. "
        "They are not checked against known hashes",
    )

    words_model: bpy.props.StringProperty(
        name="Words Model",
        description="The image-text model that finds labels by words: its folder, or hf:NAME if it was fetched. "
        "If it is empty, words are looked for in the names of labels",
    )
    show_guide: bpy.props.BoolProperty(
        name="First Steps", description="Show the first steps at the top of the sidebar", default=True
    )

    def draw(self, context: Context) -> None:
        self.layout.use_property_split = True
        column = self.layout.column()
        column.prop(self, "engine_python")
        column.separator()
        for name in ("install_folder", "base_python", "device", "untested"):
            column.prop(self, name)
        column.separator()
        column.prop(self, "words_model")
        column.prop(self, "show_guide")
        _draw_keys(self.layout, context)
        if runner.current is not None:
            status.draw_job(self.layout.box().column(), runner.current)
            return
        if not bpy.app.online_access:
            wrapped_text(self.layout, "To install, first tick System > Allow Online Access.", context, icon="INFO")
        self.layout.operator("bgs.install_engine", icon="IMPORT")
        status.draw_last_job(self.layout, context)
        status.draw_doctor(self.layout, context)


def _draw_keys(layout: bpy.types.UILayout, context: Context) -> None:
    """The keys of the extension. They can be changed here, as in Preferences > Keymap."""
    config = context.window_manager.keyconfigs.user
    column = layout.column()
    for keymap, item in pie.added_keys():
        shown = config.keymaps.get(keymap.name)
        found = None if shown is None else next((i for i in shown.keymap_items if i.idname == item.idname), None)
        if shown is not None and found is not None:
            column.label(text=f"{keymap.name}:")
            rna_keymap_ui.draw_kmi([], config, shown, found, column, 0)


CLASSES = (BGS_Preferences,)
