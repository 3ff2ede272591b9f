"""Photos and label maps on disk, the input of the engine. `pictures` draws the pictures for people.

Sizes come from the headers of the files. Opening a dataset of a thousand photos decodes none of them.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from bgs_engine.core.errors import InputError
from bgs_engine.core.files import writing

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".PNG", ".JPG", ".JPEG")  # tried for a name without one
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # no other decoder is offered a stranger's file
MAX_PIXELS = 200_000_000  # beyond any camera's; a header that claims more is damaged
_IMAGES_FOLDER = re.compile(r"images(_\d+)?")
_EXIF_ORIENTATION = 0x0112
_EXIF_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height


def view_name(file: str) -> str:
    """A view's name from its image's path in a dataset: no suffix, no images folder, nothing that leads elsewhere.

    `images_4/left/0001.jpg` → `left/0001`. Masks are kept under this name, so it must be safe to write to.
    """
    parts = [p for p in PurePosixPath(file.replace("\\", "/")).parts if p.strip("./ ") and ":" not in p]
    folders = [k for k, part in enumerate(parts[:-1], 1) if _IMAGES_FOLDER.fullmatch(part)]
    parts = parts[folders[0] :] if folders else parts
    if not parts or any(ord(letter) < 32 for part in parts for letter in part):
        raise InputError(f"{file[:80]!r} is no name for an image.", "Correct it in the camera file.")
    stem = parts[-1]
    for suffix in PICTURE_SUFFIXES:
        stem = stem.removesuffix(suffix)
    return "/".join([*parts[:-1], stem or parts[-1]])


def find_image(folder: Path, file: str) -> Path | None:
    """The image that a camera file calls `file`, or None.

    Tried in turn: the path as written, inside `images/`, inside a downscaled copy `images_2/`, `images_4/`, ...; each
    with the common suffixes where the name has none.
    """
    name = file.replace("\\", "/").removeprefix("./")
    inner = name.partition("/")[2] if name.startswith("images") and "/" in name else name
    copies = sorted((p for p in folder.glob("images_*") if p.name[7:].isdecimal()), key=lambda p: (len(p.name), p.name))
    for base in (folder / name, folder / "images" / inner, *(copy / inner for copy in copies)):
        for path in (base, *(base.with_name(base.name + suffix) for suffix in PICTURE_SUFFIXES)):
            try:
                if path.is_file():
                    return path
            except (OSError, ValueError):  # a name too long or with a null byte names no file
                return None
    return None


def image_size(path: Path) -> tuple[int, int]:
    """Width and height as stored, from the header.

    Raises:
        InputError: not an image.
    """
    with _opened(path, PICTURE_FORMATS) as image:
        return image.size


def read_image(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Colour pixels, uint8 [H, W, 3]; grey, palette, 16-bit and transparent images are converted.

    A photo whose EXIF says that it lies on its side is turned only if that makes it fit `size` (width, height): tools
    that compute poses differ in whether they turn, and the camera's size tells what they did.

    Raises:
        InputError: not an image, damaged, or of another size.
    """
    with _opened(path, PICTURE_FORMATS) as image:
        if size is not None and image.size != size:
            if image.size[::-1] != size or image.getexif().get(_EXIF_ORIENTATION) not in _EXIF_SIDEWAYS:
                raise InputError(
                    f"{path.name} is {image.size[0]}x{image.size[1]} pixels, its camera {size[0]}x{size[1]}.",
                    "Use the images that the cameras were computed from.",
                )
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16-bit grey: the eye's 8 bits are the upper ones
            grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, 2)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            rgba = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
        return np.array(image.convert("RGB"))


def read_label_png(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """A label map, int32 [H, W]: 16-bit, 8-bit or palette PNG whose pixel values are ids.

    Raises:
        InputError: not such a PNG, or not `size` (width, height).
    """
    with _opened(path, ("PNG",)) as image:
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
def _opened(path: Path, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """The open image; whatever a decoder makes of damaged bytes comes out as InputError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about EXIF oddities and large sizes; ours is the limit
            with Image.open(path, formats=formats) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise InputError(f"{path.name} claims {image.width}x{image.height} pixels.", "Write it again.")
                yield image
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{path.name} does not fit into memory.", "Use smaller images (images_2, images_4).") from None
    except Exception as error:  # Pillow's decoders raise a dozen types on damaged files, SyntaxError among them
        reason = getattr(error, "strerror", None) or "no readable image"
        raise InputError(f"{path.parent.name}/{path.name} cannot be read: {reason}.", "Write it again.") from None
