"""Which pixels a step looks at: some anywhere, most of them mask by mask (section 3.5 of the paper).

Pixels of a view are kept sorted by their labels at all levels. Masks nest, so every mask of every level is one
stretch of that list, and drawing from a mask is drawing a position in its stretch.
"""

from dataclasses import dataclass

import numpy as np

from bgs_engine.associate.masked_views import LevelMaps
from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.raster.cpu.fragments import tile_order


@dataclass(frozen=True)
class ViewPixels:
    """The labelled pixels of one view, sorted by labels.

    pixels: int32 [P] flat pixel numbers; node: uint16/int32 [P] row of `labels`; labels: int32 [K, L];
    mask_start, mask_end: int64 [M] stretches of all masks of all levels; level_start: int64 [L + 1], the masks of
    level l are numbers level_start[l - 1] to level_start[l].
    """

    pixels: np.ndarray
    node: np.ndarray
    labels: np.ndarray
    mask_start: np.ndarray
    mask_end: np.ndarray
    level_start: np.ndarray

    @property
    def nbytes(self) -> int:
        """Memory held, bytes."""
        return self.pixels.nbytes + self.node.nbytes


def index_pixels(level_maps: np.ndarray) -> ViewPixels:
    """Sort the labelled pixels of one view; level_maps int32 [L, H, W], nested, 0 = unlabelled."""
    levels = level_maps.shape[0]
    flat = level_maps.reshape(levels, -1)
    labelled = np.flatnonzero(flat[0] > 0).astype(np.int32)
    ids = flat[:, labelled]
    order = np.lexsort(ids[::-1])
    ids, pixels = ids[:, order], labelled[order]
    changed = np.zeros(len(pixels), bool)
    changed[:1] = True
    for level in ids:
        changed[1:] |= level[1:] != level[:-1]
    node_start = np.append(np.flatnonzero(changed), len(pixels))
    node = np.cumsum(changed) - 1
    labels = np.ascontiguousarray(ids[:, changed].T)
    kind = np.uint16 if len(labels) < 1 << 16 else np.int32
    masks = masks_of_nodes(labels, node_start)
    return ViewPixels(pixels, node.astype(kind), labels, masks.start, masks.end, masks.level_start)


@dataclass(frozen=True)
class NodeMasks:
    """The masks of one view, all levels in one numbering, siblings next to each other.

    start, end: int64 [M] stretches of the sorted pixels; level_start: int64 [L + 1], the masks of level l are numbers
    level_start[l - 1] to level_start[l]; of_node: int32 [K, L] each node's mask at each level, -1 where unlabelled.
    """

    start: np.ndarray
    end: np.ndarray
    level_start: np.ndarray
    of_node: np.ndarray


def masks_of_nodes(labels: np.ndarray, node_start: np.ndarray) -> NodeMasks:
    """Masks from nodes; labels int32 [K, L] sorted, node_start [K + 1] the nodes' stretches of the sorted pixels."""
    starts, ends, of_node = [], [], np.full(labels.shape, -1, np.int32)
    changed = np.zeros(len(labels), bool)
    changed[:1] = True
    level_start = [0]
    for level, ids in enumerate(labels.T):
        changed[1:] |= ids[1:] != ids[:-1]
        first = np.flatnonzero(changed)
        last = np.append(first, len(labels))[1:]
        named = ids[first] > 0
        starts.append(node_start[first[named]])
        ends.append(node_start[last[named]])
        number = np.where(named, np.cumsum(named) - 1 + level_start[-1], -1)
        of_node[:, level] = number[np.cumsum(changed) - 1]
        level_start.append(level_start[-1] + int(named.sum()))
    return NodeMasks(np.concatenate(starts), np.concatenate(ends), np.array(level_start), of_node)


class PixelSampler:
    """Draws a step's pixels; view indices are kept within `max_bytes`."""

    def __init__(self, level_maps: LevelMaps, uniform: int, balanced: int, masks: int, max_bytes: int) -> None:
        self.uniform, self.balanced, self.masks = uniform, balanced, masks
        self._level_maps = level_maps
        self.views: ByteCache[ViewPixels] = ByteCache(self._index, max_bytes)

    def draw(self, number: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(px int32 [P], py int32 [P], labels int32 [P, L]) of one view, each pixel once, in tile order."""
        view = self.views[number]
        if not len(view.pixels):
            empty = np.empty(0, np.int32)
            return empty, empty, np.empty((0, view.labels.shape[1]), np.int32)
        positions = [rng.integers(0, len(view.pixels), self.uniform)]
        if self.balanced and len(view.mask_start):
            chosen = self._choose_masks(view.level_start, rng)
            start, size = view.mask_start[chosen], (view.mask_end - view.mask_start)[chosen]
            offset = rng.random((-(-self.balanced // self.masks), self.masks)) * size
            positions.append((start + offset.astype(np.int64)).ravel())
        at = np.unique(np.concatenate(positions))
        py, px = np.divmod(view.pixels[at], np.int32(width))
        order = tile_order(px, py, width)
        at = at[order]
        return px[order], py[order], view.labels[view.node[at]]

    def _choose_masks(self, level_start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Mask numbers: a level first, then one of its masks; else the many fine masks would take all the pixels."""
        count = np.diff(level_start)
        level = rng.choice(np.flatnonzero(count), self.masks)
        return level_start[level] + (rng.random(self.masks) * count[level]).astype(np.int64)

    def _index(self, number: int) -> ViewPixels:
        maps = self._level_maps(number)
        return index_pixels(np.zeros((1, 1, 1), np.int32) if maps is None else maps)
