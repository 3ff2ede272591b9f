"""How much photos look like the splat, rendered from their cameras.

Only details are compared: what is left of the brightness when its coarse part is taken away. Exposure and white
balance do not change them. Photos and splat that lie in one frame measured 0.9 and more, in different frames 0.1 and
less (docs/lab-book.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.io.images import read_image
from bgs_engine.raster.color_frames import render_frame
from bgs_engine.raster.scene import RasterScene

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601: the brightness of red, green and blue
FINE, COARSE = 1.0, 6.0  # pixels: standard deviations of the two blurs; details lie between them
LEAST_CONTRAST = 0.004  # of full brightness: the details of an empty picture, mostly noise, are weaker


@dataclass(frozen=True)
class Photo:
    """A small copy of a photo. camera: of the copy's size; details: float32 [H, W]."""

    camera: Camera
    details: np.ndarray


def small_photos(cameras: Sequence[Camera], count: int, side: int) -> list[Photo]:
    """Copies of at most `count` photos, spread over the whole list, the longer side `side` pixels.

    A photo that cannot be read or that shows nothing is left out.
    """
    photos = []
    for number in np.unique(np.linspace(0, len(cameras) - 1, count).round().astype(int)):
        camera = cameras[number]
        if camera.image is None:
            continue
        try:
            pixels = read_image(camera.image, (camera.width, camera.height))
        except InputError:
            continue
        scale = side / max(camera.width, camera.height)
        small = camera.resized(max(2, round(camera.width * scale)), max(2, round(camera.height * scale)))
        copy = Image.fromarray(pixels).resize((small.width, small.height), Image.Resampling.BOX)
        details = _details(np.asarray(copy, np.float32) / 255)
        if details.std() >= LEAST_CONTRAST:
            photos.append(Photo(small, details))
    return photos


def likeness(scene: RasterScene, photos: Sequence[Photo], cameras: Sequence[Camera] | None = None) -> float:
    """The median correlation of photos and splat, -1..1; 0 where the splat is not in the picture.

    cameras: other cameras to render from, one for each photo.
    """
    rendered_from = cameras or [photo.camera for photo in photos]
    found = [_correlation(scene, photo, camera) for photo, camera in zip(photos, rendered_from, strict=True)]
    return float(np.median(found))


def _correlation(scene: RasterScene, photo: Photo, camera: Camera) -> float:
    """Correlation of the details where the splat is opaque: a splat may lack what lies behind its object."""
    color, opacity, _ = render_frame(scene, camera)
    total = float(opacity.sum())
    if total < 1:
        return 0.0
    rendered = _details(color)
    a = photo.details - (photo.details * opacity).sum() / total
    b = rendered - (rendered * opacity).sum() / total
    power = float((a * a * opacity).sum()) * float((b * b * opacity).sum())
    return float((a * b * opacity).sum()) / power**0.5 if power > 0 else 0.0


def _details(color: np.ndarray) -> np.ndarray:
    """The band of brightness between both blurs, float32 [H, W]; color: float32 [H, W, 3], 0..1."""
    brightness = color @ LUMA
    return ndimage.gaussian_filter(brightness, FINE) - ndimage.gaussian_filter(brightness, COARSE)
