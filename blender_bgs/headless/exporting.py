"""The headless command `export`: whole splats as files of any format, or labels as PLY files."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bgs_engine.core.errors import UsageError
from bgs_engine.core.file_names import safe_names
from bgs_engine.formats.read import by_name
from bgs_engine.formats.write import format_to_write

from ..cloud.properties import BGS_Label
from ..cloud.seen import pieces_of
from ..cloud.typed import SplatObject
from ..engine.blocking import say
from ..files import animation, by_engine, sequence
from ..files.blend_file import check_folder, check_output, refuse_inputs
from ..files.exporter import (
    WITHOUT_CODES,
    ExportConfig,
    codes_clash,
    export_wholes,
    lost,
)
from ..files.label_files import write_label_files
from ..interface.operator_base import counted
from ..logic.frame_numbers import parse_frames
from .splats import labelled, open_splats, read_files, scene


def export(options: argparse.Namespace) -> None:
    """Write splats as one sees them: all in one file, one PLY each, or with `--level` one PLY for each label.

    Raises:
        UsageError: the splats or labels do not exist, the output is a file that is read, or the options do not fit.
        InputError: the scene cannot be read, or the output cannot be written.
    """
    if options.label and options.level is None:
        raise UsageError("--label needs --level.", "Add the level of these labels.")
    one = by_name(options.output.name)
    if one is not None and options.level is not None:
        raise UsageError("With --level the output is a folder.", "Give a folder with -o.")
    numbers = _checked_frames(options)
    wholes = open_splats(options)
    config = ExportConfig(plain=options.plain, codes=not options.plain)
    if options.level is not None:
        _export_labels(labelled(wholes, options.level, options.label), config, options)
        return
    there = wholes if options.as_imported else _with_gaussians(wholes)
    inputs = read_files(options, wholes)
    if options.frames:
        _export_frames(there, config, options, numbers or sequence.frames_to_write(scene()), inputs)
        return
    if one is not None:
        format_to_write(options.output, here=False)
        check_output(options.output, inputs, "")
        left_out = WITHOUT_CODES if config.codes and codes_clash(there) else ""

        def write(file: Path, names: bool) -> str:
            count = export_wholes(there, file, replace(config, names=names), options.as_imported)
            return f"{count:,} Gaussians{left_out}{lost(one)}"

        say(by_engine.export(options.output, write))
        return
    check_folder(options.output)
    files = [options.output / f"{name}.ply" for name in safe_names([obj.name for obj in there])]
    for file in files:
        refuse_inputs(file, inputs)
    for obj, file in zip(there, files, strict=True):
        say(f"{export_wholes([obj], file, config, options.as_imported):,} Gaussians in {file}")


def _checked_frames(options: argparse.Namespace) -> tuple[int, ...]:
    """The numbers of `--frames`; none for the range of the scene, which is not open yet."""
    given_too = (("--level", getattr(options, "level", None)), ("--as-imported", getattr(options, "as_imported", None)))
    for option, given in given_too:
        if options.frames and given:
            raise UsageError(f"--frames and {option} do not go together.", f"Leave out {option} or --frames.")
    return () if options.frames in ("", "range") else parse_frames(options.frames)


def _export_frames(
    there: Sequence[SplatObject], config: ExportConfig, options: argparse.Namespace, numbers: Sequence[int],
    inputs: Sequence[Path],
) -> None:  # fmt: skip
    """Write a numbered file for each frame: of all splats together, or of each."""
    sequences = [(options.output, list(there))]
    if by_name(options.output.name) is None:
        names = safe_names([obj.name for obj in there])
        sequences = [(options.output / f"{name}.ply", [obj]) for name, obj in zip(names, there, strict=True)]
    for path, _ in sequences:
        check_folder(path.parent)
        sequence.refuse(path, format_to_write(path, here=False), "WHOLE")
        sequence.check_files(path, numbers, inputs, replace=True)
    for path, objects in sequences:
        write = partial(export_wholes, objects, config=config)
        sequence.write_all(sequence.write_sequence(scene(), numbers, path, write))
        say(sequence.said(path, numbers))


def animate(options: argparse.Namespace) -> None:
    """Write the animation of splats as one GLB, with a node for each object.

    Raises:
        UsageError: the splats do not exist, the frames or the output do not fit; or see `animation.write_animated`.
        InputError: the scene cannot be read, an animation cannot be said by nodes, or the file cannot be written.
    """
    numbers = _checked_frames(options)
    wholes = _with_gaussians(open_splats(options))
    check_output(options.output, read_files(options, wholes), ".glb")
    numbers = numbers or sequence.frames_to_write(scene())
    sequence.write_all(animation.write_animated(scene(), numbers, options.output, animation.pieces_for(wholes, None)))
    say(f"{counted(len(numbers), 'frame')} in {options.output}")


def _with_gaussians(wholes: Sequence[SplatObject]) -> list[SplatObject]:
    """The splats of which something is left. The others are named.

    Raises:
        UsageError: nothing is left of any.
    """
    there = [obj for obj in wholes if pieces_of(obj)]
    gone = ", ".join(obj.name for obj in wholes if obj not in there)
    if not there:
        raise UsageError(f"All label objects of {gone} were deleted: nothing is left.", "Add --as-imported.")
    if gone:
        say(f"left out, because all label objects were deleted: {gone}")
    return there


def _export_labels(wholes: Sequence[SplatObject], config: ExportConfig, options: argparse.Namespace) -> None:
    there = wholes if options.as_imported else _with_gaussians(wholes)
    inputs = read_files(options, wholes)
    check_folder(options.output)
    folders = [options.output]
    if len(there) > 1:
        folders = [options.output / name for name in safe_names([obj.name for obj in there])]
    files = 0
    for obj, folder in zip(there, folders, strict=True):
        files += _labels_of(obj, folder, config, options, inputs)
    say(f"{counted(files, 'file')} in {options.output}")


def _labels_of(
    obj: SplatObject, folder: Path, config: ExportConfig, options: argparse.Namespace, inputs: Sequence[Path]
) -> int:
    """Write one file for each label of one splat. Returns their number."""
    chosen = _chosen_labels(obj, options.level, options.label)
    count, gone = write_label_files(
        obj, folder, config, chosen, options.level, options.as_imported,
        check=lambda file: refuse_inputs(file, inputs), needs_all=bool(options.label),
        hint="Add --as-imported, or choose others.",
    )  # fmt: skip
    if gone:
        say(f"left out, because their objects were deleted: {', '.join(gone)}")
    return count


def _chosen_labels(obj: SplatObject, level: int, labels: Sequence[int] | None) -> list[BGS_Label]:
    rows = [row for row in obj.bgs.labels if row.level == level]
    known = {row.label for row in rows}
    missing = [label for label in labels or () if label not in known]
    if missing:
        raise UsageError(f"Level {level} has no label {missing[0]}.", "labels.json in the run folder lists them.")
    return [row for row in rows if not labels or row.label in labels]
