"""The labels of a cloud as a small table of the different codes in use.

A million Gaussians have at most a few thousand different codes. Labels are computed on those, and one gather brings the
result back to the Gaussians. This makes the level slider fast.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.core.palette import Color, Key, label_colors, largest_first

from .label_names import unique_name


@dataclass(frozen=True)
class Entry:
    """One label of one level. `count` is its number of Gaussians; `color` is sRGB in 0..1."""

    level: int
    label: int
    parent: int
    count: int
    name: str
    color: Color

    @property
    def key(self) -> Key:
        """(level, label)."""
        return self.level, self.label


@dataclass(frozen=True)
class CodeTable:
    """The different codes of a cloud: `unique` uint32 [U], ascending, and `counts` [U] of their Gaussians.

    `inverse` int32 [N] is the index into `unique` of each Gaussian's code.
    """

    layout: BitLayout
    unique: np.ndarray
    counts: np.ndarray
    inverse: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray, layout: BitLayout) -> "CodeTable":
        """The table of codes, int32 [N]."""
        unique, inverse, counts = np.unique(codes.view(np.uint32), return_inverse=True, return_counts=True)
        return cls(layout, unique, counts, inverse.reshape(-1).astype(np.int32))

    def labels(self, level: int) -> np.ndarray:
        """The label at `level` of every different code, uint32 [U]."""
        return self.layout.labels(self.unique, level)

    def rows(self, level: int, label: int) -> np.ndarray:
        """Which Gaussians have this label, bool [N]."""
        return (self.labels(level) == np.uint32(label))[self.inverse]

    def groups(self, level: int) -> dict[int, np.ndarray]:
        """Row numbers of each label at `level`. It sorts once and takes slices."""
        ids, index = np.unique(self.labels(level), return_inverse=True)
        label_of_row = index.reshape(-1).astype(np.int32)[self.inverse]
        order = np.argsort(label_of_row, kind="stable")
        starts = np.searchsorted(label_of_row[order], np.arange(len(ids)))
        return dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True))


def build_entries(
    table: CodeTable,
    names: Mapping[Key, str] | None = None,
    colors: Mapping[Key, Color] | None = None,
) -> list[Entry]:
    """All labels of all levels, coarse to fine, and largest first within a level.

    Labels in `names` and `colors` (sRGB in 0..1) keep those; the others get automatic ones. Of labels of a level with
    one name, the largest keeps it and the others get a number.
    """
    names = names or {}
    colors = label_colors(table.layout, table.unique, table.counts, colors)
    entries: list[Entry] = []
    for level in range(1, table.layout.levels + 1):
        labels = largest_first(table.labels(level), table.counts)
        digits = len(str(len(labels)))
        used = {names[key] for key in names if key[0] == level}
        given: set[str] = set()
        for rank, (label, count) in enumerate(labels, 1):
            key = level, label
            parent = int(table.layout.parent(label, level)) if level > 1 else 0
            name = names.get(key, "").strip()
            name = unique_name(name, given) if name else _free_name(f"L{level}_{rank:0{digits}d}", used)
            given.add(name)
            used.add(name)
            entries.append(Entry(level, label, parent, count, name, colors[key]))
    return entries


def _free_name(name: str, used: set[str]) -> str:
    tail, number = name, 1
    while tail in used:
        number += 1
        tail = f"{name}_{number}"
    return tail


def list_order(
    entries: Iterable[tuple[int, str, int]], level: int, needles: Collection[str], by_name: bool
) -> tuple[list[bool], list[int]]:
    """Filter and sort `entries` of (level, name, count) for Blender's UIList.

    Returns two lists with a value per entry: whether it is of `level` and its name contains all `needles`, and its new
    position. Entries are sorted by name, or by count with the largest first.
    """
    rows = list(entries)
    wanted = [needle.casefold() for needle in needles if needle]
    shown = [row[0] == level and all(needle in row[1].casefold() for needle in wanted) for row in rows]

    def key(i: int) -> tuple[object, ...]:
        row = rows[i]
        return (not shown[i], row[1].casefold() if by_name else -row[2], row[1])

    positions = [0] * len(rows)
    for position, i in enumerate(sorted(range(len(rows)), key=key)):
        positions[i] = position
    return shown, positions


def free_label(used: Iterable[int], parent: int, layout: BitLayout, level: int) -> int:
    """The first label of `level` under `parent` that is not in `used`.

    Raises:
        UsageError: all 2^bits children of the parent are in use.
    """
    bits = layout.level_bits[level - 1]
    taken = set(used)
    first = parent << bits if level > 1 else 0
    for label in range(first, first + (1 << bits)):
        if label not in taken:
            return label
    raise UsageError(
        f"All {1 << bits:,} labels of level {level} here are in use.", "Merge labels, or use more bits for this level."
    )


def reassign(codes: np.ndarray, rows: np.ndarray, layout: BitLayout, level: int, target: int) -> np.ndarray:
    """New codes, int32 [N], in which the Gaussians `rows` (bool [N]) have label `target` at `level`.

    Finer bits do not change, unless the target already has a child with the same child number. A moved child then
    gets a free child number, so that it does not merge with the other one.

    Raises:
        UsageError: the target has no free child number.
    """
    shift = layout.total - layout.bits_to(level)
    new = codes.view(np.uint32).copy()
    moved = rows & (layout.labels(codes, level) != np.uint32(target))
    if shift:
        below = level + 1
        bits, deeper = layout.level_bits[level], shift - layout.level_bits[level]
        taken = set(np.unique(layout.labels(codes[~moved], below)).tolist())
        for old in np.unique(layout.labels(codes[moved], below)).tolist():
            wanted = (target << bits) | (old & ((1 << bits) - 1))
            if wanted in taken:
                wanted = free_label(taken, target, layout, below)
            taken.add(wanted)
            part = moved & (layout.labels(codes, below) == np.uint32(old))
            rest = new[part] & np.uint32((1 << deeper) - 1) if deeper else np.uint32(0)
            new[part] = np.uint32(wanted << deeper) | rest
    else:
        new[moved] = np.uint32(target)
    return new.view(np.int32)


def separate_codes(codes: np.ndarray, others: np.ndarray, layout: BitLayout) -> np.ndarray:
    """New codes, int32 [N], whose labels of level 1 are not in `others`, int32 [M]. Finer bits do not change.

    Raises:
        UsageError: there are not enough free labels.
    """
    shift = layout.total - layout.bits_to(1)
    theirs = set(np.unique(layout.labels(others, 1)).tolist())
    mine, inverse = np.unique(layout.labels(codes, 1), return_inverse=True)
    taken, wanted = theirs | set(mine.tolist()), mine.copy()
    for place, label in enumerate(mine.tolist()):
        if label in theirs:
            wanted[place] = free_label(taken, 0, layout, 1)
            taken.add(int(wanted[place]))
    finer = codes.view(np.uint32) & np.uint32((1 << shift) - 1)
    return ((wanted[inverse.reshape(-1)] << np.uint32(shift)) | finer).view(np.int32)


def same_label(codes: np.ndarray, layout: BitLayout, row: int, level: int) -> tuple[int, np.ndarray]:
    """The label of Gaussian `row` at `level`, and which Gaussians have the same label, bool [N]."""
    labels = layout.labels(codes, level)
    return int(labels[row]), labels == labels[row]
