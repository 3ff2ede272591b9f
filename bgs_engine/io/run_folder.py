"""The run folder, which holds the result of a segmentation. docs/reference/formats.md describes it for other programs.

A running job writes to `.<name>.partial` beside the target, and `finish` moves that folder into place as a whole. An
earlier result survives until then. A killed job leaves its checkpoint for `--resume`.
"""

import operator
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np

from bgs_engine.core.cameras import FrameChange, frame_change_from
from bgs_engine.core.codes import CODE_BYTE_NAMES, CODE_INT_NAME, BitLayout, code_bytes, codes_from_bytes
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.files import read_json, write_json
from bgs_engine.core.label_table import LabelTable, read_labels, write_labels
from bgs_engine.io.output_place import RUN_INFO, files_below, move_into_place, partial_folder
from bgs_engine.io.output_place import is_run_folder as is_run_folder  # for those who read runs
from bgs_engine.io.ply import SplatPly, read_ply, write_ply
from bgs_engine.io.ply_rows import row_dtype

RUN_FORMAT = 1


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
        """The label table with the names people gave."""
        return read_labels(self.folder / "labels.json")


def run_id_of(folder: Path) -> str:
    """The identity of a run, which `finish` gives it; "" for a run of an older version or none at all."""
    try:
        info = read_json(folder / RUN_INFO)
    except InputError:
        return ""
    return str(info.get("id", "")) if isinstance(info, dict) else ""


def open_run(folder: Path) -> Run:
    """Open a run folder and check that its parts fit together.

    Raises:
        InputError: parts are missing or differ in length, or the format is newer.
    """
    folder = Path(folder)
    info = read_json(folder / "run.json")
    again = "Run the segmentation again."
    if not isinstance(info, dict) or not isinstance(info.get("format"), int):
        raise InputError(f"{folder / 'run.json'} is damaged.", again)
    if info["format"] > RUN_FORMAT:
        raise InputError(
            f"{folder.name} has run format {info['format']}; this version reads up to {RUN_FORMAT}.",
            "Update Binary Gaussian Segmentation.",
        )
    codes = _load(folder / "codes.npy", np.int32)
    opacities = _load(folder / "opacity.npy", np.float32)
    if len(codes) != len(opacities):
        raise InputError(f"{folder.name} has {len(codes):,} codes but {len(opacities):,} opacities.", again)
    try:
        layout = BitLayout(tuple(map(operator.index, info["level_bits"])))
    except (KeyError, TypeError, ValueError, UsageError):
        raise InputError(f"{folder / 'run.json'} has no usable level_bits.", again) from None
    return Run(folder, info, layout, codes, opacities)


def _load(path: Path, dtype: type) -> np.ndarray:
    try:
        # Mapped first: numpy then compares what the header promises with the file's size before it asks for memory.
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, TypeError, OverflowError, SyntaxError, BadZipFile, TokenError) as error:
        raise InputError(f"{path} cannot be read ({error}).", "Run the segmentation again.") from None
    if not isinstance(stored, np.ndarray) or stored.dtype != dtype or stored.ndim != 1:
        raise InputError(f"{path} should be a list of {np.dtype(dtype).name}.", "Run the segmentation again.")
    return np.array(stored)


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
            for name in ply.names:
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
        info: JSON-able facts for run.json; format, level_bits and counts are added here.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "codes.npy", np.ascontiguousarray(codes, np.int32))
        np.save(folder / "opacity.npy", np.ascontiguousarray(opacities, np.float32))
        if confidence is not None:
            np.save(folder / "confidence.npy", np.ascontiguousarray(confidence, np.float32))
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.", "Free some disk space.") from None
    write_coded_ply(folder / "scene.ply", ply, codes)
    write_labels(folder / "labels.json", table)
    counts = [len(level) for level in table.levels]
    write_json(
        folder / "run.json",
        {"format": RUN_FORMAT, "level_bits": table.layout.level_bits, "labels_per_level": counts, **info},
    )


def finish(folder: Path) -> None:
    """Give the partial run of `folder` its identity and the list of its files, and move it into place.

    Of an earlier run only its own files are replaced, and only now.

    Raises:
        InputError: the move failed. The earlier run is still there.
    """
    partial = partial_folder(folder)
    info = read_json(partial / RUN_INFO)
    write_json(partial / RUN_INFO, {**info, "id": uuid.uuid4().hex, "files": files_below(partial)})
    try:
        move_into_place(partial, folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be replaced: {error.strerror}.", "Close programs that use it.") from None
