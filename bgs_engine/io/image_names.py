"""Names of views, and the images on disk that camera files mean.

Camera files are moved between machines and programs. So an image is also found under another letter case, with another
suffix, and by the end of an absolute path.
"""

import re
from functools import cached_property
from pathlib import Path, PurePosixPath

from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import is_file, is_folder

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")  # in any letter case
_IMAGES_FOLDER = re.compile(r"images(_\d+)?", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


def view_name(file: str) -> str:
    """A view's name from its image's path in a dataset: no suffix, no images folder, nothing that leads elsewhere.

    `images_4/left/0001.jpg` → `left/0001`. Of an absolute path without an images folder only the last part is used.
    Masks are kept under this name, so it must be safe to write to.
    """
    path = file.replace("\\", "/")
    parts = [p for p in PurePosixPath(path).parts if p.strip("./ ") and ":" not in p]
    folders = [k for k, part in enumerate(parts[:-1], 1) if _IMAGES_FOLDER.fullmatch(part)]
    if folders:
        parts = parts[folders[0] if not _is_absolute(path) else folders[-1] :]
    elif _is_absolute(path):
        parts = parts[-1:]
    if not parts or any(ord(letter) < 32 for part in parts for letter in part):
        raise InputError(f"{file[:80]!r} is no name for an image.", "Correct it in the camera file.")
    return "/".join([*parts[:-1], without_suffix(parts[-1]) or parts[-1]])


def without_suffix(name: str) -> str:
    """A file name without the endings of pictures: `0001.JPG` → `0001`, and `0001.jpg.png` → `0001`."""
    while name.lower().endswith(PICTURE_SUFFIXES):
        name = name[: name.rindex(".")]
    return name


class ImageFinder:
    """Finds the images of one dataset. Its folders are listed once, and only if a path as written names no file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lists: dict[tuple[Path, str], dict[str, list[Path]]] = {}

    def find(self, file: str) -> Path | None:
        """The image that a camera file calls `file`, or None.

        Tried in turn: the path as written, inside `images/`, inside a downscaled copy `images_2/`, `images_4/`, ...;
        then the same without regard to letter case and suffix; then ever shorter ends of the path.
        """
        name = file.replace("\\", "/")
        while name.startswith("./"):
            name = name[2:]
        if not name.strip("/. ") or "\0" in name or len(name) > 4096:
            return None
        inner = name.partition("/")[2] if _IMAGES_FOLDER.fullmatch(name.partition("/")[0]) else name
        places = (self._folder / name, *(base / inner.lstrip("/") for base in self._bases))
        exact = next((path for path in places if is_file(path)), None)
        return exact or self._like(name)

    @cached_property
    def _bases(self) -> list[Path]:
        """The folder `images` and its downscaled copies, larger pictures first."""
        copies = (p for p in _entries(self._folder) if p.name.startswith("images_") and p.name[7:].isdecimal())
        return [self._folder / "images", *sorted(copies, key=lambda p: (len(p.name), p.name))]

    def _like(self, name: str) -> Path | None:
        """The image by the end of its path, without regard to letter case and suffix."""
        parts = [part for part in PurePosixPath(name).parts if part != "/"]
        starts = range(len(parts)) if _is_absolute(name) else range(1 + bool(_IMAGES_FOLDER.fullmatch(parts[0])))
        for start in starts:
            folder, last = "/".join(parts[start:-1]).lower(), parts[-1].lower()
            for base in (*self._bases, self._folder):
                found = self._listed(base, folder).get(without_suffix(last), [])
                if found:
                    return next((path for path in found if path.name.lower() == last), found[0])
        return None

    def _listed(self, base: Path, inner: str) -> dict[str, list[Path]]:
        """Pictures in the folder `inner` (small letters) of `base`, by name without suffix in small letters."""
        if (base, inner) not in self._lists:
            found: dict[str, list[Path]] = {}
            for folder in _folders_like(base, inner):
                pictures = [p for p in _entries(folder) if _is_picture(p.name)]
                for path in sorted(pictures, key=lambda p: (PICTURE_SUFFIXES.index(p.suffix.lower()), p.name)):
                    if is_file(path):
                        found.setdefault(without_suffix(path.name.lower()), []).append(path)
            self._lists[base, inner] = found
        return self._lists[base, inner]


def _folders_like(base: Path, inner: str) -> list[Path]:
    """The folders below `base` whose path is `inner` in small letters."""
    folders = [base] if is_folder(base) else []
    for part in filter(None, inner.split("/")):
        if part == "..":
            return []
        folders = [p for folder in folders for p in _entries(folder) if p.name.lower() == part and is_folder(p)]
    return folders


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith("._")  # those: notes of macOS


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or _DRIVE.match(path) is not None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
