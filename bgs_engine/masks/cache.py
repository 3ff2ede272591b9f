"""Candidates on disk, one file an image. They make a second run quick and let a killed run go on.

The name of an entry is a hash of everything that its content depends on, so no entry ever becomes invalid.
"""

import hashlib
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.files import cannot_write, writing
from bgs_engine.io.arrays import open_arrays
from bgs_engine.io.output_place import remove_leftovers
from bgs_engine.masks.bits import MaskStack

CACHE_FORMAT = "4"  # raise when the meaning of an entry changes
MOST_MASKS = 4096  # of one view
AGAIN = "Run it again."


def key_of(*parts: str | bytes) -> str:
    """A name for the entry that depends on these parts."""
    digest = hashlib.sha256(CACHE_FORMAT.encode())
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:32]


class CandidateCache:
    """Keeps the candidates of views in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def remove_leftovers(self) -> None:
        """Remove the unfinished entries of a job that was killed; the caller is the only one who writes here.

        Raises:
            OutputError: one cannot be removed.
        """
        try:
            remove_leftovers(self.folder)
        except OSError as error:
            raise cannot_write(self.folder, error) from None

    def load(self, key: str, camera: Camera) -> MaskStack | None:
        """The candidates of the view of `camera`, or None if the cache has none or they are damaged.

        No more memory is asked for than the candidates of that view can need.
        """
        row = (camera.width * camera.height + 7) // 8
        try:
            with open_arrays(self._file(key), AGAIN) as archive:
                scores = archive.read("scores", 4 * MOST_MASKS)
                bits = archive.read("bits", row * max(len(scores), 1))
                return MaskStack(camera.height, camera.width, bits, scores.astype(np.float32))
        except (InputError, ValueError, TypeError):  # the second from arrays that make no stack
            return None

    def needed(self, key: str, camera: Camera) -> MaskStack:
        """Candidates that the cache had a moment ago.

        Raises:
            InputError: they were removed meanwhile.
        """
        masks = self.load(key, camera)
        if masks is None:
            raise InputError("The mask cache was changed while masks were being made.", AGAIN)
        return masks

    def store(self, key: str, masks: MaskStack) -> None:
        """Keep candidates; of very many the best."""
        kept = masks if len(masks) <= MOST_MASKS else masks.take(np.argsort(-masks.scores, kind="stable")[:MOST_MASKS])
        with writing(self._file(key)) as stream:
            np.savez_compressed(stream, bits=kept.bits, scores=kept.scores)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.npz"
