"""A stack of binary masks of one image, one bit a pixel.

A stack of 200 masks of 1600x1066 pixels is 43 MB here, 340 MB as bool.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bgs_engine.masks.kernels import shared_bits

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

    @classmethod
    def joined(cls, height: int, width: int, stacks: Iterable["MaskStack"]) -> "MaskStack":
        """All masks of several stacks of one image."""
        parts = [cls.empty(height, width), *stacks]
        return cls(height, width, np.concatenate([p.bits for p in parts]), np.concatenate([p.scores for p in parts]))

    def mask(self, k: int) -> np.ndarray:
        """Mask k as bool [H, W]."""
        flat = np.unpackbits(self.bits[k], count=self.height * self.width)
        return flat.view(bool).reshape(self.height, self.width)

    def take(self, rows: np.ndarray) -> "MaskStack":
        """These masks, in that order."""
        return MaskStack(self.height, self.width, self.bits[rows], self.scores[rows])

    def within(self, where: np.ndarray) -> "MaskStack":
        """The masks clipped to `where`, bool [H, W]."""
        return MaskStack(self.height, self.width, self.bits & np.packbits(where.reshape(-1)), self.scores)

    def placed(self, height: int, width: int, top: int, left: int) -> "MaskStack":
        """The masks in a larger image, with their upper left corner at row `top` and column `left`."""

        def larger() -> Iterator[np.ndarray]:
            for k in range(len(self)):
                mask = np.zeros((height, width), bool)
                mask[top : top + self.height, left : left + self.width] = self.mask(k)
                yield mask

        return MaskStack.pack(height, width, larger(), self.scores)

    def areas(self) -> np.ndarray:
        """Pixels of each mask, int64 [K]."""
        return np.array([_ONES[row].sum() for row in self.bits], np.int64)

    def intersections(self) -> np.ndarray:
        """Pixels that masks i and j share, int64 [K, K]; the diagonal holds the areas."""
        words = -self.bits.shape[1] % 8
        padded = np.pad(self.bits, ((0, 0), (0, words))) if words else self.bits
        return shared_bits(np.ascontiguousarray(padded).view(np.uint64))


def iou(shared: np.ndarray) -> np.ndarray:
    """Intersection over union, float64 [K, K], from `MaskStack.intersections`."""
    areas = np.diag(shared)
    return shared / np.maximum(areas[:, None] + areas[None, :] - shared, 1)
