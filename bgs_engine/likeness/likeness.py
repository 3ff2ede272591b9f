"""How alike two sets of Gaussians are, from their signatures."""

import numpy as np

from bgs_engine.likeness.signature import Signatures

ALIKE = 0.5  # sets of at least this likeness count as copies of one thing
# Differences that are as much as copies of one thing have, for each of: colours, size, axes, distances.
TOLERANCE = (0.35, 0.15, 0.15, 0.15)


def differences(found: Signatures, one: int) -> np.ndarray:
    """The differences of every set from set `one`, float64 [K, 4]: colours, size, axes, distances.

    Colours and distances are compared by the Hellinger distance of their histograms, 0 to 1; the size by the logarithm
    of its ratio; the axes by their largest difference.
    """
    color = _hellinger(found.colors, one)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs(np.log(found.sizes / found.sizes[one]))
    axes = np.abs(found.axes - found.axes[one]).max(1)
    return np.stack([color, size, axes, _hellinger(found.distances, one)], 1)


def likeness(found: Signatures, ones: np.ndarray) -> np.ndarray:
    """How alike every set is to the most similar of the sets `ones`, float64 [K] in 0..1; 0 without a signature.

    A set is as like itself as 1. `ALIKE` and more is a copy.
    """
    best = np.zeros(len(found.sizes))
    for one in ones.tolist():
        if found.usable[one]:
            terms = (differences(found, one) / np.array(TOLERANCE)) ** 2
            best = np.maximum(best, np.where(found.usable, 0.5 ** terms.sum(1), 0))
    return best


def _hellinger(histograms: np.ndarray, one: int) -> np.ndarray:
    used = np.flatnonzero(histograms[one])
    common = np.sqrt(histograms[:, used]) @ np.sqrt(histograms[one, used])
    return np.sqrt(np.maximum(0, 1 - common.astype(np.float64)))
