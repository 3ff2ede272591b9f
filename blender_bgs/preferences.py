# mypy: disable-error-code="valid-type"
"""Where the engine is, and where Install Engine puts it; `preferred` reads it."""

from pathlib import Path

import bpy

from .cloud.typed import Context
from .engine import status
from .engine.preferred import ADDON
from .engine.runner import runner
from .interface.sidebar import wrapped_text


class BGS_Preferences(bpy.types.AddonPreferences):
    """Edit > Preferences > Add-ons > Binary Gaussian Segmentation."""

    bl_idname = ADDON

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
        if runner.current is not None:
            status.draw_job(self.layout.box().column(), runner.current)
            return
        if not bpy.app.online_access:
            wrapped_text(self.layout, "Installing needs System > Allow Online Access.", context, icon="INFO")
        self.layout.operator("bgs.install_engine", icon="IMPORT")
        status.draw_last_job(self.layout, context)
        status.draw_doctor(self.layout, context)


CLASSES = (BGS_Preferences,)
