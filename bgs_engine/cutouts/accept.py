"""New codes after crumbs were accepted: a label of level 1 for crumbs, and strays where they belong."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.core.palette import Key
from bgs_engine.cutouts.crumbs import CRUMB, FLOATER, HAZE, STRAY

LABEL_NAME = "Crumbs"  # by this name a later search finds the label again
_CHILDREN = {FLOATER: "Floaters", CRUMB: "Crumbs", HAZE: "Haze"}  # labels of level 2, in the order of child numbers


@dataclass(frozen=True)
class Accepted:
    """codes: int32 [N]. label: the label of level 1 for crumbs, None if there is none. names: of new labels."""

    codes: np.ndarray
    label: int | None
    names: dict[Key, str]


def crumbs_label(codes: np.ndarray, layout: BitLayout, names: Mapping[Key, str]) -> int | None:
    """The label of level 1 for crumbs, known by its name; None if there is none yet."""
    used = np.unique(layout.labels(codes, 1)).tolist()
    return next((label for label in used if names.get((1, label)) == LABEL_NAME), None)


def accept(
    codes: np.ndarray, layout: BitLayout, kinds: np.ndarray, hosts: np.ndarray, names: Mapping[Key, str]
) -> Accepted:
    """Give strays the codes of their hosts, and the others the label for crumbs, with a child for each kind.

    So a crumb is part of no object, and moving an object does not drag it along. The codes of all other Gaussians
    stay.

    Args:
        codes: int32 [N].
        layout: the bit layout.
        kinds: uint8 [N], 0 for what stays; from `Crumbs.at`.
        hosts: int [N], from `Crumbs`.
        names: the names of the labels by (level, label).

    Raises:
        UsageError: crumbs need a label of level 1, and none is free.
    """
    new, stray = codes.copy(), kinds == STRAY
    new[stray] = codes[hosts[stray]]
    label = crumbs_label(codes, layout, names)
    if not (kinds[~stray] > 0).any():
        return Accepted(new, label, {})
    label = _free_label(codes, layout) if label is None else label
    for kind in _CHILDREN:
        new[kinds == kind] = _code(layout, label, kind)
    return Accepted(new, label, {key: name for key, name in _names(layout, label).items() if key not in names})


def _free_label(codes: np.ndarray, layout: BitLayout) -> int:
    used = np.unique(layout.labels(codes, 1))
    # The first number that is not in its place is free.
    free = int(np.flatnonzero(np.append(used, np.iinfo(np.uint32).max) != np.arange(len(used) + 1))[0])
    if free >= 1 << layout.level_bits[0]:
        raise UsageError(
            f"All {1 << layout.level_bits[0]:,} labels of level 1 are in use, so there is none for crumbs.",
            "Join labels of level 1 first.",
        )
    return free


def _names(layout: BitLayout, label: int) -> dict[Key, str]:
    """The names of the label for crumbs and of its children. Children that share a number have no name."""
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
