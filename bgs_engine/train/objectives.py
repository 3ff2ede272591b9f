"""The objectives that training minimises.

An objective maps the rendered features F [P, D] of one view's pixels and their labels [P, L] to a loss and dL/dF.
"""

from typing import Protocol

import numpy as np

from bgs_engine.associate.mask_children import CONTRADICTED, MaskChildren
from bgs_engine.associate.one_hot import one_hot
from bgs_engine.core.codes import BitLayout
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.contrastive_kernels import PARTS, pull_and_push

TORCH_EPSILON = 1e-4  # under the square roots of distances: keeps the gradient finite where two codes are equal


class Objective(Protocol):
    """Loss and gradient of one step."""

    def __call__(self, features: np.ndarray, labels: np.ndarray, camera: int) -> tuple[float, np.ndarray]:
        """(loss, dL/dF float32 [P, D]) of features float32 [P, D] with labels int32 [P, L] of camera number."""


class ContrastiveObjective:
    """Progressive contrastive learning (equations 5 to 9 of the paper).

    A pixel is attracted by the mean of its own mask and repelled, at level l >= 2, by the means of the other level-l
    masks inside the same level-(l-1) mask; pairs across coarser masks give nothing. Attraction and repulsion are
    averaged for each pixel, then every mask counts the same: an average over all pairs together does not train
    (docs/lab-book.md). With squared distances, the mean over all pairs of two masks is the distance of their means plus
    constants. So pairs need not be listed, and the cost is P x K instead of P².
    """

    def __init__(self, layout: BitLayout, config: TrainConfig) -> None:
        self.layout, self.config = layout, config

    def __call__(self, features: np.ndarray, labels: np.ndarray, camera: int) -> tuple[float, np.ndarray]:
        """See `Objective`."""
        bits = (features > 0.5).astype(np.float32)
        off = features - bits
        scale = self.config.regulariser / max(len(features), 1)
        loss = scale * float((off * off).sum())
        grad = np.float32(2 * scale) * off
        used = bits if self.config.straight_through else features  # straight through: the gradient is that of `used`
        for level, columns in enumerate(self.layout.slices()[: labels.shape[1]]):
            known = np.flatnonzero(labels[:, level] > 0)
            if len(known):
                ids = labels[known, level]
                group = labels[known, level - 1] if level and self.config.progressive else np.zeros_like(ids)
                part, own = self._level(np.ascontiguousarray(used[known, columns]), ids, group, guided=level > 0)
                loss += part
                grad[known, columns] += own
        return loss, grad

    def _level(self, x: np.ndarray, ids: np.ndarray, group: np.ndarray, guided: bool) -> tuple[float, np.ndarray]:
        """One level's loss and its gradient, float32 [P, D_l]; x float32 [P, D_l], mask ids [P] and groups' ids [P]."""
        _, one_pixel, mask = np.unique(ids, return_index=True, return_inverse=True)
        group_of_mask = group[one_pixel]
        order = np.argsort(group_of_mask, kind="stable")  # masks of a group follow each other
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        mask, group_of_mask = rank[mask], group_of_mask[order]
        first, last = (np.searchsorted(group_of_mask, group_of_mask, side) for side in ("left", "right"))
        count = np.bincount(mask)
        sums = one_hot(mask, len(count)).T
        means = np.asarray(sums @ x) / count[:, None].astype(np.float32)
        grad, loss = np.empty_like(x), np.empty(PARTS)
        force = np.empty((PARTS, *means.shape), np.float32)
        virtual = np.float32(self.config.virtual_negative if guided else 0)
        pull_and_push(x, mask, means, count, first, last, virtual, np.float32(TORCH_EPSILON), grad, force, loss)
        grad += (force.sum(0) / count[:, None].astype(np.float32))[mask]
        return float(loss.sum()), grad


class SegmentObjective:
    """Pull every pixel towards the code of the segment that its mask belongs to.

    Masks without a segment have no influence. The loss is a squared hinge: a bit that lies on its side of 0.5 by at
    least `MARGIN` has no gradient, so decided bits stay decided.
    """

    MARGIN = 0.25  # a quarter of the range: bits stay decided when a few Gaussians in front change

    def __init__(self, layout: BitLayout, mask_children: MaskChildren) -> None:
        self.layout, self.mask_children = layout, mask_children

    def __call__(self, features: np.ndarray, labels: np.ndarray, camera: int) -> tuple[float, np.ndarray]:
        """See `Objective`."""
        grad = np.zeros_like(features)
        loss = 0.0
        trusted = np.ones(len(labels), bool)
        slices = self.layout.slices()
        for level in self.mask_children.levels_of(labels):
            child = self.mask_children.of(level, camera, labels[:, level - 1])
            trusted &= child != CONTRADICTED
            columns = slices[level - 1]
            width = columns.stop - columns.start
            shifts = np.arange(width - 1, -1, -1)
            sign = (((child[:, None] >> shifts) & 1) * 2 - 1).astype(np.float32)
            short = np.maximum(np.float32(self.MARGIN) - sign * (features[:, columns] - np.float32(0.5)), 0)
            short *= trusted[:, None]
            scale = np.float32(1 / max(len(labels) * width, 1))
            loss += float((short * short).sum() * scale)
            grad[:, columns] = -2 * scale * sign * short
        return loss, grad
