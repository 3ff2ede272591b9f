"""Finds the affine maps that moved points, from their positions before and after.

Blender tells an extension that points moved, but not how. All its transforms of points are affine: moving, turning,
scaling and mirroring an object or a selection, and joining objects. A map that explains the new positions up to the
rounding of float32 is therefore the one that moved them, if there are enough points to prove it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .transforms import CHUNK, IDENTITY_TOLERANCE, is_flat, polar

ROUNDING = 16 * 2.0**-23  # relative to the numbers that are added; Blender's own transforms stay below 3 x 2^-23
PROVEN = 5  # points in general position; four always have an affine map
FLATTEST = 1e-3  # thickness over width of a set of points; a thinner one does not prove what happened across it
HEADS = (64, 16, 8, PROVEN, 4, 3, 2, 1)  # numbers of points that are tried as the beginning of a block
SAMPLE = 4096  # points that a map is computed from; all points have to agree with it
MOST_BLOCKS = 4096  # a join of more objects is refused instead of searched for minutes


@dataclass(frozen=True)
class Move:
    """Points that one map moved: their indices int [K], or None for all points, and the map [4, 4].

    `turn` [3, 3] is what colours follow, or None for the map's own polar part.
    """

    rows: np.ndarray | None
    matrix: np.ndarray
    turn: np.ndarray | None = None

    @classmethod
    def between(cls, then: np.ndarray, now: np.ndarray) -> "Move":
        """The move of all points that keeps them in place while the object's world matrix [4, 4] changes.

        The polar part of a product is not the product of the polar parts if scales are uneven. The colours follow what
        keeps them the same in the world, as the shapes do.
        """
        return cls(None, np.linalg.inv(now) @ then, polar(now[:3, :3]).T @ polar(then[:3, :3]))


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What is known about an edit besides the positions.

    `moves` are moves of all points that may explain it. `selected` is bool [N] if only these points can have been
    edited, else None. `one_point` says that a single moved point proves a translation. `mirrored` says that the edit
    may have been a reflection, so that flat sets of points prove no rotation.
    """

    moves: Sequence[Move] = ()
    selected: np.ndarray | None = None
    one_point: bool = False
    mirrored: bool = False


def find_moves(before: np.ndarray, after: np.ndarray, hints: Hints) -> list[Move] | None:
    """The maps that moved points from `before` to `after` (both float32 [N, 3]), or None if there are none.

    Points that stayed in place may belong to a map too: those on an axis or a mirror plane. If all points agree with
    one map, it moved all. Else the selection says whether it moved such a point, and without a selection None is
    returned.
    """
    moved = (before[:, 0] != after[:, 0]) | (before[:, 1] != after[:, 1]) | (before[:, 2] != after[:, 2])
    if not np.isfinite(after).all():
        return None
    rows = np.flatnonzero(moved)
    if not len(rows):
        return []
    here, there = (before, after) if len(rows) == len(before) else (before[rows], after[rows])
    move = next((one for one in hints.moves if agrees(one.matrix, here, there).all()), None)
    matrix = move.matrix if move is not None else fit(here, there, hints)
    if matrix is None and len(rows) < len(before):  # the points that stayed may prove what the others do not
        matrix = fit(before, after, hints)
    if matrix is None:
        # Objects are not joined in edit mode.
        blocks = _blocks(rows, here, there, hints) if hints.selected is None else None
        return None if blocks is None else _closed(blocks, moved, before)
    if is_flat(matrix):
        return None
    return _with_fixed_points(Move(rows, matrix, move.turn if move is not None else None), moved, before, hints)


def _with_fixed_points(move: Move, moved: np.ndarray, before: np.ndarray, hints: Hints) -> list[Move] | None:
    assert move.rows is not None
    matrix = move.matrix
    stayed = np.flatnonzero(~moved)
    if not len(stayed) or np.abs(matrix[:3, :3] - np.eye(3)).max() <= IDENTITY_TOLERANCE:
        return [move if len(stayed) else replace(move, rows=None)]
    fixed = _fixed(matrix, before, stayed)
    if hints.selected is not None and not (moved & ~hints.selected).any():
        fixed_and_selected = fixed & hints.selected[stayed]
        if not (hints.selected[stayed] & ~fixed).any():  # otherwise something else chose the points
            return [replace(move, rows=np.concatenate([move.rows, stayed[fixed_and_selected]]))]
    if fixed.all():
        return [replace(move, rows=None)]
    return None if fixed.any() else [move]


def agrees(matrix: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which points the map moves from `before` to `after` (both [N, 3]) up to rounding, bool [N]."""
    reach, shift = np.abs(matrix[:3, :3]).sum(1).max(), np.abs(matrix[:3, 3]).max()
    out = np.empty(len(before), bool)
    for start in range(0, len(before), CHUNK):
        rows = slice(start, start + CHUNK)
        # Coordinates in rows: NumPy reduces the three of each point much faster so.
        here, there = before[rows].T.astype(np.float64), after[rows].T.astype(np.float64)
        wrong = np.abs(matrix[:3, :3] @ here + matrix[:3, 3:] - there).max(0)
        out[rows] = wrong <= ROUNDING * (reach * np.abs(here).max(0) + shift + np.abs(there).max(0))
    return out


def fit(before: np.ndarray, after: np.ndarray, hints: Hints) -> np.ndarray | None:
    """The map [4, 4] from `before` to `after` (both [N, 3]), or None if none is proven.

    The simplest map that explains all points counts: a translation, then for points in general position an affine
    map. A flat set of points proves a rotation with uniform scale only. Points on a line prove a translation only,
    because they do not tell how far they were turned about the line.
    """
    count = len(before)
    if count > 2 * SAMPLE:
        some = slice(None, None, count // SAMPLE)
        matrix = fit(before[some], after[some], hints)
        if matrix is not None and agrees(matrix, before, after).all():
            return matrix
    before, after = before.astype(np.float64), after.astype(np.float64)
    shift = np.eye(4)
    # Far points have large rounding errors, so they weigh less.
    sizes = np.abs(before).max(1) + np.abs(after).max(1)
    weights = 1 / np.maximum(sizes, max(0.01 * float(np.median(sizes)), 1e-30))
    weights /= weights.sum()
    here, there = weights @ before, weights @ after
    shift[:3, 3] = there - here
    centered, moved = (before - here) * weights[:, None], (after - there) * weights[:, None]
    singular = np.linalg.svd(centered.T @ centered, compute_uv=False) ** 0.5
    rank = int((singular > FLATTEST * singular[0]).sum()) if singular[0] > 0 else 0
    if (rank > 0 or hints.one_point) and agrees(shift, before, after).all():
        return shift
    if rank == 3 and count >= PROVEN:
        linear = np.linalg.lstsq(centered, moved, rcond=None)[0].T
        return _checked(linear, here, there, before, after)
    if rank < 2 or count < 3:
        return None
    found = [
        matrix
        for handed in (1, -1)
        if (matrix := _checked(_similarity(centered, moved, handed), here, there, before, after)) is not None
    ]
    return found[0] if len(found) == 1 or (found and not hints.mirrored) else None


def _similarity(centered: np.ndarray, moved: np.ndarray, handed: int) -> np.ndarray:
    """The rotation (or reflection, if `handed` is -1) with uniform scale that fits best, [3, 3]. Umeyama 1991."""
    u, singular, vt = np.linalg.svd(moved.T @ centered)
    signs = np.array((1, 1, handed * np.sign(np.linalg.det(u @ vt))))
    scale = (singular * signs).sum() / (centered * centered).sum()
    return np.asarray(scale * (u * signs) @ vt)


def _checked(
    linear: np.ndarray, here: np.ndarray, there: np.ndarray, before: np.ndarray, after: np.ndarray
) -> np.ndarray | None:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, there - linear @ here
    return matrix if agrees(matrix, before, after).all() else None


def _blocks(rows: np.ndarray, before: np.ndarray, after: np.ndarray, hints: Hints) -> list[Move] | None:
    """Moves of consecutive points, each with a map of its own. Blender's Join puts objects one behind the other."""
    found: list[Move] = []
    start = 0
    while start < len(rows):
        stop, move = max(_candidates(before, after, start, hints), key=lambda one: one[0], default=(start, None))
        if move is None or is_flat(move.matrix) or len(found) == MOST_BLOCKS:
            return None
        found.append(replace(move, rows=rows[start:stop]))
        start = stop
    return found


def _closed(blocks: list[Move], moved: np.ndarray, before: np.ndarray) -> list[Move] | None:
    """The blocks with the points between their ends that stayed in place, or None if a point may belong to a block."""
    out = []
    for block in blocks:
        assert block.rows is not None
        if np.abs(block.matrix[:3, :3] - np.eye(3)).max() <= IDENTITY_TOLERANCE:
            out.append(block)
            continue
        first, last = int(block.rows[0]), int(block.rows[-1])
        inside = np.arange(first, last + 1)
        if not _fixed(block.matrix, before, inside[~moved[first : last + 1]]).all():
            return None
        outside = [row for row in (first - 1, last + 1) if 0 <= row < len(before) and not moved[row]]
        if _fixed(block.matrix, before, np.array(outside, int)).any():
            return None
        out.append(replace(block, rows=inside))
    return out


def _fixed(matrix: np.ndarray, before: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Which of the points a map leaves where they are, bool [K]."""
    return agrees(matrix, before[rows], before[rows])


def _candidates(before: np.ndarray, after: np.ndarray, start: int, hints: Hints) -> Iterator[tuple[int, Move | None]]:
    """Moves that explain the points from `start` on, each with the end of what it explains."""
    for move in hints.moves:
        stop = _end_of(move.matrix, before, after, start)
        if stop > start:
            yield stop, move
    for head in HEADS:
        piece = slice(start, start + head)
        matrix = fit(before[piece], after[piece], hints) if start + head <= len(before) else None
        if matrix is not None:
            stop = _end_of(matrix, before, after, start)
            better = fit(before[start:stop], after[start:stop], hints)  # from all of its points
            matrix = matrix if better is None else better
            yield _end_of(matrix, before, after, start), Move(None, matrix)
            return


def _end_of(matrix: np.ndarray, before: np.ndarray, after: np.ndarray, start: int) -> int:
    """The first point from `start` on that the map does not explain."""
    width = 64
    while start < len(before):
        piece = slice(start, start + width)
        wrong = ~agrees(matrix, before[piece], after[piece])
        if wrong.any():
            return start + int(wrong.argmax())
        start, width = start + width, 2 * width
    return len(before)
