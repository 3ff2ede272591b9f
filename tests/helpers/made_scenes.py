"""Made scenes for the rasteriser's tests: a few hundred Gaussians in front of a small camera."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from bgs_engine.core.cameras import Camera
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.raster import reference
from bgs_engine.raster.cpu.view import View, ViewBuilder
from bgs_engine.raster.scene import RasterScene

# Neither side is a multiple of the tile's 16 pixels, and the centre is off the middle: no symmetry hides a mistake.
CAMERA = Camera("made", 53, 41, 60.0, 57.0, 25.1, 21.7, np.eye(4))


@dataclass(frozen=True)
class MadeScene:
    """A scene, its view, and what the plain reference makes of the same numbers in float64."""

    scene: RasterScene
    view: View
    projected: reference.Projected


def turned_camera(seed: int) -> Camera:
    """A camera whose axes are the world's along no direction."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, rng.normal(size=3)
    return Camera("turned", CAMERA.width, CAMERA.height, CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy, viewmat)


def random_gaussians(seed: int, count: int, dtype: type, camera: Camera = CAMERA, opacity: float = 1.0) -> Gaussians:
    """Gaussians all over the picture, past its edges, and one in eight behind the camera."""
    rng = np.random.default_rng(seed)
    seen = rng.uniform((-2.2, -2.0, 2.0), (2.2, 2.0, 6.0), (count, 3))
    seen[::8, 2] *= -1
    means = (seen - camera.viewmat[:3, 3]) @ camera.viewmat[:3, :3]
    quats = rng.normal(size=(count, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    scales = np.exp(rng.uniform(np.log(0.01), np.log(0.5), (count, 3)))
    return make(means, quats, scales, rng.uniform(0.001, opacity, count), dtype)


def make(means: ArrayLike, quats: ArrayLike, scales: ArrayLike, opacities: ArrayLike, dtype: type) -> Gaussians:
    """Gaussians of the given arrays without colours, all valid."""
    m: np.ndarray = np.array(means, dtype)
    q: np.ndarray = np.array(quats, dtype)
    return Gaussians(m, q, np.array(scales, dtype), np.array(opacities, dtype), None, np.ones(len(m), bool))


def made_scene(gaussians: Gaussians, camera: Camera = CAMERA) -> MadeScene:
    """Build the kernels' view and the reference's projection of the same Gaussians."""
    scene = RasterScene.from_gaussians(gaussians)
    quats, scales = gaussians.quats[scene.rows], gaussians.scales[scene.rows]
    covs = reference.covariances(torch.from_numpy(quats).double(), torch.from_numpy(scales).double())
    projected = reference.project(torch.from_numpy(scene.means).double(), covs, camera)
    return MadeScene(scene, ViewBuilder(scene).build(camera), projected)


def all_pixels(camera: Camera = CAMERA) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of every pixel, int32 [P] each."""
    ys, xs = np.mgrid[0 : camera.height, 0 : camera.width]
    return xs.ravel().astype(np.int32), ys.ravel().astype(np.int32)


def from_records(made: MadeScene) -> reference.Projected:
    """The kernels' own projection, so that only compositing is compared."""
    order = torch.from_numpy(made.view.order).long()
    records = torch.zeros((len(made.scene), 8), dtype=torch.float64)
    records[order] = torch.from_numpy(made.view.records).double()
    visible = torch.zeros(len(made.scene), dtype=torch.bool)
    visible[order] = True
    return reference.Projected(records[:, :2], records[:, 2:5], records[:, 7], visible)
