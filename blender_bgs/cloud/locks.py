"""Locked labels: their Gaussians keep their codes, and no other Gaussian gets their label.

This is the one place that decides. `labels.replace_codes`, through which all edits of labels go, asks it.
"""

from collections.abc import Collection

import numpy as np
from bgs_engine.core.errors import UsageError

from ..logic.label_states import codes_with
from ..logic.label_tree import CodeTable, Key
from . import label_rows
from .code_tables import codes_of, table_of
from .typed import SplatObject

NAMED = 3  # labels that a sentence names
HINT = "Open the lock in the list, or leave out what is locked."


def locked_labels(obj: SplatObject) -> dict[Key, str]:
    """The name of each locked label."""
    if not label_rows.column(obj, "locked").any():
        return {}
    return {(row.level, row.label): row.name for row in obj.bgs.labels if row.locked}


def refuse_changes(obj: SplatObject, codes: np.ndarray) -> None:
    """Raise `UsageError` if new codes, int32 [N], change the code of a locked Gaussian, or lock another one in."""
    locked = locked_labels(obj)
    if not locked:
        return
    table = table_of(obj)
    changed = np.flatnonzero(codes_of(obj) != codes)
    if not len(changed):
        return
    before = CodeTable.of(codes_of(obj)[changed], table.layout)
    after = CodeTable.of(codes[changed], table.layout)
    _refuse(locked, [key for key in locked if codes_with(before, [key]).any() or codes_with(after, [key]).any()])


def refuse(obj: SplatObject, rows: np.ndarray) -> None:
    """Raise `UsageError` if one of the Gaussians `rows`, bool [N], is locked."""
    locked = locked_labels(obj)
    _refuse(locked, _among(obj, rows, locked))


def refuse_losses(obj: SplatObject) -> None:
    """Raise `UsageError` if Gaussians of a locked label were deleted in its object, so that a merge would lose them."""
    locked = locked_labels(obj)
    lost = {(row.level, row.label) for row in obj.bgs.labels if row.locked and row.seen < row.count}
    _refuse(locked, [key for key in locked if key in lost])


def without_locked(obj: SplatObject, rows: np.ndarray) -> tuple[np.ndarray, str]:
    """Those of the Gaussians `rows`, bool [N], that are not locked, and a note for the user about the others, or "".

    Raises:
        UsageError: all of them are locked.
    """
    locked = locked_labels(obj)
    found = _among(obj, rows, locked)
    if not found:
        return rows, ""
    table = table_of(obj)
    free = rows & ~codes_with(table, found)[table.inverse]
    if not free.any():
        _refuse(locked, found)
    return free, f". {_named(locked, found)} locked and {'was' if len(found) == 1 else 'were'} left out"


def _among(obj: SplatObject, rows: np.ndarray, locked: Collection[Key]) -> list[Key]:
    """The locked labels that have one of the Gaussians `rows`."""
    if not locked:
        return []
    table = table_of(obj)
    hit = np.bincount(table.inverse[rows], minlength=len(table.unique)) > 0
    return [key for key in locked if (codes_with(table, [key]) & hit).any()]


def _refuse(locked: dict[Key, str], found: list[Key]) -> None:
    if found:
        raise UsageError(f"{_named(locked, found)} locked.", HINT)


def _named(locked: dict[Key, str], found: list[Key]) -> str:
    """For example "Chair and Table are"."""
    names = [locked[key] for key in found]
    if len(names) == 1:
        return f"{names[0]} is"
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more are"
    return f"{', '.join(names[:-1])} and {names[-1]} are"
