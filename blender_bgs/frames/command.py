"""The command `bgs frames`: Render Splats without a window."""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import bpy
from bgs_engine.core.errors import UsageError

from ..cloud import code_tables
from ..cloud.scene_frames import frame_range
from ..cloud.typed import SplatScene
from ..engine import segmenting
from ..engine.blocking import finish, say
from ..engine.locate import find_engine
from ..files.blend_file import check_folder, open_blend
from ..interface.operator_base import counted
from ..logic.frame_numbers import parse_frames
from .shot import PASSES, RenderConfig, renderable, start_render, write_shot


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
        InputError: the .blend cannot be opened, or the output folder cannot be written.
        UsageError: the frames, passes or level are not valid, or the scene cannot be rendered (see `write_shot`).
    """
    passes = tuple(dict.fromkeys(options.passes.split(",")))
    unknown = [name for name in passes if name not in PASSES]
    if unknown:
        raise UsageError(f"There is no pass '{unknown[0]}'.", f"Passes are {', '.join(PASSES)}.")
    chosen = parse_frames(options.frames) if options.frames else None
    open_blend(options.scene)
    check_folder(options.output)
    scene = cast(SplatScene, bpy.context.scene)
    if options.level is not None:
        for whole in {obj.bgs.whole or obj for obj in renderable(scene)}:
            if whole.bgs.level_bits:
                code_tables.bit_layout_of(whole).bits_to(options.level)
            whole.bgs.level = options.level
    numbers = frame_range(scene) if chosen is None else chosen
    if not numbers:
        raise UsageError("The scene's frame range is empty.", "Choose frames with --frames.")
    config = RenderConfig(passes=passes, exr=options.exr, frames=numbers)
    python = find_engine(options.engine, "") if options.engine else segmenting.engine_python()
    with tempfile.TemporaryDirectory(prefix="bgs-shot-") as folder:
        shot = write_shot(scene, Path(folder), config)
        out = Path(os.path.realpath(options.output))
        finish(start_render(shot, out, config, python, Path(folder) / "frames.log"))
    say(f"{counted(len(numbers), 'frame')} in {options.output}")
