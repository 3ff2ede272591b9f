"""Which sets of Gaussians are copies of one thing."""

import numpy as np

from bgs_engine.likeness.likeness import ALIKE, TOLERANCE
from bgs_engine.likeness.signature import Signatures

AT_ONCE = 4096  # pairs; bounds the memory


def copies(found: Signatures) -> np.ndarray:
    """A number for each set, int64 [K]: sets with one number are copies of one thing. -1 where a set has no copy.

    Two groups of copies become one if their sets are alike on average. The numbers count from 0, by first sets.
    """
    a, b = _candidates(found)
    alike = _likeness_of_pairs(found, a, b)
    kept = np.flatnonzero(alike >= ALIKE)
    kept = kept[np.argsort(-alike[kept], kind="stable")]
    likeness = {(int(a[k]), int(b[k])): float(alike[k]) for k in kept}
    groups = {k: [k] for k in {*a[kept].tolist(), *b[kept].tolist()}}
    group_of = {k: k for k in groups}
    for one, other in likeness:
        first, second = sorted((group_of[one], group_of[other]))
        if first == second:
            continue
        pairs = [likeness.get((min(p, q), max(p, q)), 0.0) for p in groups[first] for q in groups[second]]
        if sum(pairs) >= ALIKE * len(pairs):
            for k in groups.pop(second):
                group_of[k] = first
                groups[first].append(k)
    out = np.full(len(found.sizes), -1, np.int64)
    for number, members in enumerate(m for _, m in sorted(groups.items()) if len(m) > 1):
        out[members] = number
    return out


def _candidates(found: Signatures) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of sets, the lower number first, whose sizes and axes do not rule out a likeness of `ALIKE`."""
    usable = np.flatnonzero(found.usable)
    order = usable[np.argsort(found.sizes[usable], kind="stable")]
    logs = np.log(found.sizes[order])
    most = np.sqrt(np.log(ALIKE) / np.log(0.5))  # tolerances by which one difference may be off
    ends = np.searchsorted(logs, logs + most * TOLERANCE[1], side="right")
    firsts, seconds = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for k, end in enumerate(ends.tolist()):
        others = order[k + 1 : end]
        near = np.abs(found.axes[others] - found.axes[order[k]]).max(1, initial=0) <= most * TOLERANCE[2]
        firsts.append(np.full(int(near.sum()), order[k]))
        seconds.append(others[near])
    a, b = np.concatenate(firsts), np.concatenate(seconds)
    return np.minimum(a, b), np.maximum(a, b)


def _likeness_of_pairs(found: Signatures, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What `likeness` gives, for pairs of sets, float64 [P]."""
    out = np.zeros(len(a))
    colors, distances = np.sqrt(found.colors), np.sqrt(found.distances)
    for start in range(0, len(a), AT_ONCE):
        one, other = a[start : start + AT_ONCE], b[start : start + AT_ONCE]
        terms = (
            _hellinger(colors, one, other),
            np.log(found.sizes[one] / found.sizes[other]),
            np.abs(found.axes[one] - found.axes[other]).max(1),
            _hellinger(distances, one, other),
        )
        squares = sum((term / tolerance) ** 2 for term, tolerance in zip(terms, TOLERANCE, strict=True))
        out[start : start + AT_ONCE] = 0.5**squares
    return out


def _hellinger(roots: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    common = np.einsum("kc,kc->k", roots[one], roots[other]).astype(np.float64)
    return np.sqrt(np.maximum(0, 1 - common))
