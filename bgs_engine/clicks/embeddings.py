"""The features of a session's views, made once: when an ask needs them, or in the background when nobody asks.

The encoder runs in a thread of its own, so that an ask which waits for it can be cancelled; the encoding goes on and is
not lost. Pictures are made in the thread that answers asks, because the rasteriser allows one caller. All features go
through half precision, so an answer is the same whether they were made just now or come from the disk.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

from bgs_engine.clicks.embedding_files import EmbeddingFiles
from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.core.errors import InputError
from bgs_engine.masks.cache import key_of
from bgs_engine.masks.prompting import Check, PromptableModel

EMBEDDINGS_FORMAT = "1"  # raise when the meaning of a file changes
MEMORY_BYTES = 400_000_000  # features held, in half precision
UNPACKED_BYTES = 100_000_000  # of them held in single precision: an ask needs a dozen views, again and again
POLL_SECONDS = 0.03  # between two looks at whether the user asked to stop
UNKNOWN_BYTES = 16_000_000  # what the features of a model count that cannot be packed


class Picture(Protocol):
    """The picture of one view."""

    @property
    def identity(self) -> str:
        """Changes whenever the pixels could."""

    def pixels(self) -> np.ndarray:
        """The picture, uint8 [H, W, 3].

        Raises:
            InputError: it cannot be read.
        """


class Features:
    """The features of one view: as named arrays if the model can pack them, else as they are."""

    def __init__(self, arrays: dict[str, np.ndarray] | None, encoded: Any = None) -> None:
        self.arrays, self.encoded = arrays, encoded
        self.nbytes = sum(values.nbytes for values in arrays.values()) if arrays else UNKNOWN_BYTES


class _Unpacked:
    """What `decode` takes; nbytes is about what it holds."""

    def __init__(self, encoded: Any, nbytes: int) -> None:
        self.encoded, self.nbytes = encoded, nbytes


class Embeddings:
    """The features of views by number."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        model: PromptableModel,
        files: EmbeddingFiles | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        """Nothing is encoded yet.

        Args:
            pictures: of the views.
            model: encodes them. If it has `packed` and `unpacked` (see `OnnxSam`), its features are kept in `files`.
            files: where features are kept; None: in memory only.
            memory_bytes: most bytes of features held.
        """
        self._pictures = pictures
        self._model: Any = model
        self._files = files if hasattr(model, "packed") else None
        self._held: ByteCache[Features] = ByteCache(self._made, memory_bytes)
        self._unpacked: ByteCache[_Unpacked] = ByteCache(self._unpack, UNPACKED_BYTES)
        self._making: dict[int, Future[Features]] = {}
        self._failed: dict[int, InputError] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bgs-encoder")
        self._keys: dict[int, str] = {}
        self._done = np.zeros(len(pictures), bool)
        self._closed = threading.Event()
        self.encodings = 0  # pictures that went through the encoder
        self.check: Check = lambda: None  # what an ask that waits for features calls

    def encoded(self, number: int) -> Any:
        """The features of a view, for `decode`. It may take a second; `check` is called meanwhile.

        Raises:
            InputError: the picture cannot be read.
            CancelledError: raised by `check`.
        """
        return self._unpacked[number].encoded

    def ready(self, number: int) -> bool:
        """Whether the features of a view are there, so that `encoded` need not wait for the encoder."""
        future = self._making.get(number)
        if self._done[number] or (future is not None and future.done()):
            return True
        if self._files is None:
            return False
        with suppress(InputError):
            return self._files.has(self._key(number))
        return False

    def work_ahead(self) -> bool:
        """Do a little for the views that nobody has asked for yet; False: all are encoded.

        It is called again and again by the thread that answers asks while there is none, and takes as long as one
        picture takes to read or render.
        """
        if self._making:
            wait(self._making.values(), timeout=POLL_SECONDS)
        for number in [number for number, future in self._making.items() if future.done()]:
            self._keep_in_memory(number)
        left = np.flatnonzero(~self._done)
        if not len(left):
            return False
        number = int(left[0])
        if not self._making and self._on_disk(number) is None:
            with suppress(InputError):
                self._begin(number)
        return True

    def close(self) -> None:
        """End what runs."""
        self._closed.set()
        if self._making:
            self._model.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _unpack(self, number: int) -> _Unpacked:
        features = self._held[number]
        if features.arrays is None:
            return _Unpacked(features.encoded, features.nbytes)
        return _Unpacked(self._model.unpacked(features.arrays), 2 * features.nbytes)

    def _keep_in_memory(self, number: int) -> None:
        try:
            self._held[number]
        except Exception:  # an ask that needs the view tries again and says what is wrong
            self._done[number] = True

    def _on_disk(self, number: int) -> Features | None:
        """The kept features of a view, marked as done; None if there are none that fit the model."""
        if self._files is None:
            return None
        try:
            arrays = self._files.load(self._key(number))
            if arrays is None:
                return None
            self._model.unpacked(arrays)
        except (InputError, ValueError):
            return None
        self._done[number] = True
        return Features(arrays)

    def _made(self, number: int) -> Features:
        """The features of a view, from the disk or from the encoder."""
        if number in self._failed:
            raise self._failed[number]
        if number not in self._making:
            kept = self._on_disk(number)
            if kept is not None:
                return kept
            self._begin(number)
        future = self._making[number]
        while not future.done():
            self.check()
            wait([future], timeout=POLL_SECONDS)
        del self._making[number]
        features = future.result()
        self._done[number] = True
        return features

    def _begin(self, number: int) -> None:
        try:
            pixels = self._pictures[number].pixels()
        except InputError as error:
            self._failed[number] = error
            self._done[number] = True
            raise
        self._making[number] = self._pool.submit(self._encode, number, pixels)

    def _encode(self, number: int, pixels: np.ndarray) -> Features:
        encoded = self._model.encode(pixels)
        self.encodings += 1
        arrays = self._model.packed(encoded) if hasattr(self._model, "packed") else None
        if arrays is None:
            return Features(None, encoded)
        if self._files is not None and not self._closed.is_set():
            with suppress(InputError):  # a picture that has gone meanwhile
                self._files.keep(self._key(number), arrays, [self._key(k) for k in range(len(self._pictures))])
        return Features(arrays)

    def _key(self, number: int) -> str:
        """The name of the features of a view on the disk. Photos are hashed once, which takes time."""
        if number not in self._keys:
            self._keys[number] = key_of(EMBEDDINGS_FORMAT, self._pictures[number].identity, self._model.signature)
        return self._keys[number]
