# mypy: disable-error-code="valid-type"
"""What Render Splats is asked for, saved with the scene."""

import bpy
from bgs_engine.core.errors import UsageError

from ..cloud.compatibility import BLEND_RELATIVE
from .shot import PASSES, RenderConfig

NOTES = {
    "color": ("Color", "True splat colours with alpha"),
    "label": ("Labels", "Each pixel's label of the level shown, as a number; legend.json says which is which"),
    "mask": ("Masks", "One soft mask for each label of the level shown that is not hidden"),
    "depth": ("Depth", "Distance along the viewing axis at which half the light is caught"),
}


class BGS_RenderSettings(bpy.types.PropertyGroup):
    """What Render Splats is asked for; saved with the scene."""

    color: bpy.props.BoolProperty(name=NOTES["color"][0], description=NOTES["color"][1], default=True)
    label: bpy.props.BoolProperty(name=NOTES["label"][0], description=NOTES["label"][1])
    mask: bpy.props.BoolProperty(name=NOTES["mask"][0], description=NOTES["mask"][1])
    depth: bpy.props.BoolProperty(name=NOTES["depth"][0], description=NOTES["depth"][1])
    files: bpy.props.EnumProperty(
        name="Files",
        description="What is written",
        items=(
            ("PNG", "PNG", "A folder of pictures for each pass"),
            ("EXR", "OpenEXR", "One multilayer file a frame, linear, for compositing"),
        ),
    )
    output: bpy.props.StringProperty(
        name="Output",
        subtype="DIR_PATH",
        default="//splat_frames",
        description="Folder for the frames; // is the folder of the .blend",
        options=BLEND_RELATIVE,
    )

    def config(self, frames: tuple[int, ...]) -> RenderConfig:
        """As the engine's arguments.

        Raises:
            UsageError: no pass is chosen.
        """
        passes = tuple(name for name in PASSES if getattr(self, name))
        if not passes:
            raise UsageError("No pass is switched on.", "Switch on Color, Labels, Masks or Depth.")
        return RenderConfig(passes=passes, exr=self.files == "EXR", frames=frames)


CLASSES = (BGS_RenderSettings,)


def settings_of(scene: bpy.types.Scene) -> BGS_RenderSettings:
    """The settings saved with a scene."""
    return scene.bgs_render  # type: ignore[attr-defined]


def add_to_blender() -> None:
    """Hang the settings on scenes."""
    bpy.types.Scene.bgs_render = bpy.props.PointerProperty(type=BGS_RenderSettings)  # type: ignore[attr-defined]


def remove_from_blender() -> None:
    """Take them off again."""
    del bpy.types.Scene.bgs_render  # type: ignore[attr-defined]
