"""What a person points at, in the coordinates of the file, and what a suggestion does to codes."""

from collections.abc import Sequence

import numpy as np
from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError

from .label_tree import CodeTable, Key, free_label, reassign
from .lens import lens_of, viewmat_of

EVEN = 1e-3  # a view whose scale differs this much between directions is no camera
SIZES = {1: ("",), 2: ("part", "whole"), 3: ("subpart", "part", "whole")}
REST = "Rest"  # the label of all Gaussians that nobody has pointed at in a splat without labels


def camera_of(projection: np.ndarray, file_to_view: np.ndarray, size: tuple[int, int]) -> Camera | None:
    """The view as a camera in the coordinates of the file; None if the splat is mirrored or scaled unevenly in it.

    Args:
        projection: OpenGL's, [4, 4].
        file_to_view: [4, 4], from the coordinates of the file to a camera that looks along -z.
        size: width and height of the picture in pixels.
    """
    linear = file_to_view[:3, :3].astype(np.float64)
    if not np.isfinite(file_to_view).all():
        return None
    singular = np.linalg.svd(linear, compute_uv=False)
    scale = float(singular.mean())
    if scale <= 0 or singular[0] - singular[2] > EVEN * scale or np.linalg.det(linear) < 0:
        return None
    turn, _, back = np.linalg.svd(linear)
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = turn @ back, file_to_view[:3, 3] / scale
    lens = lens_of(projection, *size)
    zoom = scale if lens.orthographic else 1.0  # pixels per unit of the file
    return Camera(
        "view", *size, lens.fx * zoom, lens.fy * zoom, lens.cx, lens.cy, viewmat_of(rigid), None, lens.orthographic
    )


def size_name(number: int, count: int) -> str:
    """The name of suggestion `number` of `count`, from small to large; "" if it is the only one."""
    names = SIZES.get(count)
    return names[number] if names else f"size {number + 1} of {count}"


def home_of(codes: np.ndarray, rows: np.ndarray, layout: BitLayout, level: int) -> int:
    """The label of `level` that has most of the Gaussians `rows`, bool [N]."""
    labels, counts = np.unique(layout.labels(codes[rows], level), return_counts=True)
    return int(labels[counts.argmax()])


def label_with_just(table: CodeTable, rows: np.ndarray, level: int) -> int | None:
    """The label of `level` that has exactly the Gaussians `rows`, bool [N], or None."""
    per_code = np.bincount(table.inverse[rows], minlength=len(table.unique))
    touched = per_code > 0
    labels = table.labels(level)
    found = np.unique(labels[touched])
    if len(found) != 1:
        return None
    whole = labels == found[0]
    return int(found[0]) if np.array_equal(per_code[whole], table.counts[whole]) else None


def as_new_label(codes: np.ndarray, rows: np.ndarray, layout: BitLayout, level: int) -> tuple[np.ndarray, int]:
    """New codes, int32 [N], in which the Gaussians `rows` have a label of their own, and this label.

    Its parent is that of the label with most of them.

    Raises:
        UsageError: no child number is free.
    """
    parent = int(layout.parent(home_of(codes, rows, layout, level), level))
    target = free_label(np.unique(layout.labels(codes, level)).tolist(), parent, layout, level)
    return reassign(codes, rows, layout, level, target), target


def first_codes(rows: np.ndarray, layout: BitLayout) -> tuple[np.ndarray, dict[Key, str]]:
    """Codes, int32 [N], of a splat without labels: the Gaussians `rows` are label 1, the others `REST`. Also names."""
    numbers = [rows.astype(np.uint32), *(np.zeros(len(rows), np.uint32) for _ in layout.level_bits[1:])]
    return layout.pack(numbers), {(level, 0): REST for level in range(1, layout.levels + 1)}


def spread(points: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """A set of points, bool [N], as a set of rows of the engine's file, bool [count]."""
    out = np.zeros(count, bool)
    out[rows[points]] = True
    return out


def with_all(sets: Sequence[np.ndarray]) -> np.ndarray | None:
    """The union of sets, bool [N] each; None if there is none."""
    return np.logical_or.reduce(sets) if sets else None


def check_taken(mine: np.ndarray, taken: np.ndarray, name: str) -> None:
    """Refuse to take from a label what leaves it as it is or leaves nothing. Both sets are bool [N].

    Raises:
        UsageError: none, or all, of the label is in `taken`.
    """
    if not (mine & taken).any():
        raise UsageError(f"Nothing of {name} is in the suggestion.", "Choose another label in the list.")
    if not (mine & ~taken).any():
        raise UsageError(f"Nothing would be left of {name}.", "Choose a smaller size, or give it another name instead.")
