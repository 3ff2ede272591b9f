"""Which child number each mask stands for: the answer of the association in terms of masks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

CONTRADICTED = -1  # instead of a child number: the other views contradict the mask, or the pixel has none


@dataclass(frozen=True)
class MaskChildren:
    """Child numbers of masks.

    by_level: for each level, coarse to fine, {(camera number, mask id): child number}. Masks that the other views
        contradict are missing.
    """

    by_level: tuple[Mapping[tuple[int, int], int], ...]

    def of(self, level: int, camera: int, mask_ids: np.ndarray) -> np.ndarray:
        """Child numbers, int64 [P], of the mask ids of one view's pixels; `CONTRADICTED` where there is none.

        Args:
            level: 1 = coarsest.
            camera: number of the view.
            mask_ids: int [P], 0 = unlabelled.
        """
        children = self.by_level[level - 1]
        ids, place = np.unique(mask_ids, return_inverse=True)
        child = np.array([children.get((camera, int(i)), CONTRADICTED) for i in ids], np.int64)
        return child[place.ravel()]

    def levels_of(self, labels: np.ndarray) -> range:
        """The levels, from 1, that both this answer and labels [P, L] have."""
        return range(1, min(len(self.by_level), labels.shape[1]) + 1)
