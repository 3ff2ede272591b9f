"""What the mask model sees at a place in several views, and which of these masks are of one thing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bgs_engine.clicks.seen_scene import SeenScene

SAME = 0.5  # intersection over union of two masks of one thing, of the Gaussians that both views show
LEAST_PIXELS = 6  # of the grid: a smaller mask is noise
INSIDE = 0.5  # of a Gaussian's weight in a view: more makes it a member of a mask


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


def groups_of(seen: SeenScene, masks: Sequence[PlaceMask]) -> list[Group]:
    """The group around each mask, the best supported first: the most alike mask of every other view, if it is alike.

    Masks are compared by their members among a sample of the Gaussians.
    """
    if not masks:
        return []
    view_of = np.array([mask.view for mask in masks])
    views = np.unique(view_of)
    members, clear = _members(seen, masks)
    shared = members.T @ members
    visible = members.T @ clear  # [mask, other mask]: members of the first that the other's view shows
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


def _members(seen: SeenScene, masks: Sequence[PlaceMask]) -> tuple[np.ndarray, np.ndarray]:
    """(Members of each mask, what its view shows clearly), float32 [sample, M], 0 or 1."""
    members, clear = np.zeros((2, len(seen.sample), len(masks)), np.float32)
    for k, mask in enumerate(masks):
        view = seen.view(mask.view)
        shown = seen.clear(mask.view)[seen.sample]
        clear[:, k] = shown
        members[:, k] = shown & (view.lifted(mask.inside)[seen.sample] > INSIDE * view.seen[seen.sample])
    return members, clear
