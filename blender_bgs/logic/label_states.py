"""What holds for Gaussians, summed up for labels. Levels agree, because all of them count the same Gaussians."""

from collections.abc import Iterable, Mapping

import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.palette import Key

from .label_tree import CodeTable


def sums_by_label(table: CodeTable, per_code: np.ndarray) -> dict[Key, int]:
    """The sum of `per_code`, int [U] (a number for each different code), over each label of each level."""
    out: dict[Key, int] = {}
    if not len(table.unique):
        return out
    for level in range(1, table.layout.levels + 1):
        labels = table.labels(level)  # ascending, because the codes are
        starts = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
        sums = np.add.reduceat(per_code, starts)
        out.update(((level, label), total) for label, total in zip(labels[starts].tolist(), sums.tolist(), strict=True))
    return out


def sums_of_labels(table: CodeTable, per_code: np.ndarray, levels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """As `sums_by_label`, for R labels: `levels` int [R], `labels` uint32 [R]. int64 [R], 0 where no code has it."""
    out = np.zeros(len(levels), np.int64)
    for level in range(1, table.layout.levels + 1) if len(table.unique) else ():
        mine, of_code = levels == level, table.labels(level)  # ascending, because the codes are
        starts = np.flatnonzero(np.concatenate([[True], of_code[1:] != of_code[:-1]]))
        ids, totals = of_code[starts], np.add.reduceat(per_code, starts)
        place = np.searchsorted(ids, labels[mine]).clip(max=len(ids) - 1)
        out[mine] = np.where(ids[place] == labels[mine], totals[place], 0)
    return out


def codes_with(table: CodeTable, keys: Iterable[Key]) -> np.ndarray:
    """Which codes have one of the labels `keys`, bool [U]."""
    found = np.zeros(len(table.unique), bool)
    by_level: dict[int, list[int]] = {}
    for level, label in keys:
        by_level.setdefault(level, []).append(label)
    for level, labels in by_level.items():
        if 1 <= level <= table.layout.levels:
            found |= np.isin(table.labels(level), np.array(labels, np.uint32))
    return found


def relative_at(layout: BitLayout, key: Key, level: int, counts: Mapping[Key, int]) -> Key | None:
    """The label of another level that stands for label `key`: its ancestor, or its largest descendant.

    `counts` has the number of Gaussians of every label. It returns None if the label has no descendant there.
    """
    at_level, label = key
    while at_level > level:
        label = int(layout.parent(label, at_level))
        at_level -= 1
    while at_level < level:
        at_level += 1
        children = [one for (there, one) in counts if there == at_level and layout.parent(one, at_level) == label]
        if not children:
            return None
        label = max(children, key=lambda one: counts[(at_level, one)])
    return at_level, label


def clicked(row: int, active: int, order: list[int], before: set[int], extend: bool, fill: bool) -> set[int]:
    """The rows of a list that are selected after a click on `row`, as in Blender's outliner.

    Args:
        row: the clicked row.
        active: the active row, from which a range starts.
        order: the rows in the order in which the list shows them.
        before: the rows that are selected now.
        extend: Ctrl: the click turns the row over and leaves the others.
        fill: Shift: the click selects all rows from the active one to this one; with `extend` the others stay.
    """
    if fill and row in order and active in order:
        first, last = sorted((order.index(active), order.index(row)))
        span = set(order[first : last + 1])
        return before | span if extend else span
    if extend:
        return before ^ {row}
    return {row}
