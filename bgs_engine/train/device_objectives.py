"""Both objectives on the device: loss and dL/dF of a `DeviceSample`. The host does not wait.

Tests compare the results with those of `train.objectives`.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import warp as wp

from bgs_engine.associate.mask_children import CONTRADICTED, MaskChildren
from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.core.codes import BitLayout
from bgs_engine.raster.warp.kernels.lanes import lanes_of
from bgs_engine.raster.warp.view import to_device
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.device_sampling import DevicePixels, DeviceSample
from bgs_engine.train.objectives import TORCH_EPSILON, SegmentObjective
from bgs_engine.train.warp_kernels import FIXED, contrastive, segments

TABLE_BYTES = 64 << 20  # per-view tables; a view's are some kilobytes


class DeviceObjective(Protocol):
    """Gradient of one step; its loss is added to `loss`."""

    def __call__(self, features: wp.array, sample: DeviceSample, loss: wp.array) -> wp.array:
        """dL/dF float32 [P, D] of rendered features float32 [P, D]; loss int64 [1] grows by loss x FIXED."""


class _Bits:
    """On the device: the level of each bit int32 [D], the width of that level float32 [D], first bits int32 [L + 1]."""

    def __init__(self, layout: BitLayout, device: str) -> None:
        widths = np.array(layout.level_bits)
        self.level = to_device(np.repeat(np.arange(layout.levels), widths), wp.int32, device)
        self.width = to_device(np.repeat(widths, widths), wp.float32, device)
        self.first = to_device(np.cumsum([0, *widths]), wp.int32, device)


class DeviceSegmentObjective:
    """See `SegmentObjective`: a lookup table per view, one kernel per step."""

    def __init__(self, layout: BitLayout, mask_children: MaskChildren, device: str) -> None:
        self.layout, self.mask_children, self.device = layout, mask_children, device
        self._bits = _Bits(layout, device)
        self._tables: dict[int, tuple[wp.array, wp.array]] = {}
        self._grad = wp.empty((0, layout.total), dtype=wp.float32, device=device)

    def __call__(self, features: wp.array, sample: DeviceSample, loss: wp.array) -> wp.array:
        """See `DeviceObjective`."""
        self._grad = _like(self._grad, features)
        if sample.number not in self._tables:
            self._tables[sample.number] = self._table(sample.number, sample.view.labels)
        lanes = lanes_of(self.device)
        wp.launch(
            segments.segment_hinge,
            (features.shape[0], lanes),
            [
                features, sample.node, sample.drawn, *self._tables[sample.number],
                self._bits.level, self._bits.width, float(SegmentObjective.MARGIN), lanes,
            ],
            [self._grad, loss],
            device=self.device,
            block_dim=segments.BLOCK,
        )  # fmt: skip
        return self._grad

    def _table(self, camera: int, labels: np.ndarray) -> tuple[wp.array, wp.array]:
        """(target bits uint32 [K], number of trusted levels int32 [K]) of the nodes with labels int32 [K, L]."""
        targets, trusted = np.zeros(len(labels), np.uint32), np.zeros(len(labels), np.int32)
        trusting = np.ones(len(labels), bool)
        for level in self.mask_children.levels_of(labels):
            child = self.mask_children.of(level, camera, labels[:, level - 1])
            trusting &= child != CONTRADICTED
            trusted += trusting
            shift = self.layout.total - self.layout.bits_to(level)
            targets |= (child.clip(0) << shift).astype(np.uint32)
        return to_device(targets, wp.uint32, self.device), to_device(trusted, wp.int32, self.device)


@dataclass(frozen=True)
class _Families:
    """Per mask of one view, int32 [M] on the device: its level and its siblings first:last."""

    level: wp.array
    first: wp.array
    last: wp.array

    @property
    def nbytes(self) -> int:
        """Device memory held, bytes."""
        return sum(array.capacity for array in (self.level, self.first, self.last))


class _MaskScratch:
    """What one step sums up for each mask, for at most `masks` masks; every step begins it anew."""

    def __init__(self, masks: int, layout: BitLayout, device: str) -> None:
        self.counts = wp.empty(masks, dtype=wp.int32, device=device)
        self.members = wp.empty(masks, dtype=wp.int32, device=device)
        self.present = wp.empty(layout.levels, dtype=wp.int32, device=device)
        self.means = wp.zeros((masks, layout.total), dtype=wp.float32, device=device)
        self.sums = wp.empty((masks, layout.total), dtype=wp.int64, device=device)
        self.mean_grad = wp.empty((masks, layout.total), dtype=wp.int64, device=device)

    def begin(self) -> None:
        """Zero what kernels add to."""
        for array in (self.counts, self.members, self.present, self.sums, self.mean_grad):
            array.zero_()


class DeviceContrastiveObjective:
    """See `ContrastiveObjective`. Pixels act on the means of masks; pairs of pixels are never listed."""

    def __init__(self, layout: BitLayout, config: TrainConfig, device: str) -> None:
        self.layout, self.config, self.device = layout, config, device
        self._bits = _Bits(layout, device)
        self._views: dict[int, DevicePixels] = {}
        self._families: ByteCache[_Families] = ByteCache(lambda k: self._families_of(self._views[k]), TABLE_BYTES)
        self._scratch = _MaskScratch(0, layout, device)
        self._grad = wp.empty((0, layout.total), dtype=wp.float32, device=device)

    def __call__(self, features: wp.array, sample: DeviceSample, loss: wp.array) -> wp.array:
        """See `DeviceObjective`."""
        self._grad = _like(self._grad, features)
        self._views[sample.number] = sample.view
        family = self._families[sample.number]
        del self._views[sample.number]
        masks = family.level.size
        if self._scratch.counts.size < masks:
            self._scratch = _MaskScratch(masks, self.layout, self.device)
        scratch = self._scratch
        scratch.begin()
        self._grad.zero_()
        lanes = lanes_of(self.device)
        binarised, pixels, device = int(self.config.straight_through), features.shape[0], self.device
        node, masks_of = sample.node, sample.view.node_mask
        wp.launch(
            contrastive.sum_by_mask,
            features.shape,
            [features, node, masks_of, self._bits.level, self._bits.first, binarised],
            [scratch.counts, scratch.sums],
            device=device,
            block_dim=contrastive.BLOCK,
        )
        wp.launch(
            contrastive.means_of_masks,
            (masks, self.layout.total),
            [scratch.counts, scratch.sums, family.level, family.first],
            [scratch.means, scratch.present, scratch.members],
            device=device,
            block_dim=contrastive.BLOCK,
        )
        wp.launch(
            contrastive.forces,
            (pixels, lanes),
            [
                features, node, masks_of, self._bits.first, scratch.counts, scratch.means, scratch.present,
                scratch.members, family.first, family.last, binarised,
                float(self.config.virtual_negative), TORCH_EPSILON, lanes,
            ],
            [self._grad, scratch.mean_grad, loss],
            device=device,
            block_dim=contrastive.BLOCK,
        )  # fmt: skip
        wp.launch(
            contrastive.finish,
            pixels,
            [
                features, node, sample.drawn, masks_of, self._bits.level, scratch.counts, scratch.mean_grad,
                float(self.config.regulariser),
            ],
            [self._grad, loss],
            device=device,
            block_dim=contrastive.BLOCK,
        )  # fmt: skip
        return self._grad

    def _families_of(self, view: DevicePixels) -> _Families:
        masks = view.masks
        count = int(masks.level_start[-1])
        level = np.repeat(np.arange(len(masks.level_start) - 1), np.diff(masks.level_start))
        first, last = masks.level_start[level], masks.level_start[level + 1]
        if self.config.progressive:
            parent = np.full(count, -1)
            for fine in range(1, masks.of_node.shape[1]):
                named = masks.of_node[:, fine] >= 0
                parent[masks.of_node[named, fine]] = masks.of_node[named, fine - 1]
            # Masks are numbered level by level, inside a level parent by parent: a family is one stretch.
            key = level * (count + 1) + parent + 1
            first, last = np.searchsorted(key, key, "left"), np.searchsorted(key, key, "right")
        tables = {"level": level, "first": first, "last": last}
        uploaded = {name: to_device(table, wp.int32, self.device) for name, table in tables.items()}
        return _Families(**uploaded)


def loss_value(loss: int) -> float:
    """A loss from its fixed-point form."""
    return loss / FIXED


def _like(kept: wp.array, wanted: wp.array) -> wp.array:
    return kept if kept.shape == wanted.shape else wp.empty_like(wanted)
