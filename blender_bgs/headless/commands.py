"""The headless commands that make a .blend. They block, because Blender runs no timers without a window."""

import argparse
import os
from pathlib import Path

import bpy
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import BgsError, CancelledError, ExitCode, InputError, UsageError
from bgs_engine.core.file_names import safe_names
from bgs_engine.core.input_files import is_folder

from ..engine import segmenting
from ..engine.blocking import ERRORS, complain, finish, say
from ..engine.delivered import delivered_identity
from ..engine.locate import find_engine
from ..engine.segment_config import SegmentConfig
from ..files import importer
from ..files.blend_file import check_folder, check_output, save_blend
from ..interface.operator_base import counted
from ..parts import label_objects
from .splats import fresh, labelled, open_splats, read_files, scene


def segment(options: argparse.Namespace) -> None:
    """Segment a splat and save the labelled scene.

    Raises:
        BgsError: the splat, the bits or the output cannot be used, or the engine failed.
    """
    _segment_one(options.scene, options.output, options.run, options)


def batch(options: argparse.Namespace) -> None:
    """Segment every PLY of a folder and print which of them failed.

    Raises:
        InputError: the folder does not exist or has no PLY, or the output folder cannot be written.
        CancelledError: the user stopped the command.
        BgsError: at least one splat failed. The kind is that of the last failure.
    """
    if not is_folder(options.folder):
        raise InputError(f"{options.folder} is not a folder.", "Give the folder that has the splats.")
    scenes = sorted(path for path in options.folder.iterdir() if path.suffix.lower() == ".ply")
    if not scenes:
        raise InputError(f"{options.folder} has no .ply file.", "Give the folder that has the splats.")
    check_folder(options.output)
    failed: list[str] = []
    code = ExitCode.DONE
    names = safe_names([path.stem for path in scenes])  # a.ply and A.PLY get a .blend each on every system
    for number, (path, name) in enumerate(zip(scenes, names, strict=True), 1):
        say(f"{path.name} ({number} of {len(scenes)})")
        try:
            _segment_one(path, options.output / f"{name}.blend", None, options)
        except CancelledError:
            raise
        except BgsError as error:
            failed.append(path.name)
            code = error.exit_code
            complain(f"{path.name}: {error}")
    say(f"{len(scenes) - len(failed)} of {len(scenes)} scenes done")
    if failed:
        raise ERRORS.get(int(code), InputError)(f"Failed: {', '.join(failed)}.", "The reasons are above.")


def _segment_one(path: Path, blend: Path, run: Path | None, options: argparse.Namespace) -> None:
    bits = BitLayout.parse(options.level_bits) if options.level_bits else None
    if bits and options.level is not None:
        bits.bits_to(options.level)
    python = find_engine(options.engine, "") if options.engine else segmenting.engine_python()
    run = Path(os.path.realpath(run or blend.with_name(f"{blend.stem}_bgs")))  # the .blend keeps this path
    if str(run) == os.path.realpath(blend):
        raise UsageError(f"{run} cannot be both the .blend and the run folder.", "Give --run another name.")
    obj = fresh(path, importer.ImportConfig(up_axis=options.up))
    check_output(blend, [path, *([obj.bgs.source_file] if obj.bgs.source_file else [])], ".blend")
    config = SegmentConfig(
        level_bits=options.level_bits,
        iterations=options.iterations,
        device=options.device,
        dataset=options.dataset,
        views=options.views,
        masks_model=options.masks_model,
        seed=options.seed,
        fetch=bpy.app.online_access,
    )
    log = blend.with_name(f"{blend.stem}_bgs.log")
    job, given = segmenting.start_segment(obj, run, config, log, python)
    identity = delivered_identity(finish(job), run)
    answer = segmenting.read_answer(run, segmenting.snapshot_of(obj, given.in_order, given.mark), identity)
    found = segmenting.apply_answer(obj, answer)
    for note in answer.notes:
        say(note)
    say(f"{found} labels at level 1")
    if options.level:
        level = min(options.level, BitLayout.parse(obj.bgs.level_bits).levels)
        if level < options.level:
            say(f"The scene has {level} levels; the objects are made at the finest one.")
        made = label_objects.make_tree(scene(), obj, level)
        say(f"{counted(len(made), 'object')} at level {level}")
    _save(blend)


def import_(options: argparse.Namespace) -> None:
    """Import a splat or a run folder and save it as a .blend.

    Raises:
        InputError: the splat cannot be read, or the .blend cannot be written.
        UsageError: the bits are not valid, or the output is the splat.
    """
    bits = BitLayout.parse(options.level_bits).level_bits
    obj = fresh(options.scene, importer.ImportConfig(up_axis=options.up, level_bits=bits))
    check_output(options.output, read_files(options, [obj]), ".blend")
    say(f"{len(obj.data.points):,} Gaussians")
    _save(options.output)


def collections(options: argparse.Namespace) -> None:
    """Make label objects of all splats, or of those that `--splat` names, and save the scene.

    Raises:
        InputError: the scene cannot be read, or the .blend cannot be written.
        UsageError: the labels do not exist, or the output is an input.
    """
    wholes = open_splats(options)
    check_output(options.output, read_files(options, wholes), ".blend")
    for obj in labelled(wholes, options.level, options.label):
        made = label_objects.make_tree(scene(), obj, options.level, options.label)
        say(f"{obj.name}: {counted(len(made), 'object')} at level {options.level}")
    _save(options.output)


def _save(path: Path) -> None:
    save_blend(path)
    say(f"saved {path}")
