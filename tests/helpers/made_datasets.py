"""Two cameras written as each of the formats that datasets come in."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bgs_engine.core.cameras import OPENGL_TO_OPENCV

WIDTH, HEIGHT = 8, 6
INTRINSICS = (9.0, 8.5, 4.25, 2.75)  # fx, fy, cx, cy
NAMES = ("a.png", "b.png")
HALF = 0.5**0.5
# (w, x, y, z) and translation, world → camera; the second is a quarter turn about y.
POSES = (((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), ((HALF, 0.0, HALF, 0.0), (0.5, -1.0, 2.0)))
VIEWMATS = np.array(
    [np.eye(4), [[0, 0, 1, 0.5], [0, 1, 0, -1], [-1, 0, 0, 2], [0, 0, 0, 1]]], np.float64
)  # of the poses, by hand


def colmap_binary(model: int = 1, params: tuple[float, ...] = INTRINSICS) -> dict[str, bytes]:
    """cameras.bin and images.bin; the second image has three 2D points, to be stepped over."""
    cameras = struct.pack("<QiiQQ", 1, 1, model, WIDTH, HEIGHT) + struct.pack(f"<{len(params)}d", *params)
    images = struct.pack("<Q", len(NAMES))
    for number, (name, (quaternion, translation)) in enumerate(zip(NAMES, POSES, strict=True)):
        images += struct.pack("<i7di", number + 1, *quaternion, *translation, 1) + name.encode() + b"\0"
        points = 3 * number
        images += struct.pack("<Q", points) + struct.pack("<ddq", 1.5, 2.5, -1) * points
    return {"cameras.bin": cameras, "images.bin": images}


def colmap_text(model: str = "PINHOLE", params: tuple[float, ...] = INTRINSICS) -> dict[str, bytes]:
    """cameras.txt and images.txt."""
    cameras = f"# Camera list\n1 {model} {WIDTH} {HEIGHT} {' '.join(map(repr, params))}\n"
    images = "# Image list\n"
    for number, (name, pose) in enumerate(zip(NAMES, POSES, strict=True), 1):
        values = " ".join(repr(v) for part in pose for v in part)
        images += f"{number} {values} 1 {name}\n" + "1.5 2.5 -1 " * (number - 1) + "\n"
    return {"cameras.txt": cameras.encode(), "images.txt": images.encode()}


def transforms() -> dict[str, Any]:
    """transforms.json as a dictionary."""
    poses = [(np.linalg.inv(v) @ OPENGL_TO_OPENCV).tolist() for v in VIEWMATS]
    frames = [{"file_path": f"images/{n}", "transform_matrix": p} for n, p in zip(NAMES, poses, strict=True)]
    fx, fy, cx, cy = INTRINSICS
    return {"w": WIDTH, "h": HEIGHT, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "frames": frames}


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write named bytes into a folder, made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def write_images(folder: Path, scale: float = 1.0, names: tuple[str, ...] = NAMES) -> None:
    """Grey pictures of the cameras' size times `scale`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (round(WIDTH * scale), round(HEIGHT * scale))).save(folder / name)
