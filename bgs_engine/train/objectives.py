"""What training pulls rendered features towards.

An objective maps the rendered features F [P, D] of one view's pixels and their labels [P, L] to a loss and dL/dF.
"""

from typing import Protocol

import numpy as np
import torch

from bgs_engine.associate.mask_children import CONTRADICTED, MaskChildren
from bgs_engine.core.codes import BitLayout
from bgs_engine.train.config import TrainConfig

TORCH_EPSILON = 1e-4  # under the square roots of distances: keeps the gradient finite where two codes are equal


class Objective(Protocol):
    """Loss and gradient of one step."""

    def __call__(self, features: np.ndarray, labels: np.ndarray, camera: int) -> tuple[float, np.ndarray]:
        """(loss, dL/dF float32 [P, D]) of features float32 [P, D] with labels int32 [P, L] of camera number."""


class ContrastiveObjective:
    """Progressive contrastive learning (equations 5 to 9 of the paper).

    A pixel is attracted by the mean of its own mask and repelled, at level l >= 2, by the means of the other level-l
    masks inside the same level-(l-1) mask; pairs across coarser masks give nothing. Attraction and repulsion are
    averaged per pixel, then every mask counts the same: averaging over all pairs together does not train
    (docs/method.md). With squared distances the mean over all pairs of two masks is the distance of their means plus
    constants, so no pair is ever listed: cost P x K instead of P².
    """

    def __init__(self, layout: BitLayout, config: TrainConfig) -> None:
        self.layout, self.config = layout, config
        # Many small tensors: threads cost 30 times what they save where others use the processors too.
        torch.set_num_threads(1)

    def __call__(self, features: np.ndarray, labels: np.ndarray, camera: int) -> tuple[float, np.ndarray]:
        """See `Objective`."""
        rendered = torch.from_numpy(features).requires_grad_()
        ids = torch.from_numpy(labels.astype(np.int64))
        bits = (rendered > 0.5).float()
        loss = self.config.regulariser * ((bits - rendered) ** 2).sum(1).mean()
        used = (bits - rendered).detach() + rendered if self.config.straight_through else rendered
        for level, columns in enumerate(self.layout.slices()[: labels.shape[1]]):
            known = ids[:, level] > 0
            if known.any():
                group = ids[known, level - 1] if level and self.config.progressive else torch.zeros_like(ids[known, 0])
                loss = loss + self._level(used[known, columns], ids[known, level], group, guided=level > 0)
        loss.backward()
        gradient = rendered.grad
        assert gradient is not None  # the regulariser alone reaches every pixel
        return float(loss.detach()), gradient.numpy()

    def _level(self, x: torch.Tensor, mask: torch.Tensor, group: torch.Tensor, guided: bool) -> torch.Tensor:
        """One level's loss; x [P, D_l], mask [P] and group [P] ids."""
        _, mask = torch.unique(mask, return_inverse=True)
        count = torch.bincount(mask).float()
        masks = len(count)
        means = torch.zeros(masks, x.shape[1]).index_add_(0, mask, x) / count[:, None]
        weight = 1 / (count[mask] * masks)
        pull = _length(x - means[mask])
        group_of_mask = torch.zeros(masks, dtype=torch.long).scatter_(0, mask, group)
        _, group_of_mask, members = torch.unique(group_of_mask, return_inverse=True, return_counts=True)
        loss = (pull * weight).sum() + self._repulsion(x, means, mask, group_of_mask, members, weight)
        lone = members[group_of_mask[mask]] == 1
        if guided and self.config.virtual_negative and bool(lone.any()):
            loss = loss + self.config.virtual_negative * (_length(x[lone]) * weight[lone]).sum()
        return loss

    def _repulsion(
        self,
        x: torch.Tensor,
        means: torch.Tensor,
        mask: torch.Tensor,
        group_of_mask: torch.Tensor,
        members: torch.Tensor,
        weight: torch.Tensor,
    ) -> torch.Tensor:
        """Mean distance of every pixel to the other masks of its group, short of the largest possible one.

        Group by group, so that the cost is pixels times siblings, however many masks the view has. The group of each
        mask [K] and the number of masks of each group [G] are given.
        """
        furthest = x.shape[1] ** 0.5
        group_of_pixel = group_of_mask[mask]
        order = torch.argsort(group_of_pixel, stable=True)
        parts = torch.split(order, torch.bincount(group_of_pixel, minlength=len(members)).tolist())
        total = x.new_zeros(())
        for group in torch.nonzero(members > 1).ravel().tolist():
            pixels, siblings = parts[group], torch.nonzero(group_of_mask == group).ravel()
            distance = _length(x[pixels, None] - means[None, siblings])
            other = (siblings[None] != mask[pixels, None]).float()
            push = ((furthest - distance) * other).sum(1) / (len(siblings) - 1)
            total = total + (push * weight[pixels]).sum()
        return total


def _length(x: torch.Tensor) -> torch.Tensor:
    """Euclidean length along the last axis, with a finite gradient at zero."""
    return x.square().sum(-1).add(TORCH_EPSILON).sqrt()


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
