"""The `bgs` command without a window: `blender --command bgs segment SCENE.ply -o OUT.blend`.

`python -m blender_bgs` does the same with the bpy wheel. Exit codes are the engine's: 0 done, 1 a bug, 2 usage, 3 bad
input, 4 environment, 5 memory, 130 cancelled.
"""

import argparse
import io
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import bpy
from bgs_engine.core.codes import DEFAULT_LEVEL_BITS
from bgs_engine.core.errors import BgsError, ExitCode
from bgs_engine.core.printable import printable

from ..engine.blocking import complain
from ..engine.segment_config import SegmentConfig
from . import commands, exporting, rendering

_handle: object | None = None
# Functions that add the commands of other folders to the parser. `registration` fills the list.
extra_commands: list[Callable[[Callable[..., argparse.ArgumentParser]], None]] = []


class _Parser(argparse.ArgumentParser):
    """Repeats wrong arguments without their control characters."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def parser() -> argparse.ArgumentParser:
    """The parser of the `bgs` command with all sub-commands."""
    top = _Parser(prog="bgs", description="Turns Gaussian splats into labelled objects.")
    subparsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        subparser = subparsers.add_parser(name, help=text, description=text)
        subparser.set_defaults(function=function)
        return subparser

    def add_segmenting(subparser: argparse.ArgumentParser) -> None:
        subparser.add_argument("--level", type=int, help="make collections at this level")
        bits = "bits of each level, coarse to fine, at most 32 together; default: what the scene needs"
        subparser.add_argument("--level-bits", default=SegmentConfig.level_bits, help=bits)
        subparser.add_argument("--iterations", type=int, default=0, help="training steps; 0: the engine's default")
        subparser.add_argument(
            "--device", default="auto", choices=("auto", "cpu", "cuda"), help="what the engine computes on"
        )
        photos = "folder with photos and cameras; without it the engine renders views"
        subparser.add_argument("--dataset", default="", help=photos)
        views = "number of views to render without a dataset; 0: the engine's default"
        subparser.add_argument("--views", type=int, default=0, help=views)
        subparser.add_argument(
            "--masks-model",
            default="",
            help="auto (the default, the best that is here), or what bgs masks --help lists",
        )
        subparser.add_argument("--seed", type=int, default=0, help="seed of everything random in the training")
        subparser.add_argument("--engine", default="", help="Python with the engine; default: as the preferences say")
        add_up(subparser)

    def add_splat(subparser: argparse.ArgumentParser) -> None:
        name = "only the splat of this name; may be repeated; default: all splats of the .blend"
        subparser.add_argument("--splat", action="append", metavar="NAME", help=name)

    def add_up(subparser: argparse.ArgumentParser) -> None:
        subparser.add_argument(
            "--up", default="NEG_Y", choices=("NEG_Y", "Z", "Y"), help="axis of the file that points up"
        )

    subparser = add("segment", commands.segment, "segment a splat and save a .blend")
    subparser.add_argument("scene", type=Path, help="splat PLY")
    subparser.add_argument("-o", "--output", type=Path, required=True, help="the .blend to write")
    subparser.add_argument("--run", type=Path, help="run folder; default: beside the .blend")
    add_segmenting(subparser)
    subparser = add("batch", commands.batch, "segment every splat of a folder; go on if one fails")
    subparser.add_argument("folder", type=Path)
    subparser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for the .blend files and run folders"
    )
    add_segmenting(subparser)
    subparser = add("import", commands.import_, "import a splat or run folder and save a .blend")
    subparser.add_argument("scene", type=Path)
    subparser.add_argument("-o", "--output", type=Path, required=True)
    usual = ",".join(map(str, DEFAULT_LEVEL_BITS))
    subparser.add_argument("--level-bits", default=usual, help="for a PLY with codes and no run folder")
    add_up(subparser)
    subparser = add("collections", commands.collections, "make label objects in a tree of collections")
    subparser.add_argument("scene", type=Path, help="a .blend, run folder or PLY with codes")
    subparser.add_argument("-o", "--output", type=Path, required=True)
    subparser.add_argument("--level", type=int, default=1)
    subparser.add_argument("--label", type=int, action="append", help="only this label; may be repeated")
    add_splat(subparser)
    add_up(subparser)
    subparser = add("export", exporting.export, "write the splats as files, as one sees them")
    subparser.add_argument("scene", type=Path, help="a .blend, run folder or PLY with codes")
    place = "a file of any splat format for all splats together, or a folder for one file per splat or label"
    subparser.add_argument("-o", "--output", type=Path, required=True, help=place)
    subparser.add_argument("--level", type=int, help="one file per label of this level")
    subparser.add_argument("--label", type=int, action="append", help="only this label; may be repeated")
    subparser.add_argument("--plain", action="store_true", help="the 62-float PLY layout, no extra properties")
    numbered = "7, 1-48, or range for the scene's own: one numbered file for each frame; default: one file, as saved"
    subparser.add_argument("--frames", default="", help=numbered)
    untouched = "all Gaussians where the source file had them: no moved or deleted object counts"
    subparser.add_argument("--as-imported", action="store_true", help=untouched)
    add_splat(subparser)
    add_up(subparser)
    subparser = add("animate", exporting.animate, "write the animation of the splats as one GLB")
    subparser.add_argument("scene", type=Path, help="a .blend")
    subparser.add_argument("-o", "--output", type=Path, required=True, help="the .glb to write")
    subparser.add_argument("--frames", default="range", help="7, or 1-48; default: the scene's range")
    add_splat(subparser)
    add_up(subparser)
    subparser = add("render", rendering.render, "render a picture with Cycles")
    subparser.add_argument("scene", type=Path, help="a .blend, run folder or PLY")
    subparser.add_argument("-o", "--output", type=Path, required=True, help="the .png to write")
    subparser.add_argument("--level", type=int, help="show labels of this level; default: the colours")
    subparser.add_argument("--size", default="640x480")
    subparser.add_argument("--samples", type=int, default=16)
    add_splat(subparser)
    add_up(subparser)
    for extend in extra_commands:
        extend(add)
    return top


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as stop:  # argparse has already printed the help or the error
        return int(stop.code or 0)
    for stream in (sys.stdout, sys.stderr):  # a file name may hold what a terminal's encoding lacks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        options.function(options)
    except BgsError as error:
        complain(str(error))
        return int(error.exit_code)
    except MemoryError:
        complain("Memory ran out. Close other programs, or use a smaller splat.")
        return int(ExitCode.OUT_OF_MEMORY)
    except KeyboardInterrupt:
        return int(ExitCode.CANCELLED)
    except Exception:
        traceback.print_exc()
        complain("This is a bug. Report what is printed above.")
        return int(ExitCode.BUG)
    return int(ExitCode.DONE)


def add_command() -> None:
    """Register `blender --command bgs` (Blender 4.2 and later)."""
    global _handle
    _handle = bpy.utils.register_cli_command("bgs", main)


def remove_command() -> None:
    """Unregister the command."""
    global _handle
    if _handle is not None:
        bpy.utils.unregister_cli_command(_handle)
        _handle = None
