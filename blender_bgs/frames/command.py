"""`blender --command bgs frames`: Render Splats without a window."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import bpy
from bgs_engine.core.errors import InputError, UsageError

from ..cloud.typed import SplatScene
from ..engine import segmenting
from ..engine.blocking import finish, say
from ..engine.locate import find_engine
from ..interface.operator_base import counted
from .shot import PASSES, RenderConfig, frame_range, renderable, start_render, write_shot


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
        finish(job)
    say(f"{counted(len(numbers), 'frame')} in {options.output}")
