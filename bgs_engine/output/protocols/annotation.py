"""What every protocol asks: an object that is pointed at in one view and has true masks in others."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import is_folder, short
from bgs_engine.io.images import image_size, read_image

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow turns colours into grey
WHITE = 128  # a brighter pixel belongs to a mask; Gaussian Grouping's eval_lerf_mask.py draws the line here
UNLIKE = 0.01  # of the height: releases differ by a pixel or two in how they scaled pictures (truck: 979 and 980)


@dataclass(frozen=True)
class TrueMask:
    """A mask file, and the camera of its view."""

    camera: Camera
    path: Path


@dataclass(frozen=True)
class Annotation:
    """One object.

    prompt: what points at the object. beside: pixels of the same view that are not the object; None: all that `prompt`
    leaves out. targets: the true masks, in the order of the views.
    """

    name: str
    prompt: TrueMask
    beside: Path | None
    targets: tuple[TrueMask, ...]


def last_part(name: str) -> str:
    """The name of a view without its folders."""
    return name.rpartition("/")[2]


def by_last_part(cameras: Sequence[Camera]) -> dict[str, Camera]:
    """Cameras by the last part of their names."""
    return {last_part(camera.name): camera for camera in cameras}


def pictures_in(folder: Path, pattern: str = r".*\.png") -> list[Path]:
    """The files of a folder whose whole name matches, in the order of their names; notes of macOS are left out.

    Raises:
        InputError: there is no such folder.
    """
    if not is_folder(folder):
        raise InputError(f"There is no folder {short(folder)}.", "The manual describes the folders of each protocol.")
    fits = re.compile(pattern, re.IGNORECASE)
    return sorted(p for p in folder.iterdir() if fits.fullmatch(p.name) and not p.name.startswith("._"))


def read_mask(path: Path) -> np.ndarray:
    """A mask, bool [H, W]: bright pixels of any picture, or pixels that are not 0 if the brightest is 1.

    Raises:
        InputError: the file is no picture.
    """
    grey: np.ndarray = read_image(path).astype(np.float32) @ LUMINANCE
    return grey > (WHITE if grey.max(initial=0) > 1.5 else 0.5)


def read_scribble(path: Path) -> np.ndarray:
    """The pixels of a scribble, bool [H, W]: all that are not black.

    Raises:
        InputError: the file is no picture, or it is all black.
    """
    drawn = read_image(path).max(axis=-1) > 0
    if not drawn.any():
        raise InputError(f"{path.parent.name}/{path.name} is all black: nothing is drawn.", "Copy the file again.")
    return drawn


def camera_of(mask: TrueMask) -> Camera:
    """The camera with as many pixels as the mask.

    Raises:
        InputError: the mask has other proportions than the camera, or the camera has no size.
    """
    width, height = image_size(mask.path)
    camera = mask.camera
    if not camera.width:
        raise InputError(f"The camera of {camera.name!r} has no size.", "Put the image into the dataset.")
    if abs(width * camera.height / camera.width - height) > max(2.0, UNLIKE * height):
        raise InputError(
            f"{mask.path.parent.name}/{mask.path.name} is {width}x{height} pixels, the camera {camera.name!r} "
            f"{camera.width}x{camera.height}.",
            "Give the cameras of the photos that the masks were drawn on.",
        )
    return camera.resized(width, height)


def first_shown(name: str, targets: Sequence[TrueMask]) -> TrueMask:
    """The first mask that has a pixel.

    Raises:
        InputError: none has.
    """
    for target in targets:
        if read_mask(target.path).any():
            return target
    raise InputError(f"No mask of {name!r} has a pixel.", "Copy the masks again.")
