"""The list of all mask formats. Add a new format here."""

from collections.abc import Iterator
from pathlib import Path

from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import is_file, is_folder
from bgs_engine.io.images import MAX_PIXELS
from bgs_engine.masks.formats import coco, gaussian_grouping, langsplat, picture_folder, saga
from bgs_engine.masks.formats.mask_format import MaskFormat, ScoredMask

# Where a project has folders of several programs, the masks of the first of them are read.
FORMATS: tuple[MaskFormat, ...] = (
    saga.FORMAT,
    gaussian_grouping.FORMAT,
    langsplat.FORMAT,
    coco.FORMAT,
    picture_folder.FORMAT,
)
_FOLDERS = tuple(dict.fromkeys(["", *(form.project_folder for form in FORMATS)]))
_BY_RANK = sorted(FORMATS, key=lambda form: form.rank)


def find_entry(folder: Path, name: str) -> Path | None:
    """The entry with the masks of the view `name` in `folder` or in a folder that a program puts them into."""
    for inner in _FOLDERS:
        for form in _BY_RANK:
            for path in form.entries(folder / inner, name):
                if is_folder(path) if form.is_folder else is_file(path):
                    return path
    return None


def read_masks(path: Path, most: int = MAX_PIXELS) -> Iterator[ScoredMask]:
    """The masks of an entry, bool [h, w] with a score, one at a time. `most`: pixels that a mask may have.

    Raises:
        InputError: the entry is damaged, of no known format, or has larger masks.
    """
    for form in _BY_RANK:
        if form.fits(path):
            return form.read(path, most)
    raise InputError(f"{path.name} is in no known mask format.", f"Known are {names_for('NAME')}.")


def names_for(name: str) -> str:
    """How entries of the view `name` may be called, for a hint."""
    *most, last = (form.example(name) for form in FORMATS)
    return f"{', '.join(most)} or {last}"
