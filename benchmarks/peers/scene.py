"""What every peer starts from, and what it ends with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.core.cameras import Camera
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.gaussians import Gaussians, load_gaussians
from bgs_engine.io.masks import load_level_maps, masked_cameras
from bgs_engine.io.ply import read_ply
from bgs_engine.raster.cpu.view import View, ViewBuilder
from bgs_engine.raster.scene import RasterScene

CACHE_BYTES = int(4e9)  # as much as the engine's own training may keep
LEVELS = 3


@dataclass(frozen=True)
class PeerScene:
    """A dataset in memory: gaussians in file order, raster in scene order, V cameras with maps int32 [L, H, W]."""

    gaussians: Gaussians
    raster: RasterScene
    cameras: list[Camera]
    maps: list[np.ndarray]
    views: ByteCache[View]


@dataclass(frozen=True)
class Partition:
    """A peer's answer.

    labels: per level int32 [N], scene order, the class of each Gaussian, -1 = none.
    draw: (view, level from 1) → the class of each pixel, int32 [H, W], -1 = none: the peer's own way of drawing.
    bytes_per_gaussian: what must be kept for all levels so that `draw` works.
    classes: how many classes each level has.
    """

    labels: list[np.ndarray]
    draw: Callable[[View, int], np.ndarray]
    bytes_per_gaussian: int
    classes: tuple[int, ...]


IdMaps = Sequence[np.ndarray]
"""Per view int32 [L, H, W]: ids that mean the same in every view, per level from 1; 0 = unlabelled."""


def load(dataset_folder: Path) -> PeerScene:
    """Read a dataset, its masks and its splat."""
    dataset = open_dataset(dataset_folder)
    cameras = masked_cameras(dataset)
    gaussians = load_gaussians(read_ply(dataset.scene), colors=False)
    raster = RasterScene.from_gaussians(gaussians)
    builder = ViewBuilder(raster)
    views: ByteCache[View] = ByteCache(lambda k: builder.build(cameras[k]), CACHE_BYTES)
    return PeerScene(gaussians, raster, cameras, [load_level_maps(dataset, c)[:LEVELS] for c in cameras], views)
