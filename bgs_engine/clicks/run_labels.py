"""The labels of a run as building blocks of things."""

import numpy as np

from bgs_engine.clicks.things import Thing

LEAST_KNOWN = 0.1  # of a block's weight: with less nothing is known about it
MOST_WEIGHT = 5.0  # pixels of the grid: a Gaussian that fills the picture counts as much as one that is seen well


class RunLabels:
    """The label of N Gaussians at each of L levels. A block is a set of Gaussians with the same labels at all levels.

    Masks of a few views show one side of a thing. The blocks reach round it, and training made their borders from all
    views.
    """

    def __init__(self, labels: np.ndarray) -> None:
        """labels: int32 [L, N]; up to 32 bits are used, so they are numbered anew from 0."""
        self.levels = [np.unique(row, return_inverse=True)[1] for row in labels]
        blocks, self._block = np.unique(np.stack(self.levels), axis=1, return_inverse=True)
        self._block = self._block.reshape(-1)
        self._count = blocks.shape[1]

    def at(self, share: np.ndarray) -> list[Thing]:
        """The labels with most of a place, one of each level; share: float32 [N], how much each Gaussian makes it."""
        out = []
        for labels in self.levels:
            label = int(np.bincount(labels, weights=share).argmax())
            out.append(Thing((labels == label).astype(np.float32), np.ones(len(labels), bool), 0, 0.0))
        return out

    def snapped(self, thing: Thing, weight: np.ndarray) -> Thing:
        """The blocks of which more than half lies inside a thing, as far as it is known; weight: float32 [N]."""
        known = np.minimum(weight, MOST_WEIGHT) * thing.known
        inside = self._sums(known * thing.inside)
        told, everything = self._sums(known), self._sums(np.minimum(weight, MOST_WEIGHT))
        share = inside / np.maximum(told, 1e-9) * (told > LEAST_KNOWN * everything)
        return Thing(share[self._block], np.ones(len(self._block), bool), thing.views, thing.support)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.bincount(self._block, values, self._count).astype(np.float32)
        return sums
