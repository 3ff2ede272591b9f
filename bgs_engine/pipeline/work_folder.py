"""The folder in which a run is made, before it is complete."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bgs_engine.core.errors import EnvironmentLacksError, InputError, UsageError
from bgs_engine.core.events import Reporter, log_to
from bgs_engine.core.files import check_writable
from bgs_engine.core.printable import printable
from bgs_engine.io.output_place import partial_folder, recover


@contextmanager
def work_folder(out: Path, reporter: Reporter, resume: bool) -> Iterator[Path]:
    """The partial folder of a run, with the log of what happens inside the block.

    It is emptied first, unless the job resumes. It stays when the job is cancelled, killed or runs out of memory, so
    that `--resume` can go on. It is removed when the input turns out to be wrong.

    Args:
        out: the place of the run, as `output_place.checked_run_place` gives it.
        reporter: its events are logged into the folder.
        resume: go on with the files of a stopped run.

    Raises:
        InputError: the folder cannot be written.
    """
    partial = partial_folder(out)
    recover(out)
    if not resume:
        shutil.rmtree(partial, ignore_errors=True)
    check_writable(partial)
    handler = logging.FileHandler(partial / "engine.log", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("bgs_engine")
    root.addHandler(handler)

    def log(event: dict[str, Any]) -> None:
        if event["event"] != "progress":
            root.info("%s", printable(" ".join(f"{key}={value}" for key, value in event.items())))

    reporter.sinks.append(log)
    worth_keeping = True
    try:
        with log_to(reporter, partial / "events.jsonl"):
            yield partial
    except (InputError, UsageError, EnvironmentLacksError):
        worth_keeping = resume  # found before the work began; files of an earlier run stay
        raise
    finally:
        reporter.sinks.remove(log)
        root.removeHandler(handler)
        handler.close()
        if not worth_keeping:
            shutil.rmtree(partial, ignore_errors=True)
