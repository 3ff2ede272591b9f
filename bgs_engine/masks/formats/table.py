"""The list of all mask formats. Add a new format here."""

from collections.abc import Iterator
from pathlib import Path

from bgs_engine.core.errors import InputError
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
                if path.is_dir() if form.is_folder else path.is_file():
                    return path
    return None


def read_masks(path: Path) -> Iterator[ScoredMask]:
    """The masks of an entry, bool [h, w] with a score, one at a time.

    Raises:
        InputError: the entry is damaged or of no known format.
        EnvironmentLacksError: a package that the format needs is missing.
    """
    for form in _BY_RANK:
        if form.fits(path):
            return form.read(path)
    raise InputError(f"{path.name} is in no known mask format.", f"Known are {names_for('NAME')}.")


def names_for(name: str) -> str:
    """How entries of the view `name` may be called, for a hint."""
    *most, last = (form.example(name) for form in FORMATS)
    return f"{', '.join(most)} or {last}"
