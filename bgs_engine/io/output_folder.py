"""A folder into which a job writes single files, such as pictures or exports. Other files there stay."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bgs_engine.core import disk
from bgs_engine.core.files import PARTIAL_SUFFIX, cannot_write, check_writable
from bgs_engine.io.job_lock import only_writer


@contextmanager
def only_writer_into(out: Path, *subfolders: str) -> Iterator[None]:
    """Hold the lock on writing into `out`. Unfinished files of a job that was killed there are removed first.

    Each file is replaced by itself, as a whole. So after a failure some files are new and some are earlier ones. At
    the end of the block all names are on the disk.

    Args:
        out: the folder. It is made, and removed again if the job fails before it has written a file.
        subfolders: of `out` into which the job writes.

    Raises:
        UsageError: another job writes there.
        OutputError: the folder cannot be written.
    """
    out = Path(out)
    with _removed_if_empty(out), only_writer(lock_of(out), called=out), _plain_errors(out):
        check_writable(out)
        left = [*out.glob(f".*{PARTIAL_SUFFIX}")]
        for name in subfolders:
            left += (out / name).rglob(f".*{PARTIAL_SUFFIX}")
        for path in sorted(left):
            disk.remove_file(path)
        yield
        _sync(out, subfolders)


@contextmanager
def one_writer_into(out: Path, *subfolders: str) -> Iterator[None]:
    """As `only_writer_into`, but other jobs may write other files there at the same time: farms render so.

    Unfinished files of other jobs stay, because they may be at work.

    Raises:
        OutputError: the folder cannot be written.
    """
    out = Path(out)
    with _removed_if_empty(out), _plain_errors(out):
        check_writable(out)
        yield
        _sync(out, subfolders)


def lock_of(out: Path) -> Path:
    """What to lock to write alone into `out`, see `job_lock.only_writer`."""
    return Path(out) / "bgs"


def _sync(out: Path, subfolders: Iterable[str]) -> None:
    for name in filter(lambda name: (out / name).is_dir(), subfolders):
        disk.sync_folders(out / name)
    disk.sync_folder(out)


@contextmanager
def _plain_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(out, error) from None


@contextmanager
def _removed_if_empty(out: Path) -> Iterator[None]:
    """Remove the folder at the end if the block has made it and left nothing in it."""
    made = not out.exists()
    try:
        yield
    finally:
        if made and out.is_dir() and not any(out.iterdir()):
            with suppress(OSError):
                disk.remove_folder(out)
