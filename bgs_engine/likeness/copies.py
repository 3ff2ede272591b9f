"""Which sets of Gaussians are copies of one thing."""

import numpy as np

from bgs_engine.likeness.likeness import ALIKE, TOLERANCE
from bgs_engine.likeness.signature import Signatures

AT_ONCE = 256  # sets that are compared with all others at once; bounds the memory
PAIRS_AT_ONCE = 4096


def copies(found: Signatures) -> np.ndarray:
    """A number for each set, int64 [K]: sets with one number are copies of one thing. -1 where a set has no copy.

    Two groups of copies become one if their sets are alike on average. The numbers count from 0, by first sets. It
    takes memory for K x K numbers.
    """
    a, b, likeness = _alike_pairs(found)
    sets, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    a, b = place.reshape(2, -1)
    groups = {k: [k] for k in range(len(sets))}
    group_of = np.arange(len(sets))
    sums = np.zeros((len(sets), len(sets)))  # of the likeness between the sets of two groups
    sums[a, b] = sums[b, a] = likeness
    order = np.lexsort((b, a, -likeness))  # the most alike first
    for start in range(0, len(order), PAIRS_AT_ONCE):
        pairs = order[start : start + PAIRS_AT_ONCE]
        pairs = pairs[group_of[a[pairs]] != group_of[b[pairs]]]  # most are soon in one group
        for one, other in zip(a[pairs].tolist(), b[pairs].tolist(), strict=True):
            first, second = sorted((int(group_of[one]), int(group_of[other])))
            if first == second or sums[first, second] < ALIKE * len(groups[first]) * len(groups[second]):
                continue
            group_of[groups[second]] = first
            groups[first] += groups.pop(second)
            sums[first] += sums[second]
            sums[:, first] = sums[first]
    out = np.full(len(found.sizes), -1, np.int64)
    for number, members in enumerate(m for _, m in sorted(groups.items()) if len(m) > 1):
        out[sets[members]] = number
    return out


def _alike_pairs(found: Signatures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of sets with a likeness of `ALIKE` and more: a, b int64 [P] with a < b, and `likeness` float64 [P].

    Sets are compared in the order of their sizes, each only with those that are not too large for it.
    """
    usable = np.flatnonzero(found.usable)
    order = usable[np.argsort(found.sizes[usable], kind="stable")]
    logs, axes = np.log(found.sizes[order]), found.axes[order]
    colors, distances = np.sqrt(found.colors[order]), np.sqrt(found.distances[order])
    most = np.log(ALIKE) / np.log(0.5)  # of the sum of the squares below
    ends = np.searchsorted(logs, logs + np.sqrt(most) * TOLERANCE[1], side="right")
    pairs = [(np.zeros((0, 2), np.int64), np.zeros(0))]
    for start in range(0, len(order), AT_ONCE):
        ones = np.arange(start, min(start + AT_ONCE, len(order)))
        others = np.arange(start + 1, int(ends[ones[-1]]))
        terms = (
            _hellinger(colors, ones, others),
            logs[others] - logs[ones, None],
            np.abs(axes[others] - axes[ones, None]).max(2),
            _hellinger(distances, ones, others),
        )
        squares = sum((term / tolerance) ** 2 for term, tolerance in zip(terms, TOLERANCE, strict=True))
        row, column = np.nonzero((squares <= most) & (others > ones[:, None]))
        pairs.append((np.sort(order[np.stack([ones[row], others[column]], 1)], axis=1), 0.5 ** squares[row, column]))
    both = np.concatenate([ids for ids, _ in pairs])
    return both[:, 0], both[:, 1], np.concatenate([values for _, values in pairs])


def _hellinger(roots: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    common = (roots[ones] @ roots[others].T).astype(np.float64)
    return np.sqrt(np.maximum(0, 1 - common))
