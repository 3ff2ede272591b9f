"""What jobs have written into a dataset folder: sets of files that are replaced together (`core.file_set`).

A job that is killed while it moves a finished set into place leaves the rest in a hidden folder.
"""

from pathlib import Path

from bgs_engine.core.file_set import complete, is_ready
from bgs_engine.io.job_lock import only_writer

VIEWS = "views"  # images, transforms.json and the contact sheet of `bgs views`
MASKS = "masks"  # level maps and contact sheets of `bgs masks`


def complete_dataset(folder: Path) -> None:
    """Finish moving what a killed job has left. Whoever reads a dataset calls it first.

    Raises:
        UsageError: another job is moving files there now.
        OutputError: a file cannot be moved.
    """
    for name in (VIEWS, MASKS):
        if is_ready(folder, name):
            with only_writer(folder / name, called=folder):
                complete(folder, name)
