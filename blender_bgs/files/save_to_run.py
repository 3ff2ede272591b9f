"""Writes changed names and labels to the run folder.

Names are written at once. Labels are written when the user presses Save to Run Folder or saves the .blend, because Undo
works on the .blend only. The first save copies the engine's result to `codes_engine.npy` and `labels_engine.json`.
"""

import shutil
from pathlib import Path

import bpy
import numpy as np
from bgs_engine.core.errors import BgsError, InputError, UsageError
from bgs_engine.core.files import read_json, write_json, writing
from bgs_engine.core.label_table import LabelTable, build_label_table, read_labels, write_labels
from bgs_engine.core.printable import printable
from bgs_engine.io.gaussians import SH_C0
from bgs_engine.io.run_folder import Run, open_run, run_id_of, write_coded_ply
from bpy.app.handlers import persistent

from ..cloud import code_tables, point_clouds
from ..cloud.properties import without_updates
from ..cloud.typed import SplatObject
from ..logic import attributes as at

BACKUPS = (("codes.npy", "codes_engine.npy"), ("labels.json", "labels_engine.json"))

# Run folders that this session has written to. Saving the .blend writes only to these and to the folders of splats with
# changed labels. Otherwise, saving an old .blend would overwrite the labels that a newer .blend wrote.
_written: set[Path] = set()


def save(obj: SplatObject) -> bool:
    """Update codes.npy, labels.json, scene.ply and run.json in the run folder. Returns whether anything was written.

    Each file is replaced as a whole. Gaussians that were deleted in Blender keep their codes in the folder.

    Raises:
        UsageError: the cloud has no run folder.
        InputError: the folder belongs to another splat, or cannot be written.
    """
    folder = obj.bgs.run
    if folder is None:
        raise UsageError(f"{obj.name} has no run folder.", "The .blend keeps its labels. Segment makes a run folder.")
    _refuse_another_run(obj, folder)
    run = open_run(folder)
    codes = _codes_for(obj, run)
    names = {(row.level, row.label): row.name for row in obj.bgs.labels}
    with without_updates():
        obj.bgs.run_changed = False
    _written.add(folder)
    if np.array_equal(codes, run.codes):
        return _write_names(folder, names)
    for name, backup in BACKUPS:
        if not (folder / backup).exists() and (folder / name).is_file():
            _copy(folder / name, folder / backup)
    table = _table(obj, run, codes)
    _name(table, names)
    with writing(folder / "codes.npy") as partial, partial.open("wb") as stream:
        np.save(stream, codes)
    write_labels(folder / "labels.json", table)
    write_json(folder / "run.json", {**read_json(folder / "run.json"), "labels_per_level": [*map(len, table.levels)]})
    write_coded_ply(folder / "scene.ply", run.ply, codes)
    return True


def confidence_in(run: Path, count: int) -> np.ndarray | None:
    """The confidence of each row's label, float32 [count] in 0..1, or None if the run folder has none that fits."""
    file = run / "confidence.npy"
    values = np.load(file, allow_pickle=False) if file.is_file() else None
    return values if values is not None and values.shape == (count,) else None


def save_names(obj: SplatObject) -> None:
    """Write the names to the run folder's labels.json, for other programs. Called when the user changes a name."""
    folder = (obj.bgs.whole or obj).bgs.run
    if folder is None or not (folder / "labels.json").is_file():
        return
    try:
        _refuse_another_run(obj.bgs.whole or obj, folder)
        _write_names(folder, {(row.level, row.label): row.name for row in obj.bgs.labels})
        _written.add(folder)
    except BgsError as error:
        print(printable(f"Binary Gaussian Segmentation: names were not written to the run folder. {error}"))  # noqa: T201


def _refuse_another_run(obj: SplatObject, folder: Path) -> None:
    """Raise `InputError` where another run has been written to the folder since the labels were read from it."""
    if run_id_of(folder) != obj.bgs.run_id:
        raise InputError(
            f"Another run lies in {folder.name} now: the labels of {obj.name} did not come from it.",
            "Import that run, segment again, or keep the labels only in the .blend.",
        )


def _write_names(folder: Path, names: dict[tuple[int, int], str]) -> bool:
    table = read_labels(folder / "labels.json")
    if not _name(table, names):
        return False
    write_labels(folder / "labels.json", table)
    return True


def _name(table: LabelTable, names: dict[tuple[int, int], str]) -> bool:
    changed = False
    for level, rows in enumerate(table.levels, 1):
        for row in rows:
            name = names.get((level, row.label), row.name)
            changed |= name != row.name
            row.name = name
    return changed


def _codes_for(obj: SplatObject, run: Run) -> np.ndarray:
    """The cloud's codes in the order of the run folder's scene.ply, int32 [N]."""
    rows, codes = point_clouds.get_column(obj.data, at.ROW), code_tables.codes_of(obj)
    same_bits = obj.bgs.level_bits == ",".join(map(str, run.layout.level_bits))
    if rows is None or not same_bits or rows.max(initial=0) >= len(run.codes):
        raise InputError(
            f"{run.folder.name} does not fit {obj.name} any more: it has {len(run.codes):,} Gaussians.",
            "Segment again, or keep the labels only in the .blend.",
        )
    out = run.codes.copy()
    out[rows] = codes
    return out


def _table(obj: SplatObject, run: Run, codes: np.ndarray) -> LabelTable:
    """The label table of the changed codes. Positions and colours come from the cloud's attributes."""
    rows, position, base = (point_clouds.need_column(obj.data, name) for name in (at.ROW, at.POSITION, at.BASE))
    means, colors = np.full((len(codes), 3), np.nan, np.float32), np.full((len(codes), 3), 0.5, np.float32)
    means[rows], colors[rows] = position, base[:, :3] * np.float32(SH_C0) + np.float32(0.5)
    confidence = confidence_in(run.folder, len(codes))
    return build_label_table(run.layout, codes, means, run.opacities, colors, confidence)


def _copy(source: Path, target: Path) -> None:
    with writing(target) as partial:
        shutil.copyfile(source, partial)


@persistent
def _before_save(*_: object) -> None:
    for obj in bpy.data.objects:
        if not point_clouds.is_splat(obj) or obj.bgs.whole is not None or not obj.bgs.level_bits:
            continue
        folder = obj.bgs.run
        if folder is None or not (obj.bgs.run_changed or folder in _written):
            continue
        try:
            save(obj)
        except BgsError as error:
            print(printable(f"Binary Gaussian Segmentation: {folder.name} was not updated. {error}"))  # noqa: T201


def start() -> None:
    """Start writing to run folders when the .blend is saved."""
    bpy.app.handlers.save_pre.append(_before_save)


def stop() -> None:
    """Stop writing to run folders."""
    bpy.app.handlers.save_pre.remove(_before_save)
    _written.clear()
