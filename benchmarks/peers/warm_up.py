"""Compile the peers' kernels before any clock runs, as the engine does with its own."""

import numpy as np

from benchmarks.peers.field import FeatureField
from benchmarks.peers.frames import blend, heaviest_label
from benchmarks.peers.scene import PeerScene
from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.core.cameras import Camera
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.raster.cpu.view import View, ViewBuilder
from bgs_engine.raster.scene import RasterScene


def warm_up_peers() -> None:
    """Draw and train one Gaussian."""
    one = np.ones((1, 3), np.float32)
    quat = np.array([[1, 0, 0, 0]], np.float32)
    gaussians = Gaussians(one * 0, quat, one * np.float32(0.1), one[0, :1] * np.float32(0.5), None, np.ones(1, bool))
    viewmat = np.eye(4)
    viewmat[2, 3] = 2
    camera = Camera("warm-up", 16, 16, 16, 16, 8, 8, viewmat)
    raster = RasterScene.from_gaussians(gaussians)
    views: ByteCache[View] = ByteCache(lambda _: ViewBuilder(raster).build(camera), 1)
    field = FeatureField(PeerScene(gaussians, raster, [camera], [], views), one, unit=True)
    pixel = np.full(1, 8, np.int32)
    field.backward(field.forward(0, pixel, pixel), 0.1)
    blend(views[0], raster.opacities, field.features)
    heaviest_label(views[0], raster.opacities, np.zeros(1, np.int32))
