"""Label maps on any device: one function for both renderers, which draw the same maps."""

from collections.abc import Callable

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.devices.choice import Device
from bgs_engine.raster.scene import RasterScene


def label_renderer(
    device: Device, scene: RasterScene, codes: np.ndarray, opacities: np.ndarray, bits: int
) -> Callable[[Camera], np.ndarray]:
    """A function from a camera to its codes, uint32 [H, W]; EMPTY_CODE where less than half the light is caught.

    codes int32 [N] and opacities float32 [N] in scene order; only the lowest `bits` bits of a code count.
    """
    if device.kind == "cuda":
        from bgs_engine.raster.warp.label_maps import DeviceLabelRenderer

        return DeviceLabelRenderer(scene, codes, opacities, bits, device.name).label_map
    from bgs_engine.raster.cpu.label_maps import label_map
    from bgs_engine.raster.cpu.view import ViewBuilder

    builder = ViewBuilder(scene)
    return lambda camera: label_map(builder.build(camera), opacities, codes, bits)
