"""Numbers of frames in options and file names."""

import re
from pathlib import Path

from bgs_engine.core.errors import UsageError
from bgs_engine.formats.read import by_name

MOST_FRAMES = 1_048_574  # Blender's last frame


def parse_frames(text: str) -> tuple[int, ...]:
    """The numbers that an option names: 7, or 1-48.

    Raises:
        UsageError: the text is no range of frames.
    """
    found = re.fullmatch(r"(\d{1,7})(?:-(\d{1,7}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if first > last or last > MOST_FRAMES:
        raise UsageError(f"'{text}' is not a range of frames.", f"Write 7 or 1-48; the last can be {MOST_FRAMES}.")
    return tuple(range(first, last + 1))


def ending_of(path: Path) -> str:
    """The ending of a file name as its format has it: .compressed.ply is one."""
    known = by_name(path.name)
    fitting = [end for end in (known.suffixes if known else ()) if path.name.lower().endswith(end)]
    return max(fitting, key=len) if fitting else path.suffix


def file_of_frame(path: Path, number: int) -> Path:
    """The file of one frame of a sequence: walk.0007.ply for walk.ply."""
    ending = len(ending_of(path))
    stem, kept = path.name[: len(path.name) - ending], path.name[len(path.name) - ending :]
    return path.with_name(f"{stem}.{number:04d}{kept}")
