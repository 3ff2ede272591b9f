"""The graph of the labels of one level: who touches whom, who stands on whom, who lies inside whom."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.graph.contacts import contacts
from bgs_engine.graph.inside import inside
from bgs_engine.graph.nodes import make_nodes

RISE = 0.4  # a label stands on another one if it lies at least this far above it where they touch; 1 is right above


@dataclass(frozen=True)
class LabelGraph:
    """The neighbours of K labels, numbered from 0.

    count: K. pairs: int64 [E, 2], labels that touch, the lower number first, ascending. areas: float64 [E], of the
    border they share, scene units squared, known to about the square of `width`. standing: int64 [S, 2], (upper,
    lower): the upper one stands on the lower one. inside: int64 [F, 2], (inner, outer). shares: float64 [F], how much
    of the inner one lies inside, 0..1. width: the length to which distances are told apart, scene units.
    """

    count: int
    pairs: np.ndarray
    areas: np.ndarray
    standing: np.ndarray
    inside: np.ndarray
    shares: np.ndarray
    width: float

    def touching(self, labels: np.ndarray) -> np.ndarray:
        """Which labels touch one of `labels`, bool [K] both; never those themselves."""
        a, b = self.pairs.T
        return self._reached(np.concatenate([a[labels[b]], b[labels[a]]])) & ~labels

    def above(self, labels: np.ndarray) -> np.ndarray:
        """Which labels stand on one of `labels`, directly or on what stands there, bool [K] both."""
        return self._closure(labels, self.standing[:, 1], self.standing[:, 0])

    def below(self, labels: np.ndarray) -> np.ndarray:
        """Which labels carry one of `labels`, directly or by what they carry, bool [K] both."""
        return self._closure(labels, self.standing[:, 0], self.standing[:, 1])

    def inside_of(self, labels: np.ndarray) -> np.ndarray:
        """Which labels lie inside one of `labels`, bool [K] both; never those themselves."""
        return self._reached(self.inside[labels[self.inside[:, 1]], 0]) & ~labels

    def grown(self, labels: np.ndarray) -> np.ndarray:
        """The labels and all that touch one of them, bool [K] both."""
        return labels | self.touching(labels)

    def shrunk(self, labels: np.ndarray) -> np.ndarray:
        """The labels without those that touch one which is not among them, bool [K] both."""
        return labels & ~self.touching(~labels)

    def _reached(self, rows: np.ndarray) -> np.ndarray:
        out = np.zeros(self.count, bool)
        out[rows] = True
        return out

    def _closure(self, labels: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        found = labels.copy()
        while True:
            more = found | self._reached(target[found[source]])
            if (more == found).all():
                return found & ~labels
            found = more


def label_graph(
    means: np.ndarray, scales: np.ndarray, opacities: np.ndarray, labels: np.ndarray, count: int, up: np.ndarray
) -> LabelGraph:
    """The graph of `count` labels. The time grows about linearly with the number of Gaussians.

    A label stands on another one if it lies above it where they touch, and its middle is above that place.

    Args:
        means: float [N, 3], scene units.
        scales: float [N, 3], scene units.
        opacities: float [N] in 0..1. Faint Gaussians do not count.
        labels: int [N], from 0, below `count`.
        count: K.
        up: float [3], the direction upwards.
    """
    nodes = make_nodes(means, scales, opacities, labels, count, up)
    if nodes is None:
        none = np.zeros((0, 2), np.int64)
        return LabelGraph(count, none, np.zeros(0), none, none, np.zeros(0), 0.0)
    touch = contacts(nodes)
    a, b = touch.pairs.T
    first = (touch.rises >= RISE) & (touch.middles[a] > touch.heights)
    second = (touch.rises <= -RISE) & (touch.middles[b] > touch.heights)
    standing = np.concatenate([touch.pairs[first], touch.pairs[second][:, ::-1]])
    return LabelGraph(count, touch.pairs, touch.areas, standing, *inside(nodes), nodes.width)
