"""Writes one PLY per label, as one sees the labels or as the file had them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from bgs_engine.core.errors import UsageError
from bgs_engine.core.file_names import safe_names

from ..cloud import code_tables
from ..cloud.properties import BGS_Label
from ..cloud.typed import SplatObject
from .exporter import ExportConfig, imported_rows, seen_rows, write_rows


def write_label_files(
    obj: SplatObject, folder: Path, config: ExportConfig, chosen: Sequence[BGS_Label], level: int,
    as_imported: bool, check: Callable[[Path], None], needs_all: bool, hint: str,
) -> tuple[int, list[str]]:  # fmt: skip
    """Write one file for each of the labels `chosen` that has Gaussians left.

    Args:
        obj: the whole cloud.
        folder: it gets the files, each named after its label.
        config: the options. `only` does not count.
        chosen: labels of `level`.
        level: the level of the labels.
        as_imported: write the Gaussians where the source file had them.
        check: called for every file before any is written. It raises where the file must not be written.
        needs_all: whether every label must have Gaussians left. One must, in any case.
        hint: what to do where they have none.

    Returns:
        The number of files, and the names of the labels of which nothing is left.

    Raises:
        UsageError: the cloud has no codes; nothing is left of the labels; or see `seen_rows` and `imported_rows`.
        InputError: a file cannot be written.
    """
    made = (imported_rows if as_imported else seen_rows)(obj, config)
    codes = made.codes
    if codes is None:
        raise UsageError(f"{obj.name} has lost its codes.", "Segment it again.")
    of_row = code_tables.bit_layout_of(obj).labels(codes, level)
    order = np.argsort(of_row, kind="stable")
    starts, ends = (np.searchsorted(of_row[order], [row.label for row in chosen], side) for side in ("left", "right"))
    there = [(row, order[a:b]) for row, a, b in zip(chosen, starts, ends, strict=True) if b > a]
    gone = [row.name for row, a, b in zip(chosen, starts, ends, strict=True) if b == a]
    if gone and (needs_all or not there):
        raise UsageError(f"The objects of {', '.join(gone)} were deleted.", hint)
    files = [folder / f"{name}.ply" for name in safe_names([row.name for row, _ in there])]
    for file in files:
        check(file)
    for (_, rows), file in zip(there, files, strict=True):
        write_rows([made.rows[rows]], [obj], file, config)
    return len(there), gone
