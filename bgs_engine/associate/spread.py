"""From votes to a label for every Gaussian: Gaussians that were hardly seen follow their neighbours.

A Gaussian's own votes count by their weight, its neighbours' opinion by a fixed weight:
    P_i = (V_i + k mean_j P_j) / (W_i + k)
V_i are its votes by segment and W_i is their sum. j are its nearest neighbours inside the same coarser segment;
neighbours of its own size count most. A large, well seen Gaussian of a floor keeps its label beside the leg of a chair.
A Gaussian inside a wall, seen through a crack, takes the label of the wall. The equation is solved by a few rounds of
Jacobi's iteration, level by level (harmonic label propagation with soft constraints; Zhu, Ghahramani and Lafferty,
2003).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from bgs_engine.associate.consensus import LevelSegments
from bgs_engine.associate.kernels import spread_round

LEAST_LIKE = 1e-3  # likeness of neighbours of very different size: above zero, so that every Gaussian has neighbours
HELD = 4  # segments that a Gaussian keeps an opinion about


@dataclass(frozen=True)
class SpreadConfig:
    """How much the neighbours' opinion counts."""

    neighbours: int = 16
    strength: float = 1.0  # weight of the neighbours' opinion, in median votes of a Gaussian
    rounds: int = 8


class Neighbours:
    """The nearest neighbours of every Gaussian and their likeness in size, found once for all levels."""

    def __init__(self, means: np.ndarray, sizes: np.ndarray, config: SpreadConfig) -> None:
        """means: float [N, 3]; sizes: float [N], the typical standard deviation of each Gaussian; scene units."""
        n = len(means)
        count = min(config.neighbours + 1, n)
        self.near = np.zeros((n, 0), np.int32)  # a Gaussian alone has no neighbours
        if count > 1:
            _, found = cKDTree(means).query(means, k=[*range(2, count + 1)], workers=-1)
            self.near = np.asarray(found, np.int32).reshape(n, count - 1)
            del found  # twice as large, and not needed any more
        self.likeness = _likeness(sizes.astype(np.float32), self.near)
        self.means = means
        self.config = config

    def spread(self, level: LevelSegments, above: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """(Labels int32 [N], confidence float32 [N] in 0..1) of one level.

        The confidence is the share of votes and opinion that agrees with the label. A label is -1 only if the segment
        above (int32 [N]; None at level 1) has no finer segments.
        """
        n, votes, config = len(self.near), level.votes, self.config
        above = np.full(n, -1, np.int32) if above is None else above
        weight = np.asarray(votes.sum(1)).ravel()
        typical = float(np.median(weight[weight > 0])) if (weight > 0).any() else 1.0
        strength = np.float32(max(config.strength * typical, 1e-6))
        held, share = np.full((n, HELD), -1, np.int32), np.zeros((n, HELD), np.float32)
        for _ in range(config.rounds):
            held_next, share_next = np.empty_like(held), np.empty_like(share)
            spread_round(
                votes.indptr, votes.indices, votes.data, self.near, self.likeness, above, level.parent, strength,
                held, share, held_next, share_next,
            )  # fmt: skip
            held, share = held_next, share_next
        return _with_nearest(held[:, 0], above, self.means), np.minimum(share[:, 0], 1)  # sums of float32 exceed 1


def _likeness(sizes: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Likeness in size of each neighbour, float32 [N, K] in 0..1: Gaussians of one surface are mostly alike."""
    own, other = sizes[:, None], sizes[near]
    return np.maximum(np.minimum(own, other) / np.maximum(own, other), LEAST_LIKE) ** np.float32(2)


def _with_nearest(labels: np.ndarray, above: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Labels int32 [N] in which Gaussians without any opinion take the nearest one inside their coarser segment."""
    out = labels.copy()
    missing = np.flatnonzero(labels < 0)
    for segment in np.unique(above[missing]):
        ask = missing[above[missing] == segment]
        know = np.flatnonzero((above == segment) & (labels >= 0))
        if len(know):
            out[ask] = labels[know[cKDTree(means[know]).query(means[ask], workers=-1)[1]]]
    return out
