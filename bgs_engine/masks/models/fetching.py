"""Fetches a mask model: only when the user asks for it, with progress, and going on where an earlier try stopped.

What has arrived waits in a hidden file beside the place of the model's file. It gets the file's name only when all
bytes are there and their SHA-256 is the published one. So a cancelled, interrupted or killed fetch leaves no half file.
"""

import functools
import hashlib
import shutil
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from bgs_engine.core import disk
from bgs_engine.core.errors import EnvironmentLacksError, InputError, OutputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import PARTIAL_SUFFIX, cannot_write, sha256
from bgs_engine.core.input_files import file_size, is_file
from bgs_engine.core.mask_models import BetterModel, ModelFile
from bgs_engine.io.job_lock import only_writer
from bgs_engine.masks.models.store import folder_of

BLOCK = 1 << 18  # bytes read at a time; a slow line must not delay Cancel
TRIES = 4  # of a file; each goes on where the last one stopped
WAIT = 2.0  # seconds before the second try, doubled for each further one
SPARE = 50_000_000  # bytes that are left free on the disk

Opener = Callable[[BetterModel, ModelFile, int], tuple[BinaryIO, int]]
"""From a model, one of its files and a number of bytes to skip: a stream, and the number that it really skipped.

It raises `OSError` if the hub cannot be reached, and `EnvironmentLacksError` if it refuses.
"""


def fetch(model: BetterModel, open_at: Opener, reporter: Reporter) -> Path:
    """Fetch what is missing of a model; returns its folder.

    Raises:
        EnvironmentLacksError: the hub cannot be reached, or refuses.
        InputError: what arrived is not the published file. It was removed.
        OutputError: the disk is full or cannot be written. What has arrived stays for the next try.
        CancelledError: the user asked to stop. What has arrived stays.
        UsageError: another process fetches the same model.
    """
    folder = folder_of(model)
    with only_writer(folder):
        try:
            disk.make_folder(folder)
        except OSError as error:
            raise cannot_write(folder, error) from None
        _refuse_full_disk(model, folder)
        done = 0
        for file in model.files:
            reporter.stage(f"Fetching {model.name}")
            if not _is_whole(folder / file.name, file):
                _fetch_file(model, file, folder, open_at, _progress(reporter, done, model.size))
            done += file.size
            reporter.progress(done, model.size)
    reporter.artifact("mask model", folder)
    return folder


def _progress(reporter: Reporter, before: int, total: int) -> Callable[[int], None]:
    """Tells how far the model is, from the bytes of its file that is being fetched. It raises `CancelledError`."""
    return lambda count: reporter.progress(before + count, total)


def _is_whole(path: Path, file: ModelFile) -> bool:
    return is_file(path) and file_size(path) == file.size and sha256(path) == file.sha256


def _partial(folder: Path, file: ModelFile) -> Path:
    return folder / f".{file.name}{PARTIAL_SUFFIX}"


def _refuse_full_disk(model: BetterModel, folder: Path) -> None:
    places = [path for file in model.files for path in (folder / file.name, _partial(folder, file))]
    waiting = sum(file_size(path) for path in places if is_file(path))
    needed, free = model.size - waiting, shutil.disk_usage(folder).free
    if needed > 0 and free < needed + SPARE:
        raise OutputError(
            f"{model.name} needs {needed / 1e6:,.0f} MB more, but the disk of {folder} has {free / 1e6:,.0f} MB free.",
            "Free some disk space.",
        )


def _fetch_file(
    model: BetterModel, file: ModelFile, folder: Path, open_at: Opener, progress: Callable[[int], None]
) -> None:
    partial = _partial(folder, file)
    for attempt in range(TRIES):
        try:
            digest = _continue(model, file, partial, open_at, progress)
            break
        except (OSError, EOFError, HTTPException) as error:
            if attempt == TRIES - 1:
                raise EnvironmentLacksError(
                    f"{file.name} of {model.name} could not be fetched: {_reason(error)}.",
                    "Check the connection and try again: it goes on where it stopped.",
                ) from None
            _wait(WAIT * 2**attempt, partial, progress)
    try:
        if digest != file.sha256:
            disk.remove_file(partial)
            raise InputError(
                f"What was fetched as {file.name} of {model.name} is not the published file. It was removed.",
                "Try again. If it happens again, a proxy may change files: fetch over another network.",
            )
        disk.move(partial, folder / file.name)
    except OSError as error:
        raise cannot_write(folder / file.name, error) from None


def _continue(
    model: BetterModel, file: ModelFile, partial: Path, open_at: Opener, progress: Callable[[int], None]
) -> str:
    """Fetch the rest of a file into `partial`; returns the SHA-256 of all of it.

    Raises:
        OSError, EOFError, HTTPException: the connection broke. What has arrived is kept.
        OutputError: the disk cannot be written.
    """
    here = file_size(partial) if is_file(partial) else 0
    stream, start = open_at(model, file, here if here < file.size else 0)
    with stream, _writing(partial) as out:
        digest = hashlib.sha256()
        if start:
            digest = _digest_of(partial, start)
        else:
            _write(partial, out.start_anew)
        count = start
        while count < file.size:
            progress(count)
            block = stream.read(min(BLOCK, file.size - count))
            if not block:
                raise EOFError("the connection ended early")
            _write(partial, functools.partial(out.write, block))
            digest.update(block)
            count += len(block)
        _write(partial, out.sync)
    return digest.hexdigest()


def _writing(partial: Path) -> disk.GrowingFile:
    try:
        return disk.GrowingFile(partial)
    except OSError as error:
        raise cannot_write(partial, error) from None


def _write(path: Path, work: Callable[[], object]) -> None:
    """A failure of the disk is no failure of the connection: it is not tried again."""
    try:
        work()
    except OSError as error:
        raise cannot_write(path, error) from None


def _digest_of(path: Path, count: int) -> "hashlib._Hash":
    """SHA-256 of the bytes that are here already, to go on with."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while count > 0 and (block := stream.read(min(1 << 20, count))):
            digest.update(block)
            count -= len(block)
    return digest


def _wait(seconds: float, partial: Path, progress: Callable[[int], None]) -> None:
    """Wait before the next try. Cancel is looked for meanwhile, because `progress` raises it."""
    here = file_size(partial) if is_file(partial) else 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        progress(here)
        time.sleep(0.1)


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    return str(getattr(cause, "strerror", None) or cause or type(error).__name__).rstrip(".")
