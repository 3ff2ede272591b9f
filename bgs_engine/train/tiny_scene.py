"""A scene that is rasterised in milliseconds, to compile kernels with and to test a card."""

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.raster.scene import RasterScene

GAUSSIANS = 300  # enough for several tiles with long lists
EDGE = 48  # px


def tiny_scene() -> tuple[RasterScene, Camera]:
    """Grey Gaussians, most of them in front of the camera and some beside its picture of EDGE x EDGE pixels."""
    rng = np.random.default_rng(0)
    quats = rng.normal(size=(GAUSSIANS, 4))
    fields = (
        rng.uniform((-1.6, -1.6, 1.5), (1.6, 1.6, 4.0), (GAUSSIANS, 3)),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        np.exp(rng.uniform(-3.5, -1.0, (GAUSSIANS, 3))),
        rng.uniform(0.05, 0.95, GAUSSIANS),
        np.zeros((GAUSSIANS, 1, 3)),
    )
    means, unit_quats, scales, opacities, sh = (field.astype(np.float32) for field in fields)
    gaussians = Gaussians(means, unit_quats, scales, opacities, sh, np.ones(GAUSSIANS, bool))
    return RasterScene.from_gaussians(gaussians), Camera("tiny", EDGE, EDGE, 40.0, 40.0, EDGE / 2, EDGE / 2, np.eye(4))
