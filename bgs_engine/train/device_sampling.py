"""Drawing a step's pixels on the device, by the rules of `train.sampling`."""

from dataclasses import dataclass

import numpy as np
import warp as wp

from bgs_engine.associate.masked_views import LevelMaps
from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.raster.semantics import TILE
from bgs_engine.raster.warp.grouping import labelled_pixels, sort_by_labels, upload_maps
from bgs_engine.raster.warp.kernels import grouping
from bgs_engine.raster.warp.view import to_device
from bgs_engine.train.sampling import NodeMasks, masks_of_nodes
from bgs_engine.train.warp_kernels import sampling

MIN_PLACES = 500  # pixels a step: a few dozen masks with some pixels each; fewer are noise


@dataclass(frozen=True)
class DevicePixels:
    """The labelled pixels of one view, sorted by labels, on the device.

    pixels: int32 [P] flat pixel numbers; node_start: int32 [K + 1], the stretch of each combination of labels;
    node_mask: int32 [K, L], -1 = unlabelled; mask_start, mask_end int32 [M]; level_start int32 [L + 1];
    used_levels int32 [U]: levels (from 0) that have masks. labels (int32 [K, L]) and masks are the host's copies.
    """

    pixels: wp.array
    node_start: wp.array
    node_mask: wp.array
    mask_start: wp.array
    mask_end: wp.array
    level_start: wp.array
    used_levels: wp.array
    labels: np.ndarray
    masks: NodeMasks

    @property
    def nbytes(self) -> int:
        """Device memory held, bytes."""
        lists = (self.node_start, self.node_mask, self.mask_start, self.mask_end)
        return self.pixels.capacity + sum(array.capacity for array in lists)


@dataclass(frozen=True)
class DeviceSample:
    """P places with a pixel each, in tile order; a pixel drawn twice leaves a place with px = py = node = -1.

    px, py, node: int32 [P] (node: row of view.labels); drawn: int32 [1], the pixels. Overwritten by the next draw.
    """

    number: int
    view: DevicePixels
    px: wp.array
    py: wp.array
    node: wp.array
    drawn: wp.array


def index_on_device(level_maps: np.ndarray, device: str) -> DevicePixels:
    """Sort the labelled pixels of one view; level_maps int32 [L, H, W], nested, 0 = unlabelled.

    One stable radix sort a level, finest first; only the table of nodes comes back.
    """
    levels = level_maps.shape[0]
    maps, largest = upload_maps(level_maps, device)
    ids, flat = labelled_pixels(maps, 1)
    count = flat.size
    if count == 0:
        none = np.zeros((0, levels), np.int32)
        return _pixels(wp.empty(0, dtype=wp.int32, device=device), none, np.zeros(1, np.int64), device)
    order, numbers = sort_by_labels(ids, largest)
    nodes = int(numbers[-1:].numpy()[0])
    pixels, start = wp.empty(count, dtype=wp.int32, device=device), wp.empty(nodes, dtype=wp.int32, device=device)
    labels = wp.empty((nodes, levels), dtype=wp.int32, device=device)
    wp.launch(grouping.write_nodes, count, [ids, order, numbers, flat], [pixels, start, labels], device=device)
    return _pixels(pixels, labels.numpy(), np.append(start.numpy(), count), device)


def _pixels(pixels: wp.array, labels: np.ndarray, node_start: np.ndarray, device: str) -> DevicePixels:
    masks = masks_of_nodes(labels, node_start)
    tables = {
        "node_start": node_start,
        "node_mask": masks.of_node,
        "mask_start": masks.start,
        "mask_end": masks.end,
        "level_start": masks.level_start,
        "used_levels": np.flatnonzero(np.diff(masks.level_start)),
    }
    uploaded = {name: to_device(table, wp.int32, device) for name, table in tables.items()}
    return DevicePixels(pixels=pixels, labels=labels, masks=masks, **uploaded)


class DevicePixelSampler:
    """Draws a step's pixels without the host waiting; view indices are kept within `max_bytes`."""

    def __init__(
        self, level_maps: LevelMaps, uniform: int, balanced: int, masks: int, max_bytes: int, device: str
    ) -> None:
        self.uniform, self.masks, self.device = uniform, masks, device
        self.rounds = -(-balanced // masks) if balanced else 0
        self._level_maps = level_maps
        self.views: ByteCache[DevicePixels] = ByteCache(self._index, max_bytes)
        self._buffers: tuple[wp.array, ...] = ()

    def draw(self, number: int, width: int, rng: np.random.Generator) -> DeviceSample | None:
        """A sample of one view, `width` pixels wide; None where nothing is labelled."""
        view = self.views[number]
        if not view.pixels.size:
            return None
        places = self.uniform + self.rounds * self.masks
        if not self._buffers or len(self._buffers[0]) != places:
            kinds = (places, places, places, 2 * places, 2 * places, 1)
            self._buffers = tuple(wp.empty(size, dtype=wp.int32, device=self.device) for size in kinds)
        px, py, node, keys, positions, drawn = self._buffers
        tiles_x = -(-width // TILE)
        seed = int(rng.integers(1 << 31))
        wp.launch(
            sampling.draw,
            places,
            [
                seed, self.uniform, self.masks, width, tiles_x, view.pixels,
                view.mask_start, view.mask_end, view.level_start, view.used_levels,
            ],
            [keys, positions],
            device=self.device,
        )  # fmt: skip
        wp.utils.radix_sort_pairs(keys, positions, places)
        drawn.zero_()
        wp.launch(
            sampling.take_once,
            places,
            [keys, positions, tiles_x, view.node_start],
            [px, py, node, drawn],
            device=self.device,
        )
        return DeviceSample(number, view, px, py, node, drawn)

    def halve(self) -> bool:
        """Draw half as many pixels from now on; False where that would leave too few to train with."""
        if self.uniform + self.rounds * self.masks < 2 * MIN_PLACES:
            return False
        self.uniform, self.rounds = self.uniform // 2, max(1, self.rounds // 2) if self.rounds else 0
        self._buffers = ()
        return True

    def _index(self, number: int) -> DevicePixels:
        maps = self._level_maps(number)
        return index_on_device(np.zeros((1, 1, 1), np.int32) if maps is None else maps, self.device)
