"""A folder into which a job writes single files, such as pictures or exports. Other files there stay."""

from collections.abc import Iterator
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
    made = not out.exists()
    try:
        with only_writer(out / "bgs", called=out):
            try:
                check_writable(out)
                left = [*out.glob(f".*{PARTIAL_SUFFIX}")]
                for name in subfolders:
                    left += (out / name).rglob(f".*{PARTIAL_SUFFIX}")
                for path in sorted(left):
                    disk.remove_file(path)
                yield
                for name in filter(lambda name: (out / name).is_dir(), subfolders):
                    disk.sync_folders(out / name)
                disk.sync_folder(out)
            except OSError as error:
                raise cannot_write(out, error) from None
    finally:
        if made and out.is_dir() and not any(out.iterdir()):
            with suppress(OSError):
                disk.remove_folder(out)
