"""The formats that an export offers, and the ending that goes with each."""

from pathlib import Path

from bgs_engine.formats.format import Format
from bgs_engine.formats.read import PLY, by_name, missing_packages
from bgs_engine.formats.table import FORMATS

WRITTEN: tuple[Format, ...] = (PLY, *(one for one in FORMATS if one.write is not None))
ITEMS = tuple((one.name, one.name, f"{one.suffixes[0]}: {one.loses}") for one in WRITTEN)
PATTERN = ";".join(f"*{end}" for one in WRITTEN for end in one.suffixes)


def named(name: str) -> Format:
    """The format of this name."""
    return next(one for one in WRITTEN if one.name == name)


def format_at(path: str) -> Format | None:
    """The format whose ending a path has; None if it is no ending of a format that is written."""
    found = by_name(Path(path).name)
    return found if found in WRITTEN else None


def with_ending(path: str, one: Format) -> str:
    """The path with the usual ending of a format in place of that of another one."""
    here = format_at(path)
    if here == one:
        return path
    name = Path(path).name
    known = max((end for end in here.suffixes if name.lower().endswith(end)), key=len) if here else ""
    return path[: len(path) - len(known)] + one.suffixes[0]


def needs_engine(path: Path) -> bool:
    """Whether Blender lacks packages of the format of this file, so that the engine has to write it."""
    found = format_at(str(path))
    return found is not None and bool(missing_packages(found))
