"""Cameras of a COLMAP model, binary or text. It reads the files `cameras` and `images` only.

pycolmap 4.2.1 was tried first. It needs points3D, which trainers' copies often lack. It opens a cut cameras.bin without
complaint, as zeros, and reports other damage as `unordered_map::at`. Reading the two files takes a page of code. The
2D points are nearly all bytes of images.bin, and the reader steps over them.
Format: https://colmap.github.io/format.html
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import is_file, open_file, open_text, read_bytes
from bgs_engine.io.image_names import ImageFinder, view_name
from bgs_engine.io.poses import checked_intrinsics, checked_pose, refuse_distortion

# Name and number of parameters by model id; the first two are pinhole, the next three pinhole plus distortion.
_MODELS = {
    0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4), 2: ("SIMPLE_RADIAL", 4), 3: ("RADIAL", 5), 4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8), 6: ("FULL_OPENCV", 12), 7: ("FOV", 5), 8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5), 10: ("THIN_PRISM_FISHEYE", 12), 11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    12: ("SIMPLE_DIVISION", 4), 13: ("DIVISION", 5), 14: ("SIMPLE_FISHEYE", 3), 15: ("FISHEYE", 4), 16: ("EUCM", 6),
    17: ("EQUIRECTANGULAR", 2),
}  # fmt: skip
_COUNTS = dict(_MODELS.values())
_ZERO_IS_PINHOLE = ("SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV")  # exact pinholes when all coefficients are 0
AGAIN = "Copy the COLMAP model again."
_MAX_NAME = 4096  # bytes; the longest path that file systems know


@dataclass(frozen=True)
class _Image:
    quaternion: tuple[float, ...]
    translation: tuple[float, ...]
    camera: int
    name: str


@dataclass(frozen=True)
class _Intrinsics:
    model: str
    width: int
    height: int
    params: tuple[float, ...]


def find_model(folder: Path) -> Path | None:
    """The folder inside a dataset that holds a COLMAP model, or None: sparse/0, sparse, colmap/sparse/0."""
    for model in (folder / "sparse" / "0", folder / "sparse", folder / "colmap" / "sparse" / "0"):
        if any(is_file(model / f"images.{kind}") for kind in ("bin", "txt")):
            return model
    return None


def read_colmap(model: Path, folder: Path) -> list[Camera]:
    """The cameras of every registered image, in the model's order of names.

    Args:
        model: the folder with cameras and images, .bin or .txt (.bin first).
        folder: the dataset, where images are looked for; `Camera.image` is None where one is missing.

    Raises:
        InputError: a file is missing or damaged, a lens is distorted, or a pose is not finite.
    """
    kind = "bin" if is_file(model / "images.bin") else "txt"
    cameras_file, images_file = model / f"cameras.{kind}", model / f"images.{kind}"
    damaged = f"{model.parent.name}/{model.name}/{{}} is damaged or cut short."
    try:
        read_cameras, read_images = (
            (_binary_cameras, _binary_images) if kind == "bin" else (_text_cameras, _text_images)
        )
        current = cameras_file
        intrinsics = read_cameras(cameras_file)
        current = images_file
        images = list(read_images(images_file))
    except (struct.error, OSError, ValueError, IndexError, KeyError, OverflowError, MemoryError):
        raise InputError(damaged.format(current.name), AGAIN) from None
    if not images:
        raise InputError(f"{images_file} lists no images.", "Check that COLMAP registered the photos.")
    finder = ImageFinder(folder)
    return [_camera(image, intrinsics, finder) for image in sorted(images, key=lambda image: image.name)]


def _camera(image: _Image, intrinsics: dict[int, _Intrinsics], finder: ImageFinder) -> Camera:
    where = f"COLMAP image {image.name!r}"
    if image.camera not in intrinsics:
        raise InputError(f"{where} uses camera {image.camera}, which is not listed.", AGAIN)
    camera = intrinsics[image.camera]
    fx, fy, cx, cy = _pinhole(camera, f"COLMAP camera {image.camera}")
    matrix = np.empty((3, 4))
    matrix[:, :3], matrix[:, 3] = _rotation(image.quaternion, where), image.translation
    return Camera(
        view_name(image.name),
        camera.width,
        camera.height,
        *(fx, fy, cx, cy),
        checked_pose(matrix, where),
        finder.find(image.name),
    )


def _pinhole(camera: _Intrinsics, where: str) -> tuple[float, float, float, float]:
    values: tuple[float, ...]
    if camera.model in ("SIMPLE_PINHOLE", *_ZERO_IS_PINHOLE[:2]):
        (f, cx, cy), rest = camera.params[:3], camera.params[3:]
        values = (f, f, cx, cy)
    else:
        values, rest = camera.params[:4], camera.params[4:]
    if camera.model not in ("PINHOLE", "SIMPLE_PINHOLE", *_ZERO_IS_PINHOLE) or any(v != 0 for v in rest):
        raise refuse_distortion(camera.model, where)
    return checked_intrinsics(camera.width, camera.height, values, where)


def _rotation(quaternion: tuple[float, ...], where: str) -> np.ndarray:
    q = np.array(quaternion)
    if not np.isfinite(q).all() or not 1e-6 < np.abs(q).max() < 1e6:
        raise InputError(
            f"{where} has a pose that is not finite (NaN or infinite).",
            "Compute the poses again or take this frame out.",
        )
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _binary_cameras(path: Path) -> dict[int, _Intrinsics]:
    data, at = read_bytes(path, hint=AGAIN), 8
    cameras = {}
    for _ in range(_count(data, smallest=48)):
        number, model, width, height = struct.unpack_from("<iiQQ", data, at)
        name, params = _MODELS[model]
        cameras[number] = _Intrinsics(name, width, height, struct.unpack_from(f"<{params}d", data, at + 24))
        at += 24 + 8 * params
    return cameras


def _binary_images(path: Path) -> Iterator[_Image]:
    with open_file(path, AGAIN) as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 8
        for _ in range(_count(data, smallest=73)):
            values = struct.unpack_from("<i7di", data, at)
            end = data.find(b"\0", at + 64, at + 64 + _MAX_NAME)
            if end < 0:
                raise ValueError("a name without an end")
            name = data[at + 64 : end].decode("utf-8")
            (points,) = struct.unpack_from("<Q", data, end + 1)
            at = end + 9 + 24 * points
            if at > len(data):
                raise ValueError("cut short inside the 2D points")
            yield _Image(values[1:5], values[5:8], values[8], name)


def _count(data: bytes | mmap.mmap, smallest: int) -> int:
    """The number of records a file promises, checked against the bytes that are there."""
    (count,) = struct.unpack_from("<Q", data)
    if count * smallest > len(data):
        raise ValueError("more records promised than there are bytes")
    return int(count)


def _text_cameras(path: Path) -> dict[int, _Intrinsics]:
    cameras = {}
    with open_text(path, AGAIN) as stream:
        for line in stream:
            words = line.split()
            if words and not words[0].startswith("#"):
                params = tuple(map(float, words[4:]))
                if words[1] in _COUNTS and len(params) != _COUNTS[words[1]]:
                    raise ValueError("wrong number of parameters")
                cameras[int(words[0])] = _Intrinsics(words[1], int(words[2]), int(words[3]), params)
    return cameras


def _text_images(path: Path) -> Iterator[_Image]:
    """The images of images.txt. COLMAP writes a line of 2D points after each; other programs leave some or all out."""
    with open_text(path, AGAIN) as stream:
        after_image = False
        for line in stream:
            words = line.split(maxsplit=9)
            if words and words[0].startswith("#"):
                continue
            if after_image and _is_points(words):
                after_image = False
            elif words:
                values = [float(word) for word in words[1:8]]
                yield _Image(tuple(values[:4]), tuple(values[4:7]), int(words[8]), words[9].rstrip("\r\n"))
                after_image = True


def _is_points(words: list[str]) -> bool:
    """Whether the line after an image lists 2D points: triples of x, y and the number of the 3D point, or nothing.

    `words` are the first nine words and the rest of the line. In the line of an image the rest is a file's name.
    """
    if len(words) < 10:
        return len(words) % 3 == 0
    try:
        float(words[9].split(maxsplit=1)[0])
    except ValueError:
        return False
    return len(words[9].split(maxsplit=3)) > 1
