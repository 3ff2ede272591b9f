"""What the mask model sees at a place in several views, and which of these masks are of one thing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bgs_engine.clicks.seen_scene import SeenScene
from bgs_engine.masks.agreement.members import INSIDE

SAME = 0.5  # intersection over union of two masks of one thing, of the Gaussians that both views show
LEAST_PIXELS = 6  # of the grid: a smaller mask is noise


@dataclass(frozen=True)
class PlaceMask:
    """One mask of one view. inside: bool [h, w] of the view's grid."""

    view: int
    inside: np.ndarray


@dataclass(frozen=True)
class Group:
    """Masks of one thing, at most one a view. support: 0..1, how much of the views agrees how well."""

    masks: tuple[PlaceMask, ...]
    support: float


def groups_of(seen: SeenScene, place: np.ndarray, masks: Sequence[PlaceMask]) -> list[Group]:
    """The group around each mask, the best supported first: the most alike mask of every other view, if it is alike.

    Masks are compared by their members among a sample of the Gaussians around the place, [3].
    """
    if not masks:
        return []
    view_of = np.array([mask.view for mask in masks])
    views = np.unique(view_of)
    rows, weight = seen.sample_around(place)
    members, clear = _members(seen, rows, masks)
    weighted = members * weight[:, None]
    shared = weighted.T @ members
    visible = weighted.T @ clear  # [mask, other mask]: members of the first that the other's view shows
    alike = shared / np.maximum(visible + visible.T - shared, 1)
    groups = []
    for k in range(len(masks)):
        chosen = [k]
        for view in views[views != view_of[k]]:
            there = np.flatnonzero(view_of == view)
            best = int(there[alike[k, there].argmax()])
            if alike[k, best] > SAME:
                chosen.append(best)
        groups.append(Group(tuple(masks[j] for j in chosen), float(alike[k, chosen].sum() / len(views))))
    return sorted(groups, key=lambda group: -group.support)


def _members(seen: SeenScene, rows: np.ndarray, masks: Sequence[PlaceMask]) -> tuple[np.ndarray, np.ndarray]:
    """(Members of each mask, what its view shows clearly), [S, M], 0 or 1, among the Gaussians `rows` [S].

    They are int32: the threads of a product of floats wait for each other, half a second if processors are busy.
    """
    members, clear = np.zeros((2, len(rows), len(masks)), np.int32)
    for k, mask in enumerate(masks):
        view = seen.view(mask.view)
        shown = seen.clear(mask.view)[rows]
        clear[:, k] = shown
        members[:, k] = shown & (view.lifted(mask.inside)[rows] > INSIDE * view.seen[rows])
    return members, clear
