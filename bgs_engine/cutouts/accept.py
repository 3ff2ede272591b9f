"""New codes after crumbs were accepted: a label of level 1 for crumbs, and strays where they belong."""

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.core.palette import Key
from bgs_engine.cutouts.crumbs import CRUMB, FLOATER, HAZE, STRAY

LABEL_NAME = "Crumbs"  # by this name a later search finds the label again
_CHILDREN = {FLOATER: "Floaters", CRUMB: "Crumbs", HAZE: "Haze"}  # labels of level 2, in the order of child numbers


def crumbs_label(codes: np.ndarray, layout: BitLayout, names: dict[Key, str]) -> tuple[int, bool]:
    """The label of level 1 for crumbs, and whether it exists already: the one of that name, else a free one.

    Raises:
        UsageError: there is none of that name, and no free label of level 1.
    """
    used = np.unique(layout.labels(codes, 1))
    for label in used.tolist():
        if names.get((1, label)) == LABEL_NAME:
            return label, True
    # The first number that is not in its place is free.
    free = int(np.flatnonzero(np.append(used, np.iinfo(np.uint32).max) != np.arange(len(used) + 1))[0])
    if free >= 1 << layout.level_bits[0]:
        raise UsageError(
            f"All {1 << layout.level_bits[0]:,} labels of level 1 are in use, so there is none for crumbs.",
            "Join labels of level 1 first.",
        )
    return free, False


def accept(codes: np.ndarray, layout: BitLayout, kinds: np.ndarray, hosts: np.ndarray, label: int) -> np.ndarray:
    """New codes, int32 [N]. Strays get the codes of their hosts. The others get the label, and a child for each kind.

    So a crumb is part of no object, and moving an object does not drag it along. The codes of all other Gaussians
    stay.

    Args:
        codes: int32 [N].
        layout: the bit layout.
        kinds: uint8 [N], 0 for what stays; from `Crumbs.at`.
        hosts: int [N], from `Crumbs`.
        label: from `crumbs_label`.
    """
    new, stray = codes.copy(), kinds == STRAY
    new[stray] = codes[hosts[stray]]
    for kind in _CHILDREN:
        new[kinds == kind] = _code(layout, label, kind)
    return new


def names_of(layout: BitLayout, label: int) -> dict[Key, str]:
    """The names of the label for crumbs and of its children, by (level, label)."""
    names: dict[Key, str] = {(1, label): LABEL_NAME}
    if layout.levels > 1 and len({_code(layout, label, kind) for kind in _CHILDREN}) == len(_CHILDREN):
        for kind, name in _CHILDREN.items():
            code = np.array([_code(layout, label, kind)], np.int32)
            names[(2, int(layout.labels(code, 2)[0]))] = name
    return names


def _code(layout: BitLayout, label: int, kind: int) -> int:
    """The code of a kind of crumb, signed."""
    children = [0] * (layout.levels - 1)
    if children:
        children[0] = min(list(_CHILDREN).index(kind), (1 << layout.level_bits[1]) - 1)
    return int(layout.pack([np.array([number]) for number in (label, *children)])[0])
