"""Photos and label maps on disk, the input of the engine. `pictures` draws the pictures for people.

Sizes come from the headers of the files. Opening a dataset of a thousand photos decodes none of them.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from bgs_engine.core.errors import InputError
from bgs_engine.core.files import writing
from bgs_engine.core.input_files import file_size, open_buffered

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # no other decoder is offered a stranger's file
MAX_PIXELS = 200_000_000  # beyond any camera's; a header that claims more is damaged
PLAIN_PIXELS = 32_000_000  # any file may have so many; more need bytes to match
PIXELS_PER_BYTE = 10_000  # of a PNG that is all one colour, the densest that there is
BAND_PIXELS = 4_000_000  # pixels that are converted at a time, so that one large picture needs no copies of itself
_EXIF_ORIENTATION = 0x0112
_EXIF_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height


def image_size(path: Path) -> tuple[int, int]:
    """Width and height as stored, from the header.

    Raises:
        InputError: not an image.
    """
    with _opened(path, PICTURE_FORMATS) as image:
        return image.size


def read_image(path: Path, size: tuple[int, int] | None = None, most: int = MAX_PIXELS) -> np.ndarray:
    """Colour pixels, uint8 [H, W, 3]; grey, palette, 16-bit and transparent images are converted.

    A photo whose EXIF says that it lies on its side is turned only if that makes it fit `size` (width, height): tools
    that compute poses differ in whether they turn, and the camera's size tells what they did.

    Raises:
        InputError: not an image, damaged, of another size, or of more than `most` pixels.
    """
    with _opened(path, PICTURE_FORMATS, most) as image:
        if size is not None and image.size != size:
            if image.size[::-1] != size or image.getexif().get(_EXIF_ORIENTATION) not in _EXIF_SIDEWAYS:
                raise InputError(
                    f"{path.name} is {image.size[0]}x{image.size[1]} pixels, its camera {size[0]}x{size[1]}.",
                    "Use the images that the cameras were computed from.",
                )
            image = ImageOps.exif_transpose(image)
        return _rgb(image)


def _rgb(image: Image.Image) -> np.ndarray:
    """The colours of a decoded picture, uint8 [H, W, 3], band by band."""
    out = np.empty((image.height, image.width, 3), np.uint8)
    lines = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, lines):
        bottom = min(image.height, top + lines)
        band = image.crop((0, top, image.width, bottom))
        if image.mode.startswith("I"):  # 16-bit grey: the eye's 8 bits are the upper ones
            grey = (np.asarray(band).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
            out[top:bottom] = grey[:, :, None]
        elif image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            rgba = band.convert("RGBA")
            black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
            out[top:bottom] = np.asarray(Image.alpha_composite(black, rgba))[:, :, :3]
        else:
            out[top:bottom] = np.asarray(band.convert("RGB"))
    return out


def read_label_png(path: Path, size: tuple[int, int] | None = None, most: int = MAX_PIXELS) -> np.ndarray:
    """A label map, int32 [H, W]: 16-bit, 8-bit or palette PNG whose pixel values are ids.

    Raises:
        InputError: not such a PNG, not `size` (width, height), or of more than `most` pixels.
    """
    with _opened(path, ("PNG",), most) as image:
        if size is not None and image.size != size:
            raise InputError(
                f"{path.parent.name}/{path.name} is {image.size[0]}x{image.size[1]} pixels, "
                f"its image {size[0]}x{size[1]}.",
                "Make the masks from the images of this dataset.",
            )
        if image.mode not in ("I;16", "I;16B", "I", "L", "P", "1"):
            raise InputError(
                f"{path.parent.name}/{path.name} is a colour picture, not a label map.",
                "Write ids as 16-bit grey PNG; 0 is unlabelled.",
            )
        return np.asarray(image).astype(np.int32)


def write_label_png(path: Path, labels: np.ndarray) -> None:
    """Write ids [H, W] as 16-bit grey PNG, whole or not at all.

    Raises:
        InputError: an id beyond 65,535, or the file cannot be written.
    """
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= 65535:
        raise InputError(f"{path.name} would need ids beyond 65,535.", "Number the ids of each level from 1.")
    with writing(path) as stream:
        Image.fromarray(labels.astype(np.uint16)).save(stream, format="PNG", compress_level=1)


@contextmanager
def _opened(path: Path, formats: tuple[str, ...], most: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """The open image; whatever a decoder makes of damaged bytes comes out as InputError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about EXIF oddities and large sizes; ours is the limit
            with open_buffered(path) as stream, Image.open(stream, formats=formats) as image:
                most = min(most, max(PLAIN_PIXELS, PIXELS_PER_BYTE * file_size(path)))
                if image.width * image.height > most:
                    raise InputError(
                        f"{path.name} claims {image.width}x{image.height} pixels; more than {most:,} cannot be here.",
                        "Write it again.",
                    )
                yield image
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(f"{path.name} claims more pixels than any camera has.", "Write it again.") from None
    except MemoryError:
        raise InputError(f"{path.name} does not fit into memory.", "Use smaller images (images_2, images_4).") from None
    except Exception as error:  # Pillow's decoders raise a dozen types on damaged files, SyntaxError among them
        reason = getattr(error, "strerror", None) or "no readable image"
        raise InputError(f"{path.parent.name}/{path.name} cannot be read: {reason}.", "Write it again.") from None
