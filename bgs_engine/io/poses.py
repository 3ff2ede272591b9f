"""Checks that the camera readers share. They refuse numbers that make no usable pinhole view, and say which."""

import math
from collections.abc import Iterable

import numpy as np

from bgs_engine.core.errors import InputError

MAX_SIDE = 32768  # pixels; larger numbers come from damaged files and would ask for endless memory
MAX_LENGTH = 1e9  # scene units, and pixels of a principal point
ORTHOGONAL_TOLERANCE = 1e-2  # poses are printed with few digits; a real shear or mirror is far off


def checked_pose(matrix: np.ndarray, where: str) -> np.ndarray:
    """A rigid transform [4, 4] from [3, 4] or [4, 4]. A uniform scale of its axes is divided out.

    Raises:
        InputError: the pose is not finite, mirrored or sheared. `where` names the frame.
    """
    again = "Compute the poses again or take this frame out."
    if matrix.shape not in ((3, 4), (4, 4)):
        raise InputError(f"{where} has no 4x4 pose.", again)
    if not np.isfinite(matrix).all() or np.abs(matrix[:3]).max() > MAX_LENGTH:
        raise InputError(f"{where} has a pose that is not finite (NaN or infinite).", again)
    axes = matrix[:3, :3]
    scale = math.sqrt((axes * axes).sum() / 3)
    if scale < 1e-9:
        raise InputError(f"{where} has a pose without a rotation.", again)
    rotation = axes / scale
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > ORTHOGONAL_TOLERANCE:
        raise InputError(f"{where} has a sheared pose.", again)
    if np.linalg.det(rotation) < 0:
        raise InputError(f"{where} has a mirrored pose.", again)
    left, _, right = np.linalg.svd(rotation)  # nearest rotation: rounding in the file must not shear the picture
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = left @ right, matrix[:3, 3]
    return pose


def checked_intrinsics(
    width: float, height: float, focal_and_center: Iterable[float], where: str
) -> tuple[float, float, float, float]:
    """(fx, fy, cx, cy), all finite and in range.

    Raises:
        InputError: no picture has such a size or focal length. `where` names the camera.
    """
    fx, fy, cx, cy = map(float, focal_and_center)
    values = (fx, fy, cx, cy)
    sizes_fit = 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE
    if not sizes_fit or not all(abs(v) < MAX_LENGTH for v in values) or min(fx, fy) <= 1e-3:
        raise InputError(
            f"{where} has impossible intrinsics (size {str(width)[:12]} x {str(height)[:12]}, "
            f"focal length {fx:g}, {fy:g}, centre {cx:g}, {cy:g}).",
            "Compute the cameras again.",
        )
    return values


def refuse_distortion(model: str, where: str) -> InputError:
    """The error for a camera that is no pinhole. Undistorting would move the pixels under masks made elsewhere."""
    return InputError(
        f"{where} has lens distortion (camera model {model}), and splats are drawn without.",
        "Run `colmap image_undistorter --image_path images --input_path sparse/0 --output_path undistorted` "
        "and use the folder `undistorted`.",
    )
