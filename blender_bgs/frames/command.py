"""The command `bgs frames`: Render Splats without a window."""

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
    """Add the sub-command `frames SCENE.blend -o FOLDER`."""
    subparser = add("frames", frames, "render true splat pictures through the scene's camera")
    subparser.add_argument("scene", type=Path, help="a .blend with splats and a camera")
    subparser.add_argument("-o", "--output", type=Path, required=True, help="folder for the frames")
    subparser.add_argument("--passes", default="color", help="comma-separated: color, label, mask, depth")
    subparser.add_argument("--exr", action="store_true", help="one multilayer EXR a frame instead of PNGs")
    subparser.add_argument("--frames", default="", help="7, or 1-48; default: the scene's range")
    subparser.add_argument("--level", type=int, help="level of labels and masks; default: the level shown")
    subparser.add_argument("--engine", default="", help="Python with the engine; default: as the preferences say")


def frames(options: argparse.Namespace) -> None:
    """Render the frames and wait for the engine.

    Raises:
        InputError: the .blend does not exist.
        UsageError: the frames or passes are not valid, or the scene cannot be rendered (see `write_shot`).
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
        raise UsageError(f"'{options.frames}' is not a range of frames.", "Write 7 or 1-48.") from None
    numbers = tuple(range(ends[0], ends[-1] + 1)) if ends else frame_range(scene)
    unknown = [name for name in options.passes.split(",") if name not in PASSES]
    if unknown or not numbers:
        raise UsageError(
            f"Passes '{options.passes}' of {len(numbers)} frames cannot be rendered.", "See --help for the passes."
        )
    config = RenderConfig(passes=tuple(options.passes.split(",")), exr=options.exr, frames=numbers)
    python = find_engine(options.engine, "") if options.engine else segmenting.engine_python()
    with tempfile.TemporaryDirectory(prefix="bgs-shot-") as folder:
        shot = write_shot(scene, Path(folder), config)
        job = start_render(shot, options.output.resolve(), config, python, Path(folder) / "frames.log")
        finish(job)
    say(f"{counted(len(numbers), 'frame')} in {options.output}")
