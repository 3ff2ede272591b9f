"""Remembers the Gaussians that cleaning took away from label objects, so that each comes back exactly once.

The points that stay are marked by the number of what was taken away beside them. The whole cloud has the rows of each
number. Blender's Join, Separate and Duplicate keep the marks, while they lose or repeat what an object itself knows.
"""

import zlib
from typing import Any

import numpy as np

from ..cloud import code_tables, point_clouds
from ..cloud.typed import SplatObject
from ..logic import attributes as at

RECORD = "bgs_clean_gone"  # custom property of a whole cloud: the rows by number


def note(whole: SplatObject, rows: np.ndarray, all_rows: np.ndarray) -> int:
    """Write down rows, int [G], that were taken away from an object with `all_rows`. Returns their number, never 0."""
    key = np.concatenate([np.sort(rows), np.sort(all_rows)]).astype("<i8")
    number = max(zlib.crc32(key.tobytes()) & 0x7FFFFFFF, 1)
    if whole.get(RECORD) is None:
        whole[RECORD] = {}
    record: Any = whole[RECORD]
    record[str(number)] = rows.tolist()
    return number


class Shares:
    """Which of the Gaussians that were taken away each label object of a whole cloud has to give back.

    Objects that hold different Gaussians beside the same ones are halves of one object: the largest gives them back.
    Duplicates hold the same Gaussians, so each gives them back.
    """

    def __init__(self, whole: SplatObject) -> None:
        kept: Any = whole.get(RECORD)
        held: dict[int, list[tuple[SplatObject, np.ndarray]]] = {}
        self._rows: dict[int, dict[int, np.ndarray]] = {}
        self._halves: dict[int, list[tuple[SplatObject, int]]] = {}
        for part in code_tables.parts_of(whole) if kept is not None else []:
            mark, rows = (point_clouds.get_column(part.data, name) for name in (at.GONE, at.ROW))
            if mark is not None and rows is not None:
                for number in np.unique(mark[mark > 0]).tolist():
                    held.setdefault(number, []).append((part, rows[mark == number]))
        for number, holders in held.items():
            rows_gone = np.array(kept.get(str(number), []), np.int32)
            for family in _families(holders):
                leader, *others = (part for part, _ in family)
                there = [point_clouds.need_column(part.data, at.ROW) for part in (leader, *others)]
                missing = rows_gone[~np.isin(rows_gone, np.concatenate(there))]
                earlier = self._rows.setdefault(leader.session_uid, {})
                earlier[number] = missing[~np.isin(missing, np.concatenate([missing[:0], *earlier.values()]))]
                self._halves.setdefault(leader.session_uid, []).extend((other, number) for other in others)

    def rows_of(self, part: SplatObject, number: int | None = None) -> np.ndarray:
        """The rows that a label object gives back, int32 [G], ascending; only those of one number, if it is given."""
        found = self._rows.get(part.session_uid, {})
        rows = [values for key, values in found.items() if number in (None, key)]
        return np.sort(np.concatenate([np.zeros(0, np.int32), *rows]))

    def settle(self, part: SplatObject) -> None:
        """The other halves of an object forget what it gave back."""
        for other, number in self._halves.get(part.session_uid, []):
            mark = point_clouds.get_column(other.data, at.GONE)
            if mark is not None:
                point_clouds.set_column(other.data, at.Column(at.GONE, "INT", np.where(mark == number, 0, mark)))


def has_record(part: SplatObject) -> bool:
    """Whether something was taken away from an object or from the one that it was a half of."""
    mark, kept = point_clouds.get_column(part.data, at.GONE), part.bgs.whole.get(RECORD)
    if mark is None or kept is None:
        return False
    return any(len(kept.get(str(number), ())) for number in np.unique(mark).tolist())


def tidy(whole: SplatObject) -> None:
    """Forget what no point of a label object is marked by any more."""
    kept: Any = whole.get(RECORD)
    if kept is None:
        return
    marks = [point_clouds.get_column(part.data, at.GONE) for part in code_tables.parts_of(whole)]
    used = {number for mark in marks if mark is not None for number in np.unique(mark).tolist()}
    for number in [number for number in kept if int(number) not in used]:
        del kept[number]
    if not len(kept):
        del whole[RECORD]


def _families(holders: list[tuple[SplatObject, np.ndarray]]) -> list[list[tuple[SplatObject, np.ndarray]]]:
    """Objects in groups in which no row occurs twice. The largest object of a group is its first."""
    families: list[list[tuple[SplatObject, np.ndarray]]] = []
    for part, rows in sorted(holders, key=lambda one: -len(one[1])):
        fits = (one for one in families if not any(np.isin(rows, theirs).any() for _, theirs in one))
        family = next(fits, None)
        if family is None:
            families.append([(part, rows)])
        else:
            family.append((part, rows))
    return families
