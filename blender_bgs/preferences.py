# mypy: disable-error-code="valid-type"
"""Where the engine is, and where Install Engine puts it; `preferred` reads it."""

from pathlib import Path

import bpy

from . import drawing, jobs
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


CLASSES = (BGS_Preferences,)
