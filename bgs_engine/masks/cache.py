"""Forests on disk, one file an image. They make a second run quick and let a killed run go on.

The name of an entry is a hash of everything that its content depends on, so no entry ever becomes invalid.
"""

import hashlib
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.files import writing
from bgs_engine.io.arrays import load_array, open_arrays
from bgs_engine.masks.nesting import Forest

CACHE_FORMAT = "3"  # raise when the meaning of an entry changes

MOST_NODES = 65535  # a node's number is 16 bits
AGAIN = "Run it again."


def key_of(*parts: str | bytes) -> str:
    """A name for the entry that depends on these parts."""
    digest = hashlib.sha256(CACHE_FORMAT.encode())
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:32]


class ForestCache:
    """Keeps forests and the sizes of their nodes in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, key: str, camera: Camera) -> Forest | None:
        """The forest of the view of `camera`, or None if the cache has none or it is damaged.

        No more memory is asked for than a forest of that view can need.
        """
        pixels, nodes = camera.width * camera.height, MOST_NODES + 1
        try:
            with open_arrays(self._forest(key), AGAIN) as archive:
                forest = Forest(
                    archive.read("node_map", 2 * pixels),
                    archive.read("parents", 8 * nodes),
                    archive.read("scores", 8 * nodes),
                )
        except InputError:
            return None
        return forest if _is_sound(forest, camera) else None

    def needed(self, key: str, camera: Camera) -> Forest:
        """A forest that the cache had a moment ago.

        Raises:
            InputError: it was removed meanwhile.
        """
        forest = self.load(key, camera)
        if forest is None:
            raise InputError("The mask cache was changed while masks were being made.", AGAIN)
        return forest

    def store(self, key: str, forest: Forest) -> None:
        """Keep a forest."""
        with writing(self._forest(key)) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, node_map=forest.node_map, parents=forest.parents, scores=forest.scores)

    def load_sizes(self, key: str, count: int) -> np.ndarray | None:
        """Sizes [count] of a forest's nodes, or None."""
        try:
            sizes = load_array(self._sizes(key), AGAIN)
        except InputError:
            return None
        return sizes if sizes.shape == (count,) and sizes.dtype == np.float64 else None

    def store_sizes(self, key: str, sizes: np.ndarray) -> None:
        """Keep the sizes of a forest's nodes."""
        with writing(self._sizes(key)) as partial, partial.open("wb") as stream:
            np.save(stream, sizes)

    def _forest(self, key: str) -> Path:
        return self.folder / f"{key}.npz"

    def _sizes(self, key: str) -> Path:
        return self.folder / f"{key}.sizes.npy"


def _is_sound(forest: Forest, camera: Camera) -> bool:
    """Whether the arrays make a forest of the camera's view."""
    numbers = np.arange(1, len(forest.parents)) if forest.parents.ndim == 1 else np.zeros(0)
    return bool(
        forest.node_map.dtype == np.uint16
        and forest.node_map.shape == (camera.height, camera.width)
        and forest.parents.dtype.kind == "i"
        and forest.parents.ndim == 1
        and len(forest.parents) > 0
        and forest.scores.shape == forest.parents.shape
        and forest.scores.dtype.kind == "f"
        and forest.node_map.max(initial=0) < len(forest.parents)
        and (forest.parents >= 0).all()
        and (forest.parents[1:] < numbers).all()
        and forest.parents[0] == 0
    )
