"""A segmentation from the cloud's side: which file the engine gets, and how its answer comes back to the points."""

from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from bgs_engine.codes import BitLayout
from bgs_engine.errors import InputError, UsageError
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import open_run

from . import clouds, labels
from .engine import SegmentConfig, command, find_engine
from .exporter import ExportConfig, export_splats
from .job import Job
from .logic.attributes import ROW
from .logic.label_tree import CodeTable
from .preferences import preferences
from .typed import SplatObject


@dataclass(frozen=True)
class Answer:
    """A run folder, read: codes int32 in the order of the PLY the engine was given, and their table."""

    run: Path
    layout: BitLayout
    codes: np.ndarray
    table: CodeTable


def default_run_folder(obj: SplatObject) -> Path:
    """`<stem>_bgs` beside the source file; beside the .blend or in Blender's temporary folder without one."""
    source = Path(bpy.path.abspath(obj.bgs.source_path)) if obj.bgs.source_path else None
    if source is not None and source.is_file():
        stem = source.parent.name if source.name == "scene.ply" else f"{source.stem}_bgs"
        folder = source.parent.parent if source.name == "scene.ply" and obj.bgs.run_folder else source.parent
        return folder / stem
    home = Path(bpy.data.filepath).parent if bpy.data.filepath else Path(bpy.app.tempdir)
    return home / f"{bpy.path.clean_name(obj.name)}_bgs"


def engine_python() -> Path:
    """The Python with the engine, found as the manual says."""
    chosen = preferences()
    return find_engine(chosen.engine_python, chosen.install_folder)


def source_for_engine(obj: SplatObject, run: Path) -> tuple[Path, bool]:
    """The PLY to segment, and whether its rows are the points themselves (else they are the source's, by bgs_row)."""
    source = Path(bpy.path.abspath(obj.bgs.source_path)) if obj.bgs.source_path else None
    rows = clouds.get_column(obj.data, ROW)
    if source is not None and source.is_file() and rows is not None:
        try:
            if read_ply(source).count > int(rows.max()) and len(rows) == len(np.unique(rows)):
                return source, False
        except InputError:
            pass  # replaced by something else since: the points themselves are the truth
    exported = run.with_name(f"{run.name}_source.ply")
    export_splats([obj], exported, ExportConfig(codes=False, transforms=False))
    return exported, True


def start_segment(obj: SplatObject, run: Path, config: SegmentConfig, log: Path) -> tuple[Job, bool]:
    """Start the engine on a cloud; returns the job and whether its rows are the points in order.

    Raises:
        EnvironmentLacksError: no engine.
        UsageError: the bits or the object cannot be used.
    """
    BitLayout.parse(config.level_bits)
    python = engine_python()
    if obj.bgs.whole is not None:
        raise UsageError(f"{obj.name} is a part.", "Segment the whole splat: Merge Back first.")
    source, in_order = source_for_engine(obj, run)
    try:
        return Job(command(python, config.arguments(source, run)), log=log), in_order
    except OSError as error:
        raise UsageError(f"{python} cannot be started: {error.strerror}.", "Check the engine.") from None


def read_answer(run: Path) -> Answer:
    """The run folder's codes, sorted already; takes a moment, so a window calls it from a thread."""
    opened = open_run(run)
    return Answer(opened.folder, opened.layout, opened.codes, CodeTable.of(opened.codes, opened.layout))


def apply_answer(obj: SplatObject, answer: Answer, in_order: bool) -> int:
    """Give the points their codes; returns the number of labels at level 1.

    Raises:
        InputError: the answer is for another file.
    """
    rows = clouds.get_column(obj.data, ROW)
    count = len(obj.data.points)
    codes = answer.codes
    if in_order:
        order = np.argsort(rows, kind="stable") if rows is not None else np.arange(count)
        if len(codes) == count:
            codes = np.empty(count, np.int32)
            codes[order] = answer.codes  # exports are written in the source's row order
    elif rows is not None and len(rows) and rows.max() < len(codes):
        codes = codes[rows]
    if len(codes) != count:
        raise InputError(
            f"{answer.run.name} is about {len(answer.codes):,} Gaussians, {obj.name} has {count:,}.",
            "Import the run folder instead.",
        )
    labels.remember(obj, answer.codes, answer.table)
    labels.attach(obj, codes, answer.layout, answer.run)
    return sum(row.level == 1 for row in obj.bgs.labels)
