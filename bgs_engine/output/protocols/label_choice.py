"""Which labels of a run are an object that someone points at in one view.

The counterpart of lifting a mask: each Gaussian has a weight in the prompt's pixels and one beside them, labels sum up
the weights of their Gaussians, and the labels that gain most are taken. A coarse label is taken in place of its parts
if that costs next to nothing, because it holds what the view does not show as well.
"""

from collections.abc import Callable

import numpy as np

from bgs_engine.core.codes import BitLayout

SLACK = 0.02  # a coarser label may gain that much less than its parts, a share. It is not tuned.

Labels = list[tuple[int, int]]
"""Pairs of a level and a label."""


def gains_of_mask(codes: np.ndarray, inside: np.ndarray, beside: np.ndarray, size: float) -> np.ndarray:
    """What each Gaussian adds to a set whose IoU with a mask should be as large as possible, float64 [N].

    The best set of finest labels has IoU r = I / (size + O), where I and O are the sums of `inside` and `beside` over
    the set. It holds exactly the labels with inside - r * beside > 0 (fractional programming, Dinkelbach 1967). So
    that difference is the gain.

    Args:
        codes: int32 [N].
        inside, beside: float [N], weight in the mask's pixels and in all others.
        size: pixels of the mask.
    """
    _, label = np.unique(codes, return_inverse=True)
    within, around = np.bincount(label, inside), np.bincount(label, beside)
    order = np.argsort(-within / np.maximum(within + around, 1e-12), kind="stable")
    best = float((np.cumsum(within[order]) / (size + np.cumsum(around[order]))).max(initial=0))
    return inside.astype(np.float64) - best * beside


def choose(codes: np.ndarray, gains: np.ndarray, layout: BitLayout) -> Labels:
    """The labels that gain most together, none inside another, coarse ones where they are as good.

    Args:
        codes: int32 [N].
        gains: float64 [N].
        layout: of the codes.
    """
    labels, place = np.unique(layout.labels(codes, layout.levels), return_inverse=True)
    own = np.bincount(place, gains, len(labels))
    ideal = np.maximum(own, 0)  # of the finest labels inside
    taken = own > 0
    levels: list[tuple[np.ndarray, np.ndarray]] = [(labels, taken)]
    for level in range(layout.levels - 1, 0, -1):
        labels, place = np.unique(layout.parent(labels, level + 1), return_inverse=True)
        own, ideal = np.bincount(place, own, len(labels)), np.bincount(place, ideal, len(labels))
        levels.append((labels, (own > 0) & (own >= (1 - SLACK) * ideal)))
    chosen: Labels = []
    for level, (labels, taken) in enumerate(reversed(levels), 1):
        for label in labels[taken].tolist():
            above = ((up, label >> (layout.bits_to(level) - layout.bits_to(up))) for up in range(1, level))
            if not any(pair in chosen for pair in above):
                chosen.append((level, label))
    return chosen


def best_label(codes: np.ndarray, layout: BitLayout, score: Callable[[np.ndarray, int], np.ndarray]) -> tuple[int, int]:
    """The level and the label with the highest score. A finer label must beat the coarser ones by more than `SLACK`.

    Args:
        codes: int32 [N].
        layout: of the codes.
        score: from the place of each Gaussian's label, int [N], and the number of labels to their scores.
    """
    best, found = 0.0, (1, 0)
    for level in range(1, layout.levels + 1):
        labels, place = np.unique(layout.labels(codes, level), return_inverse=True)
        scores = score(place, len(labels))
        if len(labels) and (level == 1 or scores.max() > best + SLACK * abs(best)):
            best, found = float(scores.max()), (level, int(labels[scores.argmax()]))
    return found


def members(codes: np.ndarray, chosen: Labels, layout: BitLayout) -> np.ndarray:
    """The Gaussians that have one of these labels, bool [N]."""
    inside = np.zeros(len(codes), bool)
    for level in {level for level, _ in chosen}:
        wanted = np.array([label for at, label in chosen if at == level], np.uint32)
        inside |= np.isin(layout.labels(codes, level), wanted)
    return inside
