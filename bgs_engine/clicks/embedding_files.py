"""Features of views on disk, so that the next session need not encode the same pictures again.

Each view has one file in the folder `embeddings` of its run, in half precision. Its name is a hash of the picture and
of the model, so no file ever becomes invalid. The folder has a limit in bytes.
"""

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from bgs_engine.core import disk
from bgs_engine.core.errors import BgsError, InputError, UsageError
from bgs_engine.core.file_set import check_places
from bgs_engine.core.files import cannot_write, writing
from bgs_engine.io.arrays import open_arrays
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.output_place import EMBEDDINGS_FOLDER, remove_leftovers

MOST_BYTES = 256_000_000  # on the disk; 64 views of a model of SAM's size have 134 million
MOST_OF_ONE = 64_000_000  # bytes of the arrays of a file
_FILE = re.compile(r"[0-9a-f]{32}\.npz")


class EmbeddingFiles:
    """The kept features of a run. What cannot be read is absent, and what cannot be written is not kept."""

    def __init__(self, run: Path, is_ours: Callable[[], bool], most_bytes: int = MOST_BYTES) -> None:
        """Nothing is read yet.

        Args:
            run: the run folder.
            is_ours: whether that folder still holds the run that was opened: a job may replace it.
            most_bytes: all files together have at most so many.
        """
        self.folder = run / EMBEDDINGS_FOLDER
        self._is_ours = is_ours
        self._most_bytes = most_bytes
        self._tidied = False
        self.problem: BgsError | None = None  # why nothing is kept

    def has(self, key: str) -> bool:
        """Whether there is a file of this key. It may turn out to be damaged."""
        return (self.folder / f"{key}.npz").is_file()

    def load(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays that `keep` kept under this key; None if there are none or the file is damaged."""
        try:
            with open_arrays(self.folder / f"{key}.npz", "It is made again.") as archive:
                found: dict[str, np.ndarray] = {}
                for name in archive.names:
                    found[name] = archive.read(name, MOST_OF_ONE - sum(values.nbytes for values in found.values()))
                return found
        except InputError:
            return None

    def keep(self, key: str, arrays: Mapping[str, np.ndarray], needed: Collection[str]) -> bool:
        """Write arrays under a key, and remove files that are needed less if the folder becomes too large.

        Args:
            key: 32 hexadecimal digits.
            arrays: what to keep.
            needed: keys of the views of this session. Their files are not removed for another one.

        Returns:
            Whether they are kept now. They are not where the folder is full of files that are needed as much, where it
            cannot be written, where another process writes there, and where the run is another one by now.
        """
        if self.problem is not None or not self._is_ours():
            return False
        size = sum(values.nbytes for values in arrays.values())
        try:
            check_places(self.folder.parent, (self.folder.name,))  # a link would lead files out of the run
            with only_writer(self.folder):
                if not self._tidied and self.folder.is_dir():
                    remove_leftovers(self.folder)
                    self._tidied = True
                gone = self._to_remove(key, size, needed)
                if gone is None:
                    return False
                with writing(self.folder / f"{key}.npz") as stream:
                    np.savez(stream, **dict(arrays))  # type: ignore[arg-type]
                for path in gone:  # now that the new one is there
                    disk.remove_file(path)
        except InputError as error:  # read-only or full: it is so for the next file too
            self.problem = error
            return False
        except OSError as error:
            self.problem = cannot_write(self.folder, error)
            return False
        except UsageError:  # a link, or another session writes at this moment
            return False
        return True

    def _to_remove(self, key: str, size: int, needed: Collection[str]) -> list[Path] | None:
        """The oldest files that are not needed, as many as make room for one of `size` bytes; None: there is none."""
        there = []
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                with suppress(OSError):
                    if _FILE.fullmatch(path.name) and path.stem != key:  # that one is replaced
                        there.append((path.stat().st_mtime, path.stat().st_size, path))
        used, gone = size + sum(bytes_ for _, bytes_, _ in there), []
        for _, bytes_, path in sorted(there):
            if used > self._most_bytes and path.stem not in needed:
                gone.append(path)
                used -= bytes_
        return gone if used <= self._most_bytes else None
