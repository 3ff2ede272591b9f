"""Starts the engine on a cloud, reads its run folder, and applies the codes to the cloud's points."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import bpy
import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import EnvironmentLacksError, InputError, UsageError
from bgs_engine.core.files import check_writable
from bgs_engine.core.input_files import is_file
from bgs_engine.core.mended_labels import MendedLabels, lay_over
from bgs_engine.formats.read import open_rows
from bgs_engine.io.run_folder import open_run, positions_sha256, run_id_of

from ..cloud import appearance, code_tables, labels, point_clouds
from ..cloud.typed import SplatObject
from ..files import save_to_run, source
from ..files.exporter import ExportConfig, export_splats
from ..files.run_extras import read_extras
from ..logic import carry_over
from ..logic.attributes import CODE, CONFIDENCE, ROW, Column
from ..logic.label_tree import CodeTable, Key
from ..logic.row_order import engine_rows
from ..parts import label_objects
from .job import Job
from .locate import command, find_engine
from .preferred import preferences
from .segment_config import SegmentConfig

CHECK_SECONDS = 1.0  # between two checks on disk whether an engine is installed
_engine_state = (-CHECK_SECONDS, "")


@dataclass(frozen=True)
class CloudSnapshot:
    """The state of the cloud when the engine was started. It tells which code belongs to which point.

    `rows` is `bgs_row` of every point, int32 [N]. `in_order` is true if the engine got an export of the points, sorted
    by these rows, and false if it got the source file. `old` is the code table of the cloud, or None. `mark` is that of
    the positions in the file that the engine got. `mended` are labels to keep, in the order of the points, or None.
    """

    rows: np.ndarray
    in_order: bool
    old: CodeTable | None
    mark: str = ""
    mended: MendedLabels | None = None


@dataclass(frozen=True)
class EngineInput:
    """The file that the engine gets, with the mark of its positions.

    `in_order` is true if it is an export of the points, sorted by `bgs_row`. `reason` then says why the engine cannot
    read the source file.
    """

    path: Path
    in_order: bool
    mark: str
    reason: str = ""


@dataclass(frozen=True)
class Answer:
    """The contents of a run folder, brought to the order of the points.

    `codes` is int32 [N] and `table` their code table. `names` are the names in the run folder. `partners` maps the old
    labels to the new ones that they match. `confidence` is float32 [N] in 0..1, or None. `notes` are sentences about
    files of the run that could not be used. `kept` is the number of mended labels that the codes hold.
    `automatic` are the names that the engine gave.
    """

    run: Path
    layout: BitLayout
    codes: np.ndarray
    table: CodeTable
    names: dict[Key, str]
    partners: dict[Key, Key]
    confidence: np.ndarray | None
    snapshot: CloudSnapshot
    notes: tuple[str, ...] = ()
    kept: int = 0
    automatic: dict[Key, str] = field(default_factory=dict)


def default_run_folder(obj: SplatObject) -> Path:
    """The folder `<stem>_bgs` beside the source file.

    If the source file does not exist, or holds the whole splat of which `obj` is a label object alone, it is beside the
    .blend, or in Blender's temporary folder if that is not saved.
    """
    path = obj.bgs.source_file
    if path is not None and is_file(path) and not obj.bgs.is_alone:
        stem = path.parent.name if path.name == "scene.ply" else f"{path.stem}_bgs"
        folder = path.parent.parent if path.name == "scene.ply" and obj.bgs.run_folder else path.parent
        return folder / stem
    home = Path(bpy.data.filepath).parent if bpy.data.filepath else Path(bpy.app.tempdir)
    return home / f"{bpy.path.clean_name(obj.name)}_bgs"


def engine_python() -> Path:
    """The Python that has the engine, see `locate.find_engine`.

    Raises:
        EnvironmentLacksError: no engine is installed.
    """
    chosen = preferences()
    return find_engine(chosen.engine_python, chosen.install_folder)


def engine_missing() -> str:
    """The reason why there is no engine, or "". Panels call it at every redraw, so it caches for `CHECK_SECONDS`."""
    global _engine_state
    if time.monotonic() - _engine_state[0] > CHECK_SECONDS:
        try:
            engine_python()
            state = ""
        except EnvironmentLacksError as error:
            state = error.message
        _engine_state = (time.monotonic(), state)
    return _engine_state[1]


def input_for_engine(obj: SplatObject, run: Path) -> EngineInput:
    """The file to segment: the source file if its rows are still the points, else an export of the points.

    Raises:
        InputError: the export cannot be written.
    """
    reason = source.why_not_source(obj)
    if not reason:
        assert obj.bgs.source_file is not None
        mark = obj.bgs.source_mark or positions_sha256(open_rows(obj.bgs.source_file))
        return EngineInput(obj.bgs.source_file, in_order=False, mark=mark)
    exported = run.with_name(f".{run.name}.source.ply")  # hidden: a file of the user's has another name
    export_splats([obj], exported, ExportConfig(codes=False, transforms=False))
    return EngineInput(exported, in_order=True, mark=positions_sha256(open_rows(exported)), reason=reason)


def start_segment(
    obj: SplatObject, run: Path, config: SegmentConfig, log: Path, python: Path | None = None
) -> tuple[Job, EngineInput]:
    """Start the engine on a cloud. Returns the job, and the file that the engine got. `python` is the engine's.

    Raises:
        EnvironmentLacksError: no engine is installed.
        UsageError: the level bits are not valid, `obj` is a label object, or the engine cannot be started.
        InputError: the splat cannot be exported for the engine, or the log cannot be written.
    """
    if config.level_bits:
        BitLayout.parse(config.level_bits)
    python = python or engine_python()
    if obj.bgs.whole is not None:
        raise UsageError(f"{obj.name} is a label object.", "Press Merge Back and segment the whole splat.")
    given = input_for_engine(obj, run)
    check_writable(log.parent)
    try:
        return Job(command(python, config.arguments(given.path, run)), log=log), given
    except OSError as error:
        raise UsageError(f"{python} cannot be started: {error.strerror}.", "Check the engine.") from None


def on_what(given: EngineInput) -> str:
    """The end of the sentence that the engine has started, if it did not get the source file; else ""."""
    return f" on the Gaussians as they are in Blender, because {given.reason}" if given.reason else ""


def snapshot_of(obj: SplatObject, in_order: bool, mark: str = "", mended: MendedLabels | None = None) -> CloudSnapshot:
    """The present state of the cloud. It is quick and must be called on the main thread.

    `in_order` and `mark` are those of the `EngineInput`; an empty mark fits every run. `mended` are labels to keep.
    """
    rows = point_clouds.get_column(obj.data, ROW)
    old = code_tables.table_of(obj) if obj.bgs.level_bits and obj.data.attributes.get(CODE) else None
    count = len(obj.data.points)
    return CloudSnapshot(np.arange(count, dtype=np.int32) if rows is None else rows, in_order, old, mark, mended)


def read_answer(run: Path, snapshot: CloudSnapshot, identity: str = "") -> Answer:
    """Read a run folder and bring its codes to the order of the points. It takes time and may run in a thread.

    Args:
        run: the run folder.
        snapshot: the cloud when the engine was started.
        identity: of the run that must lie there; "" takes any.

    Raises:
        InputError: the run folder is not valid, holds another run, or has other Gaussians than the file that the
            engine got.
        UsageError: a mended label has no place in the new codes.
    """
    opened = open_run(run)
    if identity and not run_id_of(run) == opened.info.get("id") == identity:  # before and after its files were read
        raise InputError(
            f"{run.name} does not hold the run that the engine has made: another job has written there.",
            "Import the run folder, or segment again.",
        )
    rows = engine_rows(snapshot.rows, snapshot.in_order)
    if (snapshot.in_order and len(opened.codes) != len(rows)) or rows.max(initial=-1) >= len(opened.codes):
        raise InputError(
            f"{run.name} has {len(opened.codes):,} Gaussians, but the splat has {len(rows):,}.",
            "Import the run folder instead.",
        )
    if snapshot.mark and positions_sha256(opened.ply) != snapshot.mark:
        raise InputError(
            f"{run.name} has other Gaussians than the splat: its file was changed while the engine started.",
            "Press Segment again.",
        )
    extras = read_extras(opened)
    codes, confidence, kept = opened.codes[rows], extras.confidence, 0
    if snapshot.mended is not None:
        codes, kept = lay_over(codes, opened.layout, snapshot.mended).codes, len(snapshot.mended.keys)
    table = CodeTable.of(codes, opened.layout)
    partners = carry_over.partners(snapshot.old, table) if snapshot.old is not None else {}
    confidence = None if confidence is None else confidence[rows]
    return Answer(
        opened.folder,
        opened.layout,
        codes,
        table,
        extras.names,
        partners,
        confidence,
        snapshot,
        extras.notes,
        kept,
        extras.automatic,
    )


def steps_of(obj: SplatObject, answer: Answer) -> Iterator[tuple[str, Callable[[], None]]]:
    """The named steps that apply a result on the main thread. Each is short even for a million Gaussians.

    A new label that matches an old one keeps its name, colour, visibility and label object.

    Raises:
        InputError: the first step raises it if Gaussians were deleted or added after the engine was started.
    """

    def write_codes() -> None:
        rows = point_clouds.get_column(obj.data, ROW)
        same = rows is None or np.array_equal(rows, answer.snapshot.rows)
        if len(obj.data.points) != len(answer.codes) or not same:
            raise InputError(
                f"{obj.name} was edited while the engine was running.", f"Import the run folder instead: {answer.run}"
            )
        labels.promote_orphan(obj)  # the run that comes is its own
        code_tables.remember(obj, answer.codes, answer.table)
        labels.set_codes(obj, answer.codes, answer.layout, answer.run)
        obj.bgs.run_in_order = answer.snapshot.in_order
        obj.bgs.run_changed = bool(answer.kept)  # then the run folder has the engine's own answer
        if answer.confidence is not None:
            point_clouds.set_column(obj.data, Column(CONFIDENCE, "FLOAT", answer.confidence))
        elif obj.data.attributes.get(CONFIDENCE):
            obj.data.attributes.remove(obj.data.attributes[CONFIDENCE])

    def list_labels() -> None:
        settings = previous.for_new_labels(answer.partners)
        settings.names, settings.automatic = answer.names | settings.names, answer.automatic
        labels.list_labels(obj, settings)
        label_objects.rename_keys(obj, answer.partners)

    previous = labels.label_settings(obj)
    yield "codes", write_codes
    yield "label list", list_labels
    yield "names", lambda: save_to_run.save_names(obj)
    yield "colors", lambda: appearance.refresh_one(obj, obj.bgs)
    for part in code_tables.parts_of(obj):
        yield "object's codes", partial(labels.copy_codes_to_part, obj, part)
        yield "object's colors", partial(appearance.refresh_one, part, obj.bgs)


def apply_answer(obj: SplatObject, answer: Answer) -> int:
    """Run all steps of `steps_of` at once. Returns the number of labels at level 1.

    Raises:
        InputError: Gaussians were deleted or added after the engine was started.
    """
    for _, step in steps_of(obj, answer):
        step()
    return sum(row.level == 1 for row in obj.bgs.labels)
