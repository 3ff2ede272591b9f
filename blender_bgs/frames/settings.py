# mypy: disable-error-code="valid-type"
"""The settings of Render Splats. Blender saves them with the scene."""

import bpy
from bgs_engine.core.errors import UsageError

from ..cloud.compatibility import BLEND_RELATIVE
from .shot import PASSES, RenderConfig

NOTES = {
    "color": ("Color", "True splat colours with alpha"),
    "label": ("Labels", "The label of each pixel at the shown level, as a number. legend.json lists the numbers"),
    "mask": ("Masks", "One soft mask for each label of the shown level that is not hidden"),
    "depth": ("Depth", "The distance along the viewing axis at which half of the light is absorbed"),
}


class BGS_RenderSettings(bpy.types.PropertyGroup):
    """The settings of Render Splats, `scene.bgs_render`."""

    color: bpy.props.BoolProperty(name=NOTES["color"][0], description=NOTES["color"][1], default=True)
    label: bpy.props.BoolProperty(name=NOTES["label"][0], description=NOTES["label"][1])
    mask: bpy.props.BoolProperty(name=NOTES["mask"][0], description=NOTES["mask"][1])
    depth: bpy.props.BoolProperty(name=NOTES["depth"][0], description=NOTES["depth"][1])
    files: bpy.props.EnumProperty(
        name="Files",
        description="The format of the files",
        items=(
            ("PNG", "PNG", "Write one folder of pictures per pass"),
            ("EXR", "OpenEXR", "Write one multilayer file per frame with linear colours, for compositing"),
        ),
    )
    output: bpy.props.StringProperty(
        name="Output",
        subtype="DIR_PATH",
        default="//splat_frames",
        description="The folder for the frames. // means the folder of the .blend",
        options=BLEND_RELATIVE,
    )

    def config(self, frames: tuple[int, ...]) -> RenderConfig:
        """The configuration for a render of `frames`.

        Raises:
            UsageError: no pass is switched on.
        """
        passes = tuple(name for name in PASSES if getattr(self, name))
        if not passes:
            raise UsageError("No pass is switched on.", "Switch on Color, Labels, Masks or Depth.")
        return RenderConfig(passes=passes, exr=self.files == "EXR", frames=frames)


CLASSES = (BGS_RenderSettings,)


def settings_of(scene: bpy.types.Scene) -> BGS_RenderSettings:
    """The settings of a scene."""
    return scene.bgs_render  # type: ignore[attr-defined]


def add_to_blender() -> None:
    """Add the settings to all scenes."""
    bpy.types.Scene.bgs_render = bpy.props.PointerProperty(type=BGS_RenderSettings)  # type: ignore[attr-defined]


def remove_from_blender() -> None:
    """Remove the settings."""
    del bpy.types.Scene.bgs_render  # type: ignore[attr-defined]
