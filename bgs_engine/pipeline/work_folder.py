"""The folder in which a run is made, before it is complete."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bgs_engine.core import disk
from bgs_engine.core.errors import EnvironmentLacksError, InputError, UsageError
from bgs_engine.core.events import Reporter, log_to
from bgs_engine.core.file_set import files_below
from bgs_engine.core.files import cannot_write, check_writable
from bgs_engine.core.printable import printable
from bgs_engine.io.output_place import partial_folder, recover, remove_leftovers

LOGS = ("engine.log", "events.jsonl")


@contextmanager
def work_folder(
    out: Path, reporter: Reporter, resume: bool, useful: Callable[[Path], Sequence[Path]] = lambda partial: ()
) -> Iterator[Path]:
    """The partial folder of a run, with the log of what happens inside the block.

    It is emptied first, unless the job resumes; only what is `useful` stays. The folder stays if the job fails, is
    cancelled or is killed after it has made something: views, masks or a checkpoint. `--resume` goes on with that. It
    is removed if there is nothing in it.

    Args:
        out: the place of the run, as `output_place.checked_run_place` gives it.
        reporter: its events are logged into the folder.
        resume: go on with the files of a stopped run.
        useful: tells which files and folders of an earlier try this job can use although it does not resume.

    Raises:
        OutputError: the folder cannot be written.
    """
    partial = partial_folder(out)
    try:
        recover(out)
        if partial.is_symlink():
            disk.remove_file(partial)
        if partial.is_dir():
            remove_leftovers(partial)
            if not resume:
                _remove_all_but(partial, useful(partial))
    except OSError as error:
        raise cannot_write(partial, error) from None
    check_writable(partial)
    stream = disk.LogFile(partial / LOGS[0])
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("bgs_engine")
    root.addHandler(handler)

    def log(event: dict[str, Any]) -> None:
        if event["event"] != "progress":
            root.info("%s", printable(" ".join(f"{key}={value}" for key, value in event.items())))

    reporter.sinks.append(log)
    try:
        with log_to(reporter, partial / LOGS[1]):
            yield partial
    except (InputError, UsageError, EnvironmentLacksError):
        if made_something(partial) and not resume:
            reporter.warning(f"What was made so far is kept in {partial}: the same command with --resume goes on.")
        raise
    finally:
        reporter.sinks.remove(log)
        root.removeHandler(handler)
        stream.close()
        if not made_something(partial):
            disk.discard(partial)


def _remove_all_but(folder: Path, kept: Sequence[Path]) -> None:
    """Empty a folder except for some files and folders below it."""
    for entry in sorted(folder.iterdir()):
        if any(path.is_relative_to(entry) and path != entry for path in kept):
            _remove_all_but(entry, kept)
        elif entry not in kept:
            disk.remove_tree(entry)


def made_something(partial: Path) -> bool:
    """Whether a job has made more than its logs there."""
    return any(name not in LOGS for name in files_below(partial))
