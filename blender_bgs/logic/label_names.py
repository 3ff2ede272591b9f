"""Names of labels: never empty, different within a level, and alike those of their objects."""

import re
from collections.abc import Collection

LONGEST = 63  # bytes of the name of an object in Blender before 5.0; newer ones take more
_NUMBERED = re.compile(r"(.*)\.(\d{3,})")
_COPY = re.compile(r"(.+) \d+")


def unique_name(name: str, taken: Collection[str]) -> str:
    """The name, with a number after it as Blender gives if it is in `taken`, for example "Chair.001"."""
    if name not in taken:
        return name
    found = _NUMBERED.fullmatch(name)
    stem, number = (found[1], int(found[2])) if found else (name, 0)
    while (wanted := f"{stem}.{number + 1:03d}") in taken:
        number += 1
    return wanted


def is_name_of(own: str, label: str) -> bool:
    """Whether an object or a collection with the name `own` has the name of its label.

    Blender shortens long names, and adds a number if another object has the name already.
    """
    found = _NUMBERED.fullmatch(own)
    stems = {own, found[1]} if found else {own}
    cut = len(own.encode()) >= LONGEST - 4
    return any(stem == label or (cut and label.startswith(stem)) for stem in stems)


def copies_of(names: Collection[str], all_names: Collection[str]) -> set[str]:
    """Those of `all_names` that are one of `names` but for the number at the end: of "chair 2" also "chair 1".

    Names without a number have no copies.
    """
    stems = {found[1] for name in names if (found := _COPY.fullmatch(name))}
    return {name for name in all_names if (found := _COPY.fullmatch(name)) and found[1] in stems}
