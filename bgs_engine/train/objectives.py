"""What training pulls rendered features towards.

An objective maps the rendered features F [P, D] of one view's pixels and their labels [P, L] to a loss and dL/dF.
"""

from typing import Protocol

import numpy as np
import torch

from bgs_engine.codes import BitLayout
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
        group_of_mask = torch.zeros(masks, dtype=torch.long).scatter_(0, mask, group)
        sibling = (group_of_mask[:, None] == group_of_mask) & ~torch.eye(masks, dtype=torch.bool)
        siblings = sibling.float()[mask]
        distance = torch.cdist(x, means).square().add(TORCH_EPSILON).sqrt()
        weight = 1 / (count[mask] * masks)
        pull = distance.gather(1, mask[:, None])[:, 0]
        push = (x.shape[1] ** 0.5 - distance).mul(siblings).sum(1) / siblings.sum(1).clamp_min(1)
        loss = ((pull + push) * weight).sum()
        lone = ~sibling.any(1)[mask]
        if guided and self.config.virtual_negative and bool(lone.any()):
            norm = x[lone].square().sum(1).add(TORCH_EPSILON).sqrt()
            loss = loss + self.config.virtual_negative * (norm * weight[lone]).sum()
        return loss


class SegmentObjective:
    """Pull every pixel to the code of the segment that its mask belongs to; masks without a segment say nothing.

    Squared hinge: a bit that is on its side of 0.5 by `MARGIN` has no gradient, so what is settled stays settled.
    """

    MARGIN = 0.25  # a quarter of the range: bits stay decided when a few Gaussians in front change

    def __init__(self, layout: BitLayout, mask_codes: list[dict[tuple[int, int], int]]) -> None:
        """mask_codes[l - 1] maps (camera, mask id) to the child number at level l; missing = contradicted."""
        self.layout, self._codes = layout, mask_codes

    def __call__(self, features: np.ndarray, labels: np.ndarray, camera: int) -> tuple[float, np.ndarray]:
        """See `Objective`."""
        grad = np.zeros_like(features)
        loss = 0.0
        trusted = np.ones(len(labels), bool)
        slices = self.layout.slices()
        for level, codes in enumerate(self._codes[: labels.shape[1]]):
            ids, inverse = np.unique(labels[:, level], return_inverse=True)
            child = np.array([codes.get((camera, int(i)), -1) for i in ids])[inverse.ravel()]
            trusted &= child >= 0
            columns = slices[level]
            width = columns.stop - columns.start
            shifts = np.arange(width - 1, -1, -1)
            sign = (((child[:, None] >> shifts) & 1) * 2 - 1).astype(np.float32)
            short = np.maximum(np.float32(self.MARGIN) - sign * (features[:, columns] - np.float32(0.5)), 0)
            short *= trusted[:, None]
            scale = np.float32(1 / max(len(labels) * width, 1))
            loss += float((short * short).sum() * scale)
            grad[:, columns] = -2 * scale * sign * short
        return loss, grad
