"""Where the camera of a published page starts: at a view of the run's dataset, else outside, round the bulk."""

from typing import Any

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.io.run_folder import Run
from bgs_engine.output.orbit import FIELD_OF_VIEW, orbit_cameras, sphere_of_bulk
from bgs_engine.output.run_up import run_up

PICTURE = (1280, 960)  # pixels that the bulk must fit into, seen from outside
MIDDLE = 0.25  # of the width and height to each side of the centre: what lies there, the camera turns round
SOLID = 0.5  # opacity of Gaussians that count as a surface


def first_view(run: Run, gaussians: Gaussians) -> dict[str, Any]:
    """Eye, target and up, three numbers each, the field of view in degrees, and the farthest Gaussian from the target.

    A room looks like a box from outside. The views of the dataset were taken where there is something to see.
    """
    up = run_up(run, gaussians)
    eye, target = _of_dataset(run, gaussians) or _from_outside(gaussians, up)
    seen = gaussians.means[gaussians.opacities > 0]
    farthest = np.linalg.norm((seen if len(seen) else gaussians.means) - target, axis=1).max()
    places = {"eye": eye.tolist(), "target": target.tolist(), "up": up.tolist()}
    return {**places, "fov": FIELD_OF_VIEW, "farthest": float(farthest)}


def _from_outside(gaussians: Gaussians, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (camera,) = orbit_cameras(gaussians, up, 1, *PICTURE)
    return camera.position, sphere_of_bulk(gaussians)[0]


def _of_dataset(run: Run, gaussians: Gaussians) -> tuple[np.ndarray, np.ndarray] | None:
    """Eye and target of the first view, None where the dataset is not there or the view shows nothing."""
    try:
        dataset = open_dataset(run.folder / str(run.info.get("dataset", "dataset")))
    except InputError:
        return None
    camera = dataset.moved(gaussians.offset).in_frame(run.frame_change).cameras[0]
    depth = _depth_of_middle(camera, gaussians)
    return None if depth is None else (camera.position, camera.position + depth * camera.forward)


def _depth_of_middle(camera: Camera, gaussians: Gaussians) -> float | None:
    """The median depth of the solid Gaussians in the middle of a view, in scene units."""
    solid = gaussians.means[gaussians.opacities > SOLID]
    x, y, z = camera.viewmat[:3, :3] @ solid.T.astype(np.float64) + camera.viewmat[:3, 3:]
    wide, high = MIDDLE * camera.width / camera.fx, MIDDLE * camera.height / camera.fy
    depths = z[(z > 0) & (np.abs(x) < wide * z) & (np.abs(y) < high * z)]
    return float(np.median(depths)) if len(depths) else None
