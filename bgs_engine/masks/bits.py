"""A stack of binary masks of one image, one bit a pixel.

A stack of 200 masks of 1600x1066 pixels is 43 MB here, 340 MB as bool and 1.4 GB as float32; everything that needs
more than bits (areas, overlaps) works through it in blocks.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

BLOCK_BYTES = 8192  # bytes of every mask unpacked at a time: 64 k pixels, 52 MB as float32 for 200 masks
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1).astype(np.int64)


@dataclass(frozen=True)
class MaskStack:
    """K masks of one image of `height` x `width` pixels.

    bits: uint8 [K, ceil(height * width / 8)], rows of `np.packbits`; scores: float32 [K], higher is better.
    """

    height: int
    width: int
    bits: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        row = (self.height * self.width + 7) // 8
        if self.bits.dtype != np.uint8 or self.bits.ndim != 2 or self.bits.shape[1] != row:
            raise ValueError(f"bits must be uint8 [K, {row}], got {self.bits.dtype} {self.bits.shape}")
        if self.scores.shape != (len(self.bits),):
            raise ValueError(f"{len(self.bits)} masks but scores of shape {self.scores.shape}")

    def __len__(self) -> int:
        return len(self.bits)

    @classmethod
    def empty(cls, height: int, width: int) -> "MaskStack":
        """No masks."""
        return cls(height, width, np.zeros((0, (height * width + 7) // 8), np.uint8), np.zeros(0, np.float32))

    @classmethod
    def pack(
        cls, height: int, width: int, masks: Iterable[np.ndarray], scores: np.ndarray | None = None
    ) -> "MaskStack":
        """From bool masks [H, W], one at a time, so a generator never holds more than one; scores default to 1."""
        rows = [np.packbits(mask.reshape(-1)) for mask in masks]
        if not rows:
            return cls.empty(height, width)
        if scores is None:
            scores = np.ones(len(rows), np.float32)
        return cls(height, width, np.stack(rows), np.asarray(scores, np.float32))

    def mask(self, k: int) -> np.ndarray:
        """Mask k as bool [H, W]."""
        flat = np.unpackbits(self.bits[k], count=self.height * self.width)
        return flat.view(bool).reshape(self.height, self.width)

    def take(self, rows: np.ndarray) -> "MaskStack":
        """These masks, in that order."""
        return MaskStack(self.height, self.width, self.bits[rows], self.scores[rows])

    def areas(self) -> np.ndarray:
        """Pixels of each mask, int64 [K]."""
        return np.array([_ONES[row].sum() for row in self.bits], np.int64)

    def intersections(self) -> np.ndarray:
        """Pixels that masks i and j share, int64 [K, K]; the diagonal holds the areas.

        Counts of a block are below 2^24, so the float32 matrix products are exact.
        """
        total = np.zeros((len(self), len(self)), np.int64)
        for start in range(0, self.bits.shape[1], BLOCK_BYTES):
            block = np.unpackbits(self.bits[:, start : start + BLOCK_BYTES], axis=1).astype(np.float32)
            total += (block @ block.T).astype(np.int64)
        return total

    def byte_size(self) -> int:
        """Memory held, in bytes."""
        return self.bits.nbytes + self.scores.nbytes


def iou(shared: np.ndarray) -> np.ndarray:
    """Intersection over union, float64 [K, K], from `MaskStack.intersections`."""
    areas = np.diag(shared)
    return shared / np.maximum(areas[:, None] + areas[None, :] - shared, 1)
