"""Is there room on the disk for what a job will write? It is asked before the work starts."""

import shutil
from pathlib import Path

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import OutputError
from bgs_engine.core.file_set import files_below
from bgs_engine.io.ply import SplatPly
from bgs_engine.views.make import ViewsConfig

CODE_BYTES, OTHER_BYTES = 4, 12  # of a Gaussian: in scene.ply; in codes.npy, opacity.npy and confidence.npy
STATES = 3  # arrays of a checkpoint as large as the features: themselves and Adam's two means
PICTURE_BYTES = 0.2  # a pixel: a JPEG, label maps and cached masks, measured on made rooms and rounded down
GIGA, MEGA = 1e9, 1e6


def room_for_run(ply: SplatPly, layout: BitLayout) -> int:
    """Bytes that a run of this splat takes while it is made, with one checkpoint."""
    of_row = ply.dtype.itemsize + CODE_BYTES + OTHER_BYTES + STATES * 4 * (layout.total + 1)
    return ply.count * of_row


def room_for_views(config: ViewsConfig) -> int:
    """Bytes of rendered views and their masks."""
    return round(config.count * config.size[0] * config.size[1] * PICTURE_BYTES)


def check_room(folder: Path, needed: int) -> None:
    """Check that the disk has room for a job that writes so many bytes into a folder. What is in it counts as written.

    Raises:
        OutputError: it has less.
    """
    needed -= sum((folder / name).lstat().st_size for name in files_below(folder))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"This job needs about {_in_words(needed)} more in {folder.parent}, and {_in_words(free)} are free.",
            "Free some disk space, or choose a folder on another disk.",
        )


def _in_words(count: int) -> str:
    return f"{count / GIGA:,.1f} GB" if count >= GIGA else f"{count / MEGA:.1f} MB"
