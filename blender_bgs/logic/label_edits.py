"""New codes for edits of whole labels, and which labels are the same ones afterwards."""

from collections.abc import Sequence

import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError

from .label_tree import CodeTable, Key, free_label


def partners_after(old: CodeTable, new: CodeTable) -> dict[Key, Key]:
    """Which label each old one is now: old to new (level, label). Both tables are of the same Gaussians in one order.

    A label that exists in both is the same one. A label that is gone is the new label to which all its Gaussians
    went, if that is not an older label. Other labels have no partner.
    """
    pair = old.inverse.astype(np.int64) * len(new.unique) + new.inverse
    first, second = np.divmod(np.unique(pair), len(new.unique))
    out: dict[Key, Key] = {}
    for level in range(1, old.layout.levels + 1):
        before, after = old.labels(level), new.labels(level)
        there, here = set(before.tolist()), set(after.tolist())
        moved: dict[int, set[int]] = {}
        for a, b in zip(before[first].tolist(), after[second].tolist(), strict=True):
            moved.setdefault(a, set()).add(b)
        for label, targets in moved.items():
            if label in here:
                out[(level, label)] = (level, label)
            elif len(targets) == 1 and not targets & there:
                out[(level, label)] = (level, targets.pop())
    return out


def split(codes: np.ndarray, layout: BitLayout, level: int, label: int, pieces: np.ndarray) -> np.ndarray:
    """New codes, int32 [N], in which pieces 1 and up of a label get labels of their own beside it.

    `pieces`, int [N], is the piece of each Gaussian of the label; other Gaussians do not count. Piece 0 keeps the
    label. Finer bits do not change, so every piece has the children that its Gaussians had.

    Raises:
        UsageError: the parent has too few free child numbers.
    """
    labels = layout.labels(codes, level)
    mine = labels == np.uint32(label)
    taken, parent = set(np.unique(labels).tolist()), int(layout.parent(label, level))
    wanted = [label]
    for _ in range(int(pieces[mine].max(initial=0))):
        wanted.append(free_label(taken, parent, layout, level))
        taken.add(wanted[-1])
    shift = layout.total - layout.bits_to(level)
    new = codes.view(np.uint32).copy()
    finer = new[mine] & np.uint32((1 << shift) - 1)
    new[mine] = (np.array(wanted, np.uint32)[pieces[mine]] << np.uint32(shift)) | finer
    return new.view(np.int32)


def join_target(active: int | None, selected: Sequence[int]) -> int:
    """The label into which others are joined: the active one if it is among them, else the first, the largest.

    Raises:
        UsageError: fewer than two labels are selected.
    """
    if len(selected) < 2:
        raise UsageError("One label cannot be joined.", "Select several: Ctrl or Shift on the circles in the list.")
    return active if active is not None and active in selected else selected[0]
