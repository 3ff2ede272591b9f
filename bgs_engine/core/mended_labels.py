"""Labels that a person mended, and how they are laid over the codes of a new run of the same Gaussians.

A label is mended if its Gaussians are not those that the engine gave it. A label that only lost or gained Gaussians
together with its parent is not: laying the parent over the new codes has the same effect on it.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.core.palette import Key

_NONE = -1


@dataclass(frozen=True)
class MendedLabels:
    """The mended labels among codes, int32 [N] of one layout. `keys` has their (level, label), coarse to fine."""

    layout: BitLayout
    codes: np.ndarray
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class LaidOver:
    """New codes, int32 [N], that hold the mended labels. `keys` maps each mended label to what it is called there."""

    codes: np.ndarray
    keys: dict[Key, Key]


def find_mended(engine: np.ndarray, edited: np.ndarray, layout: BitLayout) -> MendedLabels:
    """The mended labels.

    A label of level l is not mended if it holds exactly the Gaussians that one label of the engine has inside the
    edited parent.

    Args:
        engine: the codes that the engine gave, int32 [N].
        edited: the codes now, int32 [N].
        layout: the bit layout of both.
    """
    pair = engine.view(np.uint32).astype(np.uint64) << np.uint64(32) | edited.view(np.uint32)
    pairs = np.unique(pair)
    given = (pairs >> np.uint64(32)).astype(np.uint32)
    now = (pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    keys: list[Key] = []
    parents = np.zeros(len(pairs), np.uint32)
    for level in range(1, layout.levels + 1):
        labels = layout.labels(now, level)
        origins = np.stack([layout.labels(given, level), parents], 1)
        _, origin = np.unique(origins, axis=0, return_inverse=True)
        links = np.unique(np.stack([labels, origin.reshape(-1).astype(np.uint32)], 1), axis=0)
        mixed = np.bincount(np.unique(links[:, 0], return_inverse=True)[1].reshape(-1)) > 1
        shared = np.bincount(links[:, 1])[links[:, 1]] > 1
        mended = set(np.unique(links[:, 0])[mixed].tolist()) | set(links[shared, 0].tolist())
        keys += [(level, label) for label in sorted(mended)]
        parents = labels
    return MendedLabels(layout, edited, tuple(keys))


def lay_over(codes: np.ndarray, layout: BitLayout, mended: MendedLabels) -> LaidOver:
    """The codes of a new run with the mended labels in them.

    A mended label keeps exactly its Gaussians at its level. It lies under the label of the new run that holds most of
    them, or under its own parent if that is mended too. Inside it, the finer levels are those of the new run.
    Gaussians in no mended label keep the codes of the new run.

    Args:
        codes: of the new run, int32 [N].
        layout: of the new run.
        mended: labels of the same Gaussians in the same order.

    Raises:
        UsageError: the new run lacks a level of a mended label, or a parent has no free child number.
    """
    check_levels(layout, mended)
    if not mended.keys:
        return LaidOver(codes, {})
    fresh, of_fresh = np.unique(codes.view(np.uint32), return_inverse=True)
    member, of_member = _memberships(mended)
    pair = of_fresh.reshape(-1).astype(np.int64) * len(member) + of_member
    pairs, of_pair, counts = np.unique(pair, return_inverse=True, return_counts=True)
    unique, row = fresh[pairs // len(member)], member[pairs % len(member)]
    label = np.zeros(len(pairs), np.int64)  # at the level above, in the result
    origin = np.zeros(len(pairs), np.int64)  # the label of the new run that it stands for; _NONE: mended
    renamed: dict[Key, Key] = {}
    for level in range(1, layout.levels + 1):
        own = layout.labels(unique, level).astype(np.int64)
        mine = row[:, level - 1] if level <= row.shape[1] else np.full(len(pairs), _NONE)
        block = _first_from(row, level)
        follows = (origin == _NONE) | (level == 1) | (layout.parent(own, level) == origin)
        own = _gathered(own, np.where(mine == _NONE, block, _NONE), counts * follows)
        keys = np.stack([label, np.where(mine == _NONE, own, _NONE), mine], 1)
        wanted, place = np.unique(keys, axis=0, return_inverse=True)
        place = place.reshape(-1)
        numbers = _numbered(wanted, np.bincount(place, counts), layout, level, set(own.tolist()), mended)
        label, origin = numbers[place], keys[:, 1]
        renamed.update(
            (mended.keys[m], (level, number))
            for m, number in zip(wanted[:, 2].tolist(), numbers.tolist(), strict=True)
            if m != _NONE
        )
    return LaidOver(label.astype(np.uint32).view(np.int32)[of_pair.reshape(-1)], renamed)


def check_levels(layout: BitLayout, mended: MendedLabels) -> None:
    """Raise `UsageError` where a run of this layout lacks a level of a mended label."""
    lost = sum(level > layout.levels for level, _ in mended.keys)
    if lost:
        raise UsageError(
            f"{lost} mended {'label is' if lost == 1 else 'labels are'} finer than level {layout.levels}, the finest "
            "of the new run.",
            f"Segment with {mended.layout.levels} levels, for example with level bits "
            f"{mended.layout}, or without keeping mended labels.",
        )


def _memberships(mended: MendedLabels) -> tuple[np.ndarray, np.ndarray]:
    """Which mended labels a Gaussian has: rows of places in `keys`, int64 [S, L], _NONE where none; and [N] the row."""
    unique, inverse = np.unique(mended.codes.view(np.uint32), return_inverse=True)
    member = np.full((len(unique), mended.layout.levels), _NONE, np.int64)
    for place, (level, label) in enumerate(mended.keys):
        member[mended.layout.labels(unique, level) == np.uint32(label), level - 1] = place
    rows, of_code = np.unique(member, axis=0, return_inverse=True)
    return rows, of_code.reshape(-1)[inverse.reshape(-1)]


def _first_from(row: np.ndarray, level: int) -> np.ndarray:
    """The coarsest mended label of this or a finer level that contains each pair, int64 [M]; _NONE: there is none."""
    out = np.full(len(row), _NONE)
    for column in reversed(range(level - 1, row.shape[1])):
        out = np.where(row[:, column] == _NONE, out, row[:, column])
    return out


def _gathered(own: np.ndarray, block: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`own` with one label for each block, the one that holds most of it; all arrays [M]."""
    inside = np.flatnonzero(block != _NONE)
    if not len(inside):
        return own
    groups, place = np.unique(np.stack([block[inside], own[inside]], 1), axis=0, return_inverse=True)
    sums = np.bincount(place.reshape(-1), weights[inside])
    order = np.lexsort((groups[:, 1], -sums, groups[:, 0]))
    blocks, first = np.unique(groups[order, 0], return_index=True)
    largest = groups[order[first], 1]
    out = own.copy()
    out[inside] = largest[np.searchsorted(blocks, block[inside])]
    return out


def _numbered(
    wanted: np.ndarray, sizes: np.ndarray, layout: BitLayout, level: int, fresh: set[int], mended: MendedLabels
) -> np.ndarray:
    """The label of each row (parent, label of the new run, place of the mended label) of `wanted`, int64 [K].

    A label of the new run keeps its child number, a mended one its old number if that is free. Numbers that the new
    run has are avoided as long as others are free, because its label table has names for them.
    """
    bits = layout.level_bits[level - 1]
    out = np.full(len(wanted), _NONE, np.int64)
    taken: set[int] = set()

    def take(k: int, number: int) -> None:
        out[k] = number
        taken.add(number)

    def child(k: int, label: int) -> int:
        return int(wanted[k, 0]) << bits | label & ((1 << bits) - 1)

    order = np.argsort(-sizes, kind="stable").tolist()
    for k in order:
        if wanted[k, 2] == _NONE and (number := child(k, int(wanted[k, 1]))) not in taken:
            take(k, number)
    for k in (k for k in order if out[k] == _NONE):
        old = mended.keys[wanted[k, 2]][1] if wanted[k, 2] != _NONE else int(wanted[k, 1])
        first = int(wanted[k, 0]) << bits
        choices = range(first, first + (1 << bits))  # may be billions, so none of them is listed
        free = next((n for n in chain([child(k, old)], choices) if n not in taken and n not in fresh), None)
        free = next((n for n in chain([child(k, old)], choices) if n not in taken), None) if free is None else free
        if free is None:
            raise UsageError(
                f"All {1 << bits:,} labels of level {level} under one parent are in use, so a mended label has no "
                "place in the new run.",
                "Join some of the mended labels, use more bits for this level, or segment without keeping them.",
            )
        take(k, free)
    return out
