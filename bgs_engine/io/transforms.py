"""Cameras of a transforms.json (nerfstudio, instant-ngp): OpenGL poses, camera → world.

https://docs.nerf.studio/quickstart/data_conventions.html
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.cameras import Camera, viewmat_from_opengl
from bgs_engine.core.errors import InputError
from bgs_engine.core.files import read_json, write_json
from bgs_engine.io.image_names import ImageFinder, view_name
from bgs_engine.io.images import image_size
from bgs_engine.io.poses import checked_intrinsics, checked_pose, refuse_distortion

ORTHOGRAPHIC = "ORTHOGRAPHIC"  # ours: parallel rays, fl_x and fl_y in pixels per scene unit
_PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV", "PERSPECTIVE")
_DISTORTION = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")


def read_transforms(path: Path) -> tuple[list[Camera], dict[str, Any]]:
    """The cameras of every frame, in file order, and the file's other keys.

    Frames whose image is missing have `image` None, and width 0 where the file does not say the size either.

    Raises:
        InputError: the file is of another kind, a lens is distorted, or a frame's pose is unusable.
    """
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("frames"), list):
        raise InputError(f"{path.name} has no list of frames.", "Export it from nerfstudio or instant-ngp again.")
    if not data["frames"]:
        raise InputError(f"{path.name} lists no frames.", "Export it from nerfstudio or instant-ngp again.")
    shared = {key: value for key, value in data.items() if key != "frames"}
    finder = ImageFinder(path.parent)
    cameras = [_camera(frame, shared, path, number, finder) for number, frame in enumerate(data["frames"])]
    return cameras, shared


def read_views(path: Path) -> list[Camera]:
    """The cameras of `read_transforms` for drawing, each with a size.

    Raises:
        InputError: as `read_transforms`, or the file does not say the size of a frame.
    """
    cameras, _ = read_transforms(path)
    for camera in cameras:
        if not camera.width:
            raise InputError(
                f"Frame {camera.name!r} of {path.name} has no size, and no readable image to take it from.",
                "Give it w and h in pixels.",
            )
    return cameras


def _camera(frame: Any, shared: dict[str, Any], path: Path, number: int, finder: ImageFinder) -> Camera:
    if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
        raise InputError(f"Frame {number} of {path.name} has no file_path.", "Export the file again.")
    file = frame["file_path"]
    where = f"Frame {file[:80]!r} of {path.name}"
    values = {**shared, **frame}
    model = values.get("camera_model", "PINHOLE")
    fisheye = values.get("is_fisheye") is True
    if (
        fisheye
        or model not in (*_PINHOLE_MODELS, ORTHOGRAPHIC)
        or any(_number(values, key, where, 0) != 0 for key in _DISTORTION)
    ):
        raise refuse_distortion("fisheye" if fisheye else str(model)[:40], where)
    try:
        matrix = np.array(frame["transform_matrix"], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(f"{where} has no 4x4 pose.", "Compute the poses again or take this frame out.") from None
    viewmat = viewmat_from_opengl(checked_pose(matrix, where))
    image = finder.find(file)
    width, height = _number(values, "w", where), _number(values, "h", where)
    if not (width and height):
        if image is None:
            return Camera(view_name(file), 0, 0, 0, 0, 0, 0, viewmat)
        try:
            width, height = image_size(image)
        except InputError:  # whoever opens the dataset meets it again, and leaves this one frame out
            return Camera(view_name(file), 0, 0, 0, 0, 0, 0, viewmat, image)
    intrinsics = checked_intrinsics(width, height, _focal_and_center(values, width, height, where), where)
    return Camera(view_name(file), round(width), round(height), *intrinsics, viewmat, image, model == ORTHOGRAPHIC)


def _focal_and_center(values: dict[str, Any], width: float, height: float, where: str) -> tuple[float, ...]:
    fx = _number(values, "fl_x", where) or _from_angle(_number(values, "camera_angle_x", where), width)
    fy = _number(values, "fl_y", where) or _from_angle(_number(values, "camera_angle_y", where), height)
    if not (fx or fy):
        raise InputError(f"{where} has no focal length (fl_x or camera_angle_x).", "Export the file again.")
    cx, cy = _number(values, "cx", where, width / 2), _number(values, "cy", where, height / 2)
    return fx or fy, fy or fx, cx, cy


def _from_angle(angle: float, side: float) -> float:
    """Focal length in pixels from a field of view in radians; 0 where there is none."""
    return side / 2 / math.tan(angle / 2) if 0 < angle < math.pi else 0.0


def _number(values: dict[str, Any], key: str, where: str, default: float = 0.0) -> float:
    value = values.get(key)
    if value is None:
        return default
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where} has {key} = {str(value)[:40]!r}, which is no number.", "Export the file again.")
    return number


def write_transforms(path: Path, cameras: Sequence[Camera], shared: dict[str, Any] | None = None) -> None:
    """Write cameras as transforms.json with the further keys `shared`. Intrinsics that all share stand at the top.

    `file_path` is the image's path relative to the file, or images/<name>.png where a camera has none.
    """
    intrinsics = [{"fl_x": c.fx, "fl_y": c.fy, "cx": c.cx, "cy": c.cy, "w": c.width, "h": c.height,
                   **({"camera_model": ORTHOGRAPHIC} if c.orthographic else {})} for c in cameras]  # fmt: skip
    same = all(one == intrinsics[0] for one in intrinsics)
    frames = []
    for camera, own in zip(cameras, intrinsics, strict=True):
        image = camera.image or path.parent / "images" / f"{camera.name}.png"
        file = image.relative_to(path.parent) if image.is_relative_to(path.parent) else image
        pose = (camera.opengl_pose + 0.0).tolist()  # + 0.0 turns -0.0 into 0.0
        frames.append({"file_path": file.as_posix(), **({} if same else own), "transform_matrix": pose})
    top = intrinsics[0] if same and intrinsics else {}
    write_json(path, {"camera_model": "PINHOLE", **top, **(shared or {}), "frames": frames})
