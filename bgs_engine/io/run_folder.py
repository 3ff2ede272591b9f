"""The run folder, which holds the result of a segmentation. docs/reference/formats.md describes it for other programs.

A running job writes to `.<name>.partial` beside the target, and `finish` moves that folder into place as a whole. An
earlier result survives until then. A killed job leaves its checkpoint for `--resume`.
"""

import hashlib
import operator
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.cameras import FrameChange, frame_change_from
from bgs_engine.core.codes import CODE_BYTE_NAMES, CODE_INT_NAME, MAX_BITS, BitLayout, code_bytes, codes_from_bytes
from bgs_engine.core.errors import InputError, OutputError, UsageError
from bgs_engine.core.file_set import files_below
from bgs_engine.core.files import read_json, write_json, writing
from bgs_engine.core.label_table import LabelTable, read_labels, write_labels
from bgs_engine.io.arrays import load_array
from bgs_engine.io.output_place import RUN, RUN_INFO, FolderKind, move_into_place, old_folder, partial_folder
from bgs_engine.io.output_place import is_run_folder as is_run_folder  # for those who read runs
from bgs_engine.io.ply import SplatPly, read_ply, write_ply
from bgs_engine.io.ply_rows import row_dtype
from bgs_engine.io.run_update import mend, updating

RUN_FORMAT = 1
COPIED_AT_ONCE = 1 << 20  # bytes
ENGINE_ANSWER = (("codes.npy", "codes_engine.npy"), ("labels.json", "labels_engine.json"))


@dataclass(frozen=True)
class Run:
    """A finished run folder, opened."""

    folder: Path
    info: dict[str, Any]
    layout: BitLayout
    codes: np.ndarray  # int32 [N], PLY row order
    opacities: np.ndarray  # float32 [N] in 0..1, fine-tuned for segmentation; the look keeps the source's

    @property
    def ply(self) -> SplatPly:
        """The source rows with the code bytes appended."""
        return read_ply(self.folder / "scene.ply")

    @property
    def frame_change(self) -> FrameChange | None:
        """How the run moved the cameras of its dataset into the splat's frame; None: not at all."""
        return frame_change_from(self.info.get("frame_change"))

    def labels(self) -> LabelTable:
        """The label table with the names people gave.

        Raises:
            InputError: it is damaged, or has the bits of another segmentation.
        """
        table = read_labels(self.folder / "labels.json")
        if table.layout != self.layout:
            raise InputError(
                f"labels.json has the level bits {table.layout}, and run.json has {self.layout}.",
                "Put the run's own labels.json back, or run the segmentation again.",
            )
        return table

    def checked_labels(self) -> LabelTable:
        """The label table, which has the labels that the codes have at every level.

        Raises:
            InputError: it is damaged, or belongs to other codes.
        """
        table = self.labels()
        for level in range(1, self.layout.levels + 1):
            table.of_codes(level, np.unique(self.layout.labels(self.codes, level)).tolist())
        return table


def run_id_of(folder: Path) -> str:
    """The identity of a run, which `finish` gives it; "" for a run of an older version or none at all."""
    try:
        info = read_json(folder / RUN_INFO)
    except InputError:
        return ""
    run_id = info.get("id") if isinstance(info, dict) else None
    return run_id if isinstance(run_id, str) and run_id.isascii() and run_id.isprintable() else ""


def open_run(folder: Path) -> Run:
    """Open a run folder and check that its parts fit together. Labels that a killed Blender left half-saved are mended.

    Raises:
        InputError: parts are missing or differ in length, scene.ply is not the run's own, or the format is newer.
    """
    folder = Path(folder)
    if not folder.exists() and old_folder(folder).is_dir():
        raise InputError(
            f"There is no {folder}: a job that was to replace it was killed. The earlier run waits in "
            f"{old_folder(folder)}.",
            f"Rename that folder to {folder.name}, or run the job again.",
        )
    if folder.is_file():
        raise InputError(
            f"{folder.name} is a file, and no run folder.", "Give the folder that the segmentation has made."
        )
    mend(folder)
    again = "Run the segmentation again."
    info = read_json(folder / "run.json", again)
    if not isinstance(info, dict) or not isinstance(info.get("format"), int):
        raise InputError(f"{folder / 'run.json'} is damaged.", again)
    if info["format"] > RUN_FORMAT:
        raise InputError(
            f"{folder.name} has run format {info['format']}; this version reads up to {RUN_FORMAT}.",
            "Update Binary Gaussian Segmentation.",
        )
    codes = load_column(folder / "codes.npy", np.int32)
    opacities = load_column(folder / "opacity.npy", np.float32)
    if len(codes) != len(opacities):
        raise InputError(f"{folder.name} has {len(codes):,} codes but {len(opacities):,} opacities.", again)
    try:
        layout = BitLayout(tuple(map(operator.index, info["level_bits"])))
    except (KeyError, TypeError, ValueError, UsageError):
        raise InputError(f"{folder / 'run.json'} has no usable level_bits.", again) from None
    if layout.total < MAX_BITS and (codes.view(np.uint32) >> np.uint32(layout.total)).any():
        raise InputError(f"{folder / 'codes.npy'} holds codes of more than {layout.total} bits.", again)
    run = Run(folder, info, layout, codes, opacities)
    _refuse_another_splat(run)
    return run


def _refuse_another_splat(run: Run) -> None:
    """Raise `InputError` where scene.ply is not the one of the run: its rows would get labels of others."""
    ply, known = run.ply, run.info.get("scene")
    back = "Put the run's own scene.ply back, or segment the changed splat again."
    if ply.count != len(run.codes):
        raise InputError(
            f"scene.ply of {run.folder.name} has {ply.count:,} Gaussians, but the run has labels of "
            f"{len(run.codes):,}: it was changed or replaced since.",
            back,
        )
    expected = known.get("positions_sha256") if isinstance(known, dict) else None
    if expected is not None and expected != positions_sha256(ply):
        raise InputError(
            f"scene.ply of {run.folder.name} is not the one that the run labelled: its Gaussians have other places "
            "or another order.",
            back,
        )


def positions_sha256(ply: SplatPly) -> str:
    """The identity of a splat's rows: SHA-256 of all positions in file order, as float64.

    Rows that are removed, added, moved or reordered change it. Colours and codes may change.
    """
    digest = hashlib.sha256()
    for _, (block,) in ply.column_blocks([("x", "y", "z")], np.float64):
        digest.update(block.astype("<f8", copy=False).tobytes())
    return digest.hexdigest()


def read_confidence(folder: Path, count: int) -> np.ndarray | None:
    """The confidence of each Gaussian's label, float32 [count] in 0..1. None if the run folder has no such file.

    Raises:
        InputError: the file is damaged, has another number of values, or values outside 0..1.
    """
    path = folder / "confidence.npy"
    if not os.path.lexists(path):
        return None
    values = load_column(path, np.float32)
    if len(values) != count:
        raise InputError(f"{path} has {len(values):,} values for {count:,} Gaussians.", "Run the segmentation again.")
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError(f"{path} has values outside 0 to 1.", "Run the segmentation again.")
    return values


def load_column(path: Path, dtype: type) -> np.ndarray:
    """A list of one number for each Gaussian.

    Raises:
        InputError: the file is missing, damaged, or holds something else.
    """
    stored = load_array(path, "Run the segmentation again.")
    if stored.dtype != dtype or stored.ndim != 1:
        raise InputError(f"{path} should be a list of {np.dtype(dtype).name}.", "Run the segmentation again.")
    return stored


def codes_in(ply: SplatPly) -> np.ndarray | None:
    """Codes that a PLY carries, int32 [N], as bytes seg_0..seg_3 or as one integer `bgs_code`; None without codes.

    A float `bgs_code` is ignored, because an editor that turned integers into float32 lost their low bits.
    """
    if all(name in ply.names and ply.dtype[name].kind == "u" for name in CODE_BYTE_NAMES):
        return codes_from_bytes(ply.columns(CODE_BYTE_NAMES, np.uint8))
    if CODE_INT_NAME in ply.names and ply.dtype[CODE_INT_NAME].kind in "iu":
        return ply.column(CODE_INT_NAME).astype(np.uint32).view(np.int32)
    return None


def write_coded_ply(path: Path, ply: SplatPly, codes: np.ndarray) -> None:
    """Write the source's rows unchanged and in order, with codes int32 [N] as uchar seg_0..seg_3.

    Raises:
        InputError: the file cannot be written.
    """
    dtype = row_dtype(ply, [(name, "u1") for name in CODE_BYTE_NAMES])
    columns = code_bytes(codes)

    def chunks() -> Iterator[np.ndarray]:
        for start, rows in ply.chunks():
            out = np.empty(len(rows), dtype)
            for name in (name for name in ply.names if name not in ply.added):
                out[name] = rows[name]
            for k, name in enumerate(CODE_BYTE_NAMES):
                out[name] = columns[start : start + len(rows), k]
            yield out

    write_ply(path, dtype, chunks(), ply.count, ply.comments)


def write_run(
    folder: Path,
    ply: SplatPly,
    codes: np.ndarray,
    opacities: np.ndarray,
    table: LabelTable,
    info: dict[str, Any],
    confidence: np.ndarray | None = None,
) -> None:
    """Write a finished run into `folder` (the partial one while a job runs).

    Args:
        codes: int32 [N]; opacities: float32 [N] in 0..1; confidence: float32 [N] in 0..1 or None.
        info: JSON-able facts for run.json; format, level_bits, counts and the splat's identity are added here.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_array(folder / "codes.npy", np.ascontiguousarray(codes, np.int32))
    write_array(folder / "opacity.npy", np.ascontiguousarray(opacities, np.float32))
    if confidence is not None:
        write_array(folder / "confidence.npy", np.ascontiguousarray(confidence, np.float32))
    write_coded_ply(folder / "scene.ply", ply, codes)
    write_labels(folder / "labels.json", table)
    facts = {
        "format": RUN_FORMAT,
        "level_bits": table.layout.level_bits,
        "labels_per_level": [len(level) for level in table.levels],
        "scene": {"gaussians": ply.count, "positions_sha256": positions_sha256(ply)},
    }
    write_json(folder / "run.json", {**facts, **info})


def write_array(path: Path, values: np.ndarray) -> None:
    """Write an array as .npy, as a whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path) as stream:
        np.save(stream, values, allow_pickle=False)


def save_labels(run: Run, codes: np.ndarray, table: LabelTable) -> None:
    """Replace the codes of a run, int32 [N], and its label table: all files that hold them, or none.

    The first time, the engine's own answer is kept as `codes_engine.npy` and `labels_engine.json`. The caller holds the
    lock on the folder (`only_writer`).

    Raises:
        OutputError: the folder cannot be written. The run is as it was.
    """
    with updating(run.folder) as new:
        for name, kept in ENGINE_ANSWER:
            if (run.folder / name).is_file() and not (run.folder / kept).exists():
                with writing(new / kept) as stream, (run.folder / name).open("rb") as original:
                    while block := original.read(COPIED_AT_ONCE):
                        stream.write(block)
        write_array(new / "codes.npy", np.ascontiguousarray(codes, np.int32))
        write_labels(new / "labels.json", table)
        write_coded_ply(new / "scene.ply", run.ply, codes)
        write_json(new / RUN_INFO, {**run.info, "labels_per_level": [len(level) for level in table.levels]})


def finish(folder: Path) -> None:
    """Give the partial run of `folder` its identity and the list of its files, and move it into place.

    Of an earlier run only its own files are replaced, and only now.

    Raises:
        InputError: there is no partial run.
        OutputError: the move failed. The earlier run is still there, or the message says where it waits.
    """
    partial = partial_folder(folder)
    info = read_json(partial / RUN_INFO)
    write_json(partial / RUN_INFO, {**info, "id": uuid.uuid4().hex, "files": files_below(partial)})
    deliver(folder, RUN)


def deliver(folder: Path, kind: FolderKind) -> None:
    """`move_into_place` of the partial folder of `folder`, with failures as errors for users.

    Raises:
        OutputError: a move failed.
    """
    try:
        move_into_place(partial_folder(folder), folder, kind)
    except OSError as error:
        old, reason = old_folder(folder), error.strerror or error
        if not old.is_dir():
            problem, hint = f"{folder} cannot be replaced: {reason}.", "Close programs that use it."
        elif folder.exists():
            problem = f"{folder} holds the new {kind.name}, but files that lay there are left in {old}: {reason}."
            hint = f"The next {kind.name} that is written there puts them back."
        else:
            problem = f"{folder} cannot be replaced: {reason}. The earlier {kind.name} waits in {old}."
            hint = f"Rename that folder to {folder.name}, or run the job again."
        raise OutputError(problem, hint) from None
