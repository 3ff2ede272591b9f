"""Pictures of a scene from a camera: colour, depth, and the contribution of each Gaussian."""

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.raster.cpu.fragments import FragmentLister, tile_order
from bgs_engine.raster.cpu.frame import blend
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.sh import sh_colors


def render_frame(
    scene: RasterScene, camera: Camera, background: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(colour [H, W, 3] in 0..1, opacity of the picture [H, W], depth [H, W] with inf where empty), float32.

    Raises:
        ValueError: the scene was loaded without colours.
    """
    if scene.sh is None:
        raise ValueError("this scene was loaded without colours")
    view = ViewBuilder(scene).build(camera)
    forward = camera.forward if camera.orthographic else None
    colors = sh_colors(scene.sh[view.order], scene.means[view.order], camera.position, forward)
    image, transmittance, depth = blend(view, scene.opacities, colors)
    image += transmittance[..., None] * np.asarray(background, image.dtype)
    return image.clip(0, 1, out=image), 1 - transmittance, depth


def render_color(
    scene: RasterScene, camera: Camera, background: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> np.ndarray:
    """Colour, float32 [H, W, 3] in 0..1, with full spherical harmonics."""
    return render_frame(scene, camera, background)[0]


def render_depth(scene: RasterScene, camera: Camera) -> np.ndarray:
    """Depth along the viewing axis where half the light is caught, float32 [H, W], scene units, inf where empty."""
    view = ViewBuilder(scene).build(camera)
    return blend(view, scene.opacities, np.zeros((len(view.order), 3), np.float32))[2]


def seen_weights(scene: RasterScene, camera: Camera, stride: int = 2) -> np.ndarray:
    """Each Gaussian's summed contribution to the view, float32 [file rows], pixels; from every stride-th pixel."""
    view = ViewBuilder(scene).build(camera)
    ys, xs = np.mgrid[0 : camera.height : stride, 0 : camera.width : stride]
    px, py = xs.ravel().astype(np.int32), ys.ravel().astype(np.int32)
    order = tile_order(px, py, camera.width)
    fragments = FragmentLister().list(view, px[order], py[order], scene.opacities)
    lists = fragments.by_gaussian()
    out = np.zeros(len(scene), np.float32)
    sums = np.add.reduceat(fragments.weight[lists.fragment], lists.offsets[:-1]) if len(lists.rows) else 0
    out[lists.rows] = sums * np.float32(stride * stride)
    return scene.to_file_order(out)
