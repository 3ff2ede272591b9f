"""What a promptable model of the SAM family offers, whatever runs it: one encoding an image, many cheap prompts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Check = Callable[[], None]  # raises CancelledError once the user asked to stop


@dataclass(frozen=True)
class Decoded:
    """Masks of B point prompts, M for each.

    logits: float32 [B, M, h, w], positive inside; scores: float32 [B, M], predicted IoU;
    scale_x, scale_y: logit columns (rows) per image pixel, so pixel x has its centre at (x + 0.5) * scale_x.
    """

    logits: np.ndarray
    scores: np.ndarray
    scale_x: float
    scale_y: float


class PromptableModel(Protocol):
    """A network that turns points of an encoded image into masks."""

    signature: str  # changes whenever results could: part of the cache key

    def encode(self, image: np.ndarray) -> Any:
        """Whatever `decode` needs of an image, uint8 [H, W, 3]."""

    def decode(self, encoded: Any, points: np.ndarray) -> Decoded:
        """Masks at points [B, 2], (x, y) in image pixels.

        Raises:
            MemoryError: the batch was too large; a smaller one may do.
        """

    def stop(self) -> None:
        """End a running call as soon as possible; called from another thread."""


def upsampling(size: int, scale: float, source: int) -> np.ndarray:
    """Matrix [size, source] of linear interpolation at pixel centres: image row y lies at (y + 0.5) * scale - 0.5."""
    at = ((np.arange(size) + 0.5) * scale - 0.5).clip(0, source - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, source - 1)
    matrix = np.zeros((size, source), np.float32)
    np.add.at(matrix, (np.arange(size), low), (1 - (at - low)).astype(np.float32))
    np.add.at(matrix, (np.arange(size), high), (at - low).astype(np.float32))
    return matrix
