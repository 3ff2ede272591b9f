# mypy: disable-error-code="valid-type"
"""Render Splats: the button, its settings, its panel, and the same without a window."""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import bpy
from bgs_engine.errors import CancelledError, InputError, UsageError

from . import batch, jobs, segmenting
from .engine import find_engine
from .operator_base import NoUndo, counted
from .render_splats import PASSES, RenderConfig, renderable, start_render, write_shot
from .typed import BLEND_RELATIVE, Context, SplatScene

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


def frame_range(scene: SplatScene) -> tuple[int, ...]:
    """The scene's frames."""
    return tuple(range(scene.frame_start, scene.frame_end + 1, max(1, scene.frame_step)))


class BGS_OT_render_splats(NoUndo, bpy.types.Operator):
    """Render true splat pictures through the scene's camera. The engine runs beside Blender."""

    bl_idname = "bgs.render_splats"
    bl_label = "Render Splats"

    animation: bpy.props.BoolProperty(name="Animation", description="All frames instead of the current one")

    @classmethod
    def why_not(cls, context: Context) -> str:
        if context.scene.camera is None:
            return "The scene has no camera"
        return jobs.busy() or segmenting.engine_missing()

    def work(self, context: Context) -> str:
        jobs.refuse_second()
        if bpy.app.background:
            raise UsageError("This needs a window.", "Without one use: blender --command bgs frames.")
        scene = context.scene
        settings = scene.bgs_render  # type: ignore[attr-defined]
        if settings.output.startswith("//") and not bpy.data.filepath:
            raise UsageError("The output is relative to a file that is not saved.", "Save, or choose a full path.")
        config = settings.config(frame_range(scene) if self.animation else (scene.frame_current,))
        python, out = segmenting.engine_python(), Path(bpy.path.abspath(settings.output))
        folder = Path(tempfile.mkdtemp(prefix="bgs-shot-", dir=bpy.app.tempdir))
        try:
            job = start_render(write_shot(scene, folder, config), out, config, python, jobs.log_path("frames"))
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise

        def said() -> str:
            return f"{counted(len(config.frames), 'frame')} in {out}"

        def tidy() -> None:
            shutil.rmtree(folder, ignore_errors=True)

        jobs.start(jobs.Running("Render Splats", job, lambda _state: None, lambda _nothing: iter(()), said, tidy))
        return "The engine has started"


class BGS_PT_render(bpy.types.Panel):
    """Passes, files, and the two buttons."""

    bl_label = "Render Splats"
    bl_idname = "BGS_PT_render"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "BGS"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return bool(renderable(context.scene))

    def draw(self, context: Context) -> None:
        settings = context.scene.bgs_render  # type: ignore[attr-defined]
        column = self.layout.column()
        row = column.row(align=True)
        for name in PASSES:
            row.prop(settings, name, toggle=True)
        column.row(align=True).prop(settings, "files", expand=True)
        column.prop(settings, "output", text="")
        row = column.row(align=True)
        row.operator("bgs.render_splats", text="Frame", icon="RENDER_STILL").animation = False
        row.operator("bgs.render_splats", text="Animation", icon="RENDER_ANIMATION").animation = True


def add_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    """`blender --command bgs frames SCENE.blend -o FOLDER`."""
    made = add("frames", frames, "true splat pictures through the scene's camera")
    made.add_argument("scene", type=Path, help="a .blend with splats and a camera")
    made.add_argument("-o", "--output", type=Path, required=True, help="folder for the frames")
    made.add_argument("--passes", default="color", help="comma-separated: color, label, mask, depth")
    made.add_argument("--exr", action="store_true", help="one multilayer EXR a frame instead of PNGs")
    made.add_argument("--frames", default="", help="7, or 1-48; without it the scene's range")
    made.add_argument("--level", type=int, help="level of labels and masks; without it the one shown")
    made.add_argument("--engine", default="", help="Python with the engine; default: as the preferences say")


def frames(options: argparse.Namespace) -> None:
    """Do it, and wait for it.

    Raises:
        InputError: no such file.
        UsageError: what `write_shot` says; a range that is none.
    """
    if not options.scene.is_file():
        raise InputError(f"{options.scene} cannot be read: no such file.", "Check the path.")
    bpy.ops.wm.open_mainfile(filepath=str(options.scene.resolve()))
    scene = cast(SplatScene, bpy.context.scene)
    if options.level is not None:
        for obj in renderable(scene):
            (obj.bgs.whole or obj).bgs.level = options.level
    try:
        ends = [int(part) for part in options.frames.split("-")] if options.frames else []
    except ValueError:
        raise UsageError(f"'{options.frames}' is no range of frames.", "Write 7 or 1-48.") from None
    numbers = tuple(range(ends[0], ends[-1] + 1)) if ends else frame_range(scene)
    unknown = [name for name in options.passes.split(",") if name not in PASSES]
    if unknown or not numbers:
        raise UsageError(f"'{options.passes}' of {len(numbers)} frames is nothing to render.", "See --help.")
    config = RenderConfig(passes=tuple(options.passes.split(",")), exr=options.exr, frames=numbers)
    python = find_engine(options.engine, "") if options.engine else segmenting.engine_python()
    with tempfile.TemporaryDirectory(prefix="bgs-shot-") as folder:
        shot = write_shot(scene, Path(folder), config)
        job = start_render(shot, options.output.resolve(), config, python, Path(folder) / "frames.log")
        state = batch.follow(job)
        if state.cancelled:
            raise CancelledError
        if not state.succeeded:
            message, hint = state.error or ("The engine was stopped.", "")
            raise batch.ERRORS.get(state.returncode, InputError)(message, hint)
    batch.say(f"{counted(len(numbers), 'frame')} in {options.output}")


CLASSES = (BGS_RenderSettings, BGS_OT_render_splats, BGS_PT_render)


def add_to_blender() -> None:
    """Hang the settings on scenes."""
    bpy.types.Scene.bgs_render = bpy.props.PointerProperty(type=BGS_RenderSettings)  # type: ignore[attr-defined]


def remove_from_blender() -> None:
    """Take them off again."""
    del bpy.types.Scene.bgs_render  # type: ignore[attr-defined]
