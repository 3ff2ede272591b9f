"""The interface of promptable models of the SAM family: one slow encoding an image, then many cheap prompts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

OFF, ON, TOP_LEFT, BOTTOM_RIGHT = 0, 1, 2, 3  # kinds of points, numbered as in every SAM
NO_BOX = -1  # the kind of the point that stands for a missing box

Check = Callable[[], None]  # raises CancelledError once the user asked to stop


class Answers(Protocol):
    """The answers of a model to B point prompts, M masks each. They are computed only as far as asked.

    scores: float32 [B, M], predicted IoU. scale_x, scale_y: columns (rows) of `logits` per image pixel, so that the
    centre of pixel x lies at column (x + 0.5) * scale_x - 0.5.
    """

    @property
    def scores(self) -> np.ndarray:
        """Predicted quality."""

    @property
    def scale_x(self) -> float:
        """Columns per image pixel."""

    @property
    def scale_y(self) -> float:
        """Rows per image pixel."""

    def sketch(self, prompts: np.ndarray) -> np.ndarray:
        """Logits float32 [n, M, h', w'] of some prompts [n], at a regular part of the pixels of `logits` or at all."""

    def in_sketch(self, rows: np.ndarray) -> np.ndarray:
        """The rows (or columns) of a sketch that are nearest to rows (or columns) of `logits`, int [K]."""

    def logits(self, prompts: np.ndarray, choices: np.ndarray) -> np.ndarray:
        """Logits float32 [n, h, w] of one mask, `choices` [n], of each of some prompts [n]; positive inside."""


@dataclass(frozen=True)
class WholeAnswers:
    """The answers of a model that gives all masks at once; values [B, M, h, w]."""

    values: np.ndarray
    scores: np.ndarray
    scale_x: float
    scale_y: float

    def sketch(self, prompts: np.ndarray) -> np.ndarray:
        """The masks of some prompts in full."""
        return self.values[prompts]

    def in_sketch(self, rows: np.ndarray) -> np.ndarray:
        """The same rows."""
        return rows

    def logits(self, prompts: np.ndarray, choices: np.ndarray) -> np.ndarray:
        """One mask of each prompt."""
        return self.values[prompts, choices]


class PromptableModel(Protocol):
    """A network that turns points of an encoded image into masks."""

    signature: str  # changes whenever results could: part of the cache key

    def encode(self, image: np.ndarray) -> Any:
        """The features of an image, uint8 [H, W, 3], that `decode` needs."""

    def decode(self, encoded: Any, points: np.ndarray) -> Answers:
        """Masks at points [B, 2], (x, y) in image pixels.

        Raises:
            MemoryError: the batch was too large; a smaller one may do.
        """

    def decode_together(self, encoded: Any, points: np.ndarray, kinds: np.ndarray) -> Answers:
        """The masks, at least one, of one thing that several points describe. The answers have one prompt, number 0.

        Args:
            encoded: what `encode` gave.
            points: float [P, 2], (x, y) in image pixels; P >= 1.
            kinds: int [P], what each point is: `ON`, `OFF`, or both `TOP_LEFT` and `BOTTOM_RIGHT` of a box, in this
                order and last.

        Raises:
            As `decode`.
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
