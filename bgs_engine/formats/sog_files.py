"""The files of a SOG splat: pictures in a zip, or beside a `meta.json`. Sizes are checked before they are unpacked."""

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import open_buffered, read_bytes

_MOST_META = 16 << 20
_MOST_PICTURE = 1 << 30
_AGAIN = "Write or download it again."
# exact: the colours of transparent pixels stay
_WEBP: dict[str, Any] = {"format": "WEBP", "lossless": True, "method": 2, "quality": 50, "exact": True}


class SogFiles:
    """Reads the files of one splat by name. Every method raises `InputError` for damage."""

    def __init__(self, name: str, read: Callable[[str, int], bytes]) -> None:
        self.name = name
        self._read = read

    def meta(self) -> dict[str, Any]:
        """The content of meta.json."""
        try:
            meta = json.loads(self._read("meta.json", _MOST_META))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.name} has a meta.json that is not valid JSON ({error}).", _AGAIN) from None
        if not isinstance(meta, dict):
            raise InputError(f"{self.name} has a meta.json that describes no splat.", _AGAIN)
        return meta

    def picture(self, name: object, least: int, most: int, width: int | None = None) -> np.ndarray:
        """The pixels of a picture uint8 [H, W, 4], of `least` to `most` pixels.

        width: the width that it must have, if any.
        """
        from PIL import Image, UnidentifiedImageError

        if not isinstance(name, str) or PurePath(name).name != name or "\\" in name:
            raise InputError(f"{self.name} names a picture {str(name)[:80]!r}, which is no name of a file.", _AGAIN)
        data = self._read(name, _MOST_PICTURE)
        try:
            with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
                pixels = image.width * image.height
                if not least <= pixels <= most or (width is not None and image.width != width):
                    size = f"{image.width}x{image.height}"
                    raise InputError(f"{self.name}: {name} has {size} pixels, which do not fit the splat.", _AGAIN)
                return np.asarray(image.convert("RGBA"))
        except UnidentifiedImageError:  # its text names an object in memory
            raise InputError(f"{self.name}: {name} is no WebP picture.", _AGAIN) from None
        except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
            raise InputError(f"{self.name}: {name} is damaged: {error}.", _AGAIN) from None


@contextmanager
def opened(path: Path) -> Iterator[SogFiles]:
    """The files of the zip `path`, or those beside the `meta.json` that `path` is.

    Raises:
        InputError: there is no such file, or it is no zip.
    """
    if path.suffix.lower() == ".json":
        yield SogFiles(path.resolve().parent.name, lambda name, most: read_bytes(path.with_name(name), most, _AGAIN))
        return
    with open_buffered(path) as stream:
        try:
            bundle = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise InputError(f"{path.name} is no SOG file, or it is damaged: {error}.", _AGAIN) from None

        def read(name: str, most: int) -> bytes:
            try:
                entry = bundle.getinfo(name)
                if entry.file_size > most:
                    raise InputError(f"{path.name}: {name} has {entry.file_size:,} bytes, too many.", _AGAIN)
                with bundle.open(entry) as part:
                    return part.read(entry.file_size)  # and not a byte more than it says
            except KeyError:
                raise InputError(f"{path.name} has no {name}: it is no SOG file.", _AGAIN) from None
            except (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError, zlib.error) as error:
                raise InputError(f"{path.name}: {name} is damaged: {error}.", _AGAIN) from None

        yield SogFiles(path.name, read)


def webp(pixels: np.ndarray) -> bytes:
    """A lossless WebP of pixels uint8 [H, W, 3 or 4]."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **_WEBP)
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of files that are compressed already. The same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for name, data in files.items():
            bundle.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()
