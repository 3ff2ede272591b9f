# mypy: disable-error-code="valid-type"
"""Where the engine is, and where Install Engine puts it."""

import sys
from pathlib import Path

import bpy

from .typed import Context


class BGS_Preferences(bpy.types.AddonPreferences):
    """Edit > Preferences > Add-ons > Binary Gaussian Segmentation."""

    bl_idname = __package__

    engine_python: bpy.props.StringProperty(
        name="Engine Python",
        subtype="FILE_PATH",
        description="A Python with the engine, or its environment's folder. Empty: what Install Engine made",
    )
    install_folder: bpy.props.StringProperty(
        name="Install Folder",
        subtype="DIR_PATH",
        default=str(Path.home() / "bgs-engine"),
        description="Where Install Engine makes its environment (about 2 GB, more with CUDA)",
    )
    base_python: bpy.props.StringProperty(
        name="Base Python",
        subtype="FILE_PATH",
        description="The Python to make the environment from, 3.11 or newer. Empty: Blender's own",
    )
    device: bpy.props.EnumProperty(
        name="Install For",
        items=(
            ("auto", "This Machine", "CUDA packages where an NVIDIA driver is found"),
            ("cpu", "CPU", "Smaller; works everywhere"),
            ("cuda", "NVIDIA GPU", "Several gigabytes"),
        ),
    )

    def draw(self, context: Context) -> None:
        from . import drawing, jobs  # they need to know the preferences first

        self.layout.use_property_split = True
        column = self.layout.column()
        column.prop(self, "engine_python")
        column.separator()
        for name in ("install_folder", "base_python", "device"):
            column.prop(self, name)
        if jobs.current is not None:
            drawing.job(self.layout.box().column(), jobs.current)
            return
        if not bpy.app.online_access:
            drawing.wrapped(self.layout, "Installing needs System > Allow Online Access.", context, icon="INFO")
        self.layout.operator("bgs.install_engine", icon="IMPORT")
        drawing.last_job(self.layout, context)
        drawing.doctor(self.layout, context)


class Defaults:
    """Stands in where the package runs without being an enabled extension (the bpy wheel)."""

    engine_python = ""
    install_folder = ""
    base_python = ""
    device = "auto"


def preferences() -> "BGS_Preferences | Defaults":
    """The user's preferences, or the defaults."""
    addon = bpy.context.preferences.addons.get(__package__)
    return addon.preferences if addon is not None and addon.preferences is not None else Defaults()


def base_python() -> str:
    """The Python that an engine environment is made from."""
    return preferences().base_python or sys.executable


CLASSES = (BGS_Preferences,)
