"""Writes changed names and labels to the run folder.

Names are written at once. Labels are written when the user presses Save to Run Folder or saves the .blend, because Undo
works on the .blend only. The first save keeps the engine's answer as `codes_engine.npy` and `labels_engine.json`.
"""

import os
from pathlib import Path

import bpy
import numpy as np
from bgs_engine.core.errors import BgsError, InputError, UsageError
from bgs_engine.core.input_files import is_folder
from bgs_engine.core.label_table import LabelTable, build_label_table, read_labels, write_labels
from bgs_engine.core.printable import printable
from bgs_engine.io.gaussians import SH_C0
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.run_folder import Run, is_run_folder, open_run, run_id_of, save_labels
from bgs_engine.io.run_update import finish_update
from bpy.app.handlers import persistent

from ..cloud import appearance, code_tables, label_names, part_labels, point_clouds, shapes
from ..cloud.active_splat import ALONE
from ..cloud.properties import BGS_Label, without_updates
from ..cloud.typed import SplatObject
from ..logic import attributes as at
from ..logic.row_order import engine_rows
from . import source
from .named_table import Colors, Names, automatic_of, colors_of, names_of, set_names
from .run_extras import read_extras

KEPT = "The .blend keeps the labels."

# Run folders that this session has written to. Saving the .blend writes only to these and to the folders of splats with
# changed labels. Otherwise, saving an old .blend would overwrite the labels that a newer .blend wrote.
_written: set[Path] = set()


def save(obj: SplatObject) -> bool:
    """Update codes.npy, labels.json, scene.ply and run.json in the run folder. Returns whether anything was written.

    All files are replaced together, or none. Gaussians that were deleted in Blender keep their codes in the folder.

    Raises:
        UsageError: the cloud has no run folder, the folder is not there any more, or a job writes to it.
        InputError: the folder belongs to another splat or was changed by another program, or cannot be written.
    """
    folder = _folder_of(obj)
    names, colors, automatic = names_of(obj), colors_of(obj), automatic_of(obj)
    with only_writer(folder):
        finish_update(folder)
        _refuse_another_run(obj, folder)
        run = open_run(folder)
        rows = rows_in(obj, run)
        codes = run.codes.copy()
        codes[rows] = code_tables.codes_of(obj)
        written = _try_names(folder, names, colors, automatic) if np.array_equal(codes, run.codes) else None
        if written is None:
            _refuse_other_rows(obj, run, rows)
            table = _table(obj, run, rows, codes)
            set_names(table, names, colors, automatic)
            save_labels(run, codes, table)
    with without_updates():
        obj.bgs.run_changed = False
    _written.add(folder)
    return written is not False


def name_changed(obj: SplatObject, row: BGS_Label) -> None:
    """Rename what belongs to a label whose name changed, and write the names. Called when the user changes a name."""
    if obj.bgs.whole is None:
        label_names.settle(obj, row)
    save_names(obj)


def color_changed(obj: SplatObject) -> None:
    """Show a label's new colour. The run folder gets it with Save to Run Folder, or when the .blend is saved."""
    if obj.bgs.run_folder and not obj.bgs.is_alone:
        with without_updates():
            obj.bgs.run_changed = True
    appearance.refresh(obj)


def save_names(obj: SplatObject) -> None:
    """Write the names to the run folder's labels.json, for other programs.

    If they cannot be written now, the button Save to Run Folder is highlighted, and saving the .blend tries again.
    """
    whole = obj.bgs.whole or obj
    part_labels.tell(whole)
    if not whole.bgs.run_folder or whole.bgs.is_alone:
        return
    try:
        folder = _folder_of(whole)
        with only_writer(folder):
            finish_update(folder)
            _refuse_another_run(whole, folder)
            _write_names(folder, names_of(whole), None, automatic_of(whole))
        _written.add(folder)
    except BgsError as error:
        with without_updates():
            whole.bgs.run_changed = True
        _say(f"names were not written to the run folder. {error}")


def _folder_of(obj: SplatObject) -> Path:
    """The run folder with links resolved, as the engine names its lock.

    Raises:
        UsageError: there is none.
    """
    if obj.bgs.is_alone:
        raise UsageError(f"{obj.name} {ALONE}. The run folder belongs to that splat.", KEPT)
    place = obj.bgs.path_of(obj.bgs.run_folder)
    if place is None:
        raise UsageError(f"{obj.name} has no run folder.", f"{KEPT} Segment makes a run folder.")
    if not is_folder(place):
        raise UsageError(
            f"The run folder of {obj.name} is not there any more: {place}.",
            f"{KEPT} Move the folder back, or press Segment for a new one.",
        )
    folder = Path(os.path.realpath(place))
    if not is_run_folder(folder):
        raise UsageError(
            f"{folder} is no run folder any more: it lacks run.json or codes.npy.",
            f"{KEPT} Put the files back, or press Segment for a new run.",
        )
    return folder


def _refuse_another_run(obj: SplatObject, folder: Path) -> None:
    """Raise `InputError` where another run has been written to the folder since the labels were read from it."""
    if run_id_of(folder) != obj.bgs.run_id:
        raise InputError(
            f"Another run lies in {folder.name} now: the labels of {obj.name} did not come from it.",
            f"{KEPT} Import that run, or segment again.",
        )


def _refuse_other_rows(obj: SplatObject, run: Run, rows: np.ndarray) -> None:
    """Raise `InputError` where a run of an older version, which has no mark, has its Gaussians in another order."""
    known = run.info.get("scene")
    if not (isinstance(known, dict) and "positions_sha256" in known) and not source.lies_at(obj, run.ply, rows):
        raise InputError(
            f"The Gaussians of {obj.name} are not where {run.folder.name} has them.",
            f"{KEPT} Press Segment for a new run.",
        )


def _try_names(folder: Path, names: Names, colors: Colors, automatic: Names) -> bool | None:
    """Write names and colours. Returns whether they were new, or None if labels.json is damaged and has to be new."""
    try:
        return _write_names(folder, names, colors, automatic)
    except InputError:
        return None


def _write_names(folder: Path, names: Names, colors: Colors | None, automatic: Names) -> bool:
    table = read_labels(folder / "labels.json")
    if not set_names(table, names, colors, automatic):
        return False
    write_labels(folder / "labels.json", table)
    return True


def rows_in(obj: SplatObject, run: Run) -> np.ndarray:
    """The row of each point in the run folder's scene.ply, int [N]."""
    rows = point_clouds.get_column(obj.data, at.ROW)
    same_bits = obj.bgs.level_bits == ",".join(map(str, run.layout.level_bits))
    fits = rows is not None and same_bits
    if rows is not None and obj.bgs.run_in_order:  # the engine got the points, sorted by their rows
        fits = fits and len(rows) == len(run.codes)
        rows = engine_rows(rows, in_order=True)
    if rows is None or not fits or rows.min(initial=0) < 0 or rows.max(initial=0) >= len(run.codes):
        raise InputError(
            f"{run.folder.name} does not fit {obj.name} any more: it has {len(run.codes):,} Gaussians.",
            f"{KEPT} Press Segment for a new run.",
        )
    return rows


def _table(obj: SplatObject, run: Run, rows: np.ndarray, codes: np.ndarray) -> LabelTable:
    """The label table of the changed codes. Positions and colours come from the cloud's attributes."""
    base = point_clouds.need_column(obj.data, at.BASE)
    position = shapes.positions_in_file(obj)
    means, colors = np.full((len(codes), 3), np.nan, np.float32), np.full((len(codes), 3), 0.5, np.float32)
    means[rows], colors[rows] = position, base[:, :3] * np.float32(SH_C0) + np.float32(0.5)
    confidence = read_extras(run).confidence
    offset = np.array(obj.bgs.ply_layout.offset)
    return build_label_table(run.layout, codes, means, run.opacities, colors, confidence, offset)


def _say(text: str) -> None:
    """Print a sentence. Blender has no other way while it saves a file."""
    print(printable(f"Binary Gaussian Segmentation: {text}"))  # noqa: T201


@persistent
def _before_save(*_: object) -> None:
    for obj in bpy.data.objects:
        if not point_clouds.is_splat(obj) or obj.bgs.whole is not None or not obj.bgs.level_bits or obj.bgs.is_alone:
            continue
        place = obj.bgs.path_of(obj.bgs.run_folder)
        if place is None or not (obj.bgs.run_changed or Path(os.path.realpath(place)) in _written):
            continue
        try:
            save(obj)
        except BgsError as error:
            with without_updates():
                obj.bgs.run_changed = True  # the button stays highlighted, in the saved file too
            _say(f"{place.name} was not updated. {error}")


def start() -> None:
    """Start writing to run folders when the .blend is saved."""
    bpy.app.handlers.save_pre.append(_before_save)


def stop() -> None:
    """Stop writing to run folders."""
    bpy.app.handlers.save_pre.remove(_before_save)
    _written.clear()
