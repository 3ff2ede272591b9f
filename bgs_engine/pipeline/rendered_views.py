"""The views of a run that has no photos: rendered once, and used again by the next try."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bgs_engine.core import disk
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import cannot_write, sha256
from bgs_engine.io.dataset_files import complete_dataset
from bgs_engine.masks.pipeline import CACHE_FOLDER
from bgs_engine.views.make import ViewsConfig, identity, make_views, views_in

VIEWS_FOLDER = "dataset"  # in the run folder


def useful_views(partial: Path, ply: Path, config: ViewsConfig) -> Sequence[Path]:
    """What a new job can use of an earlier try in the partial folder: views of the same splat, and cached masks."""
    folder = partial / VIEWS_FOLDER
    with suppress(InputError, OSError):  # the job meets it again and says it
        complete_dataset(folder)
        if _are_of(folder, ply, config):
            return [folder / name for name in ("images", "transforms.json", "preview/views.png", CACHE_FOLDER)]
    return []


def render_views(folder: Path, ply: Path, config: ViewsConfig, resume: bool, reporter: Reporter) -> None:
    """Render views of the splat into `folder` in a partial run, unless an earlier try has done so.

    Raises:
        InputError: a stopped job is to be resumed that was about another splat, or about other views.
        As `make_views`.
    """
    complete_dataset(folder)
    if _are_of(folder, ply, config):
        return
    if resume and views_in(folder) is not None:
        raise InputError(
            "The stopped job was about another splat or other views.", "Run again without --resume to start anew."
        )
    try:
        disk.remove_tree(folder / "masks")  # of other views
    except OSError as error:
        raise cannot_write(folder, error) from None
    make_views(ply, folder, config, reporter)


def _are_of(folder: Path, ply: Path, config: ViewsConfig) -> bool:
    found = views_in(folder)
    return found is not None and found == identity(sha256(ply), config)
