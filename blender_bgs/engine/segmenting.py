"""A segmentation from the cloud's side: which file the engine gets, and how its answer comes back to the points."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bpy
import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import EnvironmentLacksError, InputError, UsageError
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import open_run

from ..cloud import appearance, code_tables, labels, point_clouds
from ..cloud.typed import SplatObject
from ..files import run_sync
from ..files.exporter import ExportConfig, export_splats
from ..logic import carry_over
from ..logic.attributes import CODE, CONFIDENCE, ROW, Column
from ..logic.label_tree import CodeTable, Key
from ..parts import label_objects
from .job import Job
from .locate import SegmentConfig, command, find_engine
from .preferred import preferences

LOOK_SECONDS = 1.0  # between two looks at whether there is an engine
_engine_state = (-LOOK_SECONDS, "")


@dataclass(frozen=True)
class Order:
    """The cloud as it was when the engine was started: what its answer is brought into the points' order with.

    rows: `bgs_row` of every point, int32 [N]; in_order: the engine got the points themselves, sorted by these rows, and
    not the source file; old: the label table the cloud had, None if it had none.
    """

    rows: np.ndarray
    in_order: bool
    old: CodeTable | None


@dataclass(frozen=True)
class Answer:
    """A run folder, read: codes int32 [N] in the points' order, their table, names, and who is who among the labels."""

    run: Path
    layout: BitLayout
    codes: np.ndarray
    table: CodeTable
    names: dict[Key, str]
    partners: dict[Key, Key]
    confidence: np.ndarray | None
    order: Order


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


def engine_missing() -> str:
    """Why nothing can be segmented here, or nothing; asked at every drawing, so the disk is looked at now and then."""
    global _engine_state
    if time.monotonic() - _engine_state[0] > LOOK_SECONDS:
        try:
            engine_python()
            state = ""
        except EnvironmentLacksError as error:
            state = error.message
        _engine_state = (time.monotonic(), state)
    return _engine_state[1]


def source_for_engine(obj: SplatObject, run: Path) -> tuple[Path, bool]:
    """The PLY to segment, and whether its rows are the points themselves (else they are the source's, by bgs_row)."""
    source = Path(bpy.path.abspath(obj.bgs.source_path)) if obj.bgs.source_path else None
    rows = point_clouds.get_column(obj.data, ROW)
    if source is not None and source.is_file() and rows is not None:
        try:
            if read_ply(source).count > int(rows.max()) and np.bincount(rows).max() == 1:  # no row twice
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


def order_of(obj: SplatObject, in_order: bool) -> Order:
    """The cloud as it is now; called on the main thread, quick."""
    rows = point_clouds.get_column(obj.data, ROW)
    old = code_tables.table_of(obj) if obj.bgs.level_bits and obj.data.attributes.get(CODE) else None
    count = len(obj.data.points)
    return Order(np.arange(count, dtype=np.int32) if rows is None else rows, in_order, old)


def read_answer(run: Path, order: Order) -> Answer:
    """The run folder's codes in the points' order, sorted already; takes a moment, so a window calls it from a thread.

    Raises:
        InputError: the answer is for another file.
    """
    opened = open_run(run)
    place = order.rows
    if order.in_order:  # exports are written in the source's row order
        place = np.empty_like(place)
        place[np.argsort(order.rows, kind="stable")] = np.arange(len(place), dtype=place.dtype)
    if (order.in_order and len(opened.codes) != len(place)) or place.max(initial=-1) >= len(opened.codes):
        raise InputError(
            f"{run.name} is about {len(opened.codes):,} Gaussians, the splat has {len(place):,}.",
            "Import the run folder instead.",
        )
    codes, sure = opened.codes[place], run_sync.confidence_in(opened.folder, len(opened.codes))
    table = CodeTable.of(codes, opened.layout)
    partners = carry_over.partners(order.old, table) if order.old is not None else {}
    names = labels.names_in(opened.folder)
    sure = None if sure is None else sure[place]
    return Answer(opened.folder, opened.layout, codes, table, names, partners, sure, order)


def steps_of(obj: SplatObject, answer: Answer) -> Iterator[tuple[str, Callable[[], None]]]:
    """What has to happen on the main thread, in calls that are short even for a million Gaussians.

    A label that was there before the segmentation, by the Gaussians it holds, keeps its name, colour, eye and object.

    Raises:
        InputError: Gaussians were deleted or added since the engine was started.
    """

    def give_codes() -> None:
        rows = point_clouds.get_column(obj.data, ROW)
        same = rows is None or np.array_equal(rows, answer.order.rows)
        if len(obj.data.points) != len(answer.codes) or not same:
            raise InputError(
                f"{obj.name} was edited while the engine was at work.", f"Import the run folder instead: {answer.run}"
            )
        code_tables.remember(obj, answer.codes, answer.table)
        labels.set_codes(obj, answer.codes, answer.layout, answer.run)
        if answer.confidence is not None:
            point_clouds.set_column(obj.data, Column(CONFIDENCE, "FLOAT", answer.confidence))
        elif obj.data.attributes.get(CONFIDENCE):
            obj.data.attributes.remove(obj.data.attributes[CONFIDENCE])

    def list_labels() -> None:
        settings = previous.moved(answer.partners)
        settings.names = answer.names | settings.names
        labels.list_labels(obj, settings)
        label_objects.rename_keys(obj, answer.partners)

    previous = labels.label_settings(obj)
    yield "codes", give_codes
    yield "label list", list_labels
    yield "names", lambda: run_sync.keep_names(obj)
    yield "colors", lambda: appearance.refresh_one(obj, obj.bgs)
    for part in code_tables.parts_of(obj):
        yield "object's codes", partial(labels.pass_on_codes, obj, part)
        yield "object's colors", partial(appearance.refresh_one, part, obj.bgs)


def apply_answer(obj: SplatObject, answer: Answer) -> int:
    """Give the points their codes, in one go; returns the number of labels at level 1.

    Raises:
        InputError: the answer is for another cloud.
    """
    for _, step in steps_of(obj, answer):
        step()
    return sum(row.level == 1 for row in obj.bgs.labels)
