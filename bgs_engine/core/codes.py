"""Bit layout of a code: the one place that knows which bits of the 32 belong to which level.

A code is an unsigned 32-bit integer stored as int32 (NumPy files, Blender attributes). Of its D = D_1 + ... + D_L
used bits the first D_1 (most significant) are the level-1 label; the first D_1 + ... + D_l bits are the label at
level l (the paper's Class = Bin2Dec, section 3.6). So the parent of a label is a right shift, and labels of one
level are comparable integers.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bgs_engine.core.errors import UsageError

MAX_BITS = 32
DEFAULT_LEVEL_BITS = (12, 10, 10)
CODE_BYTE_NAMES = ("seg_0", "seg_1", "seg_2", "seg_3")  # little-endian bytes of the code, one uchar property each
CODE_INT_NAME = "bgs_code"  # read as well, when a single integer property carries the code


@dataclass(frozen=True)
class BitLayout:
    """How many bits each level has, coarse to fine; at most 32 together.

    Raises:
        UsageError: no level, a level without bits, or more than 32 bits.
    """

    level_bits: tuple[int, ...] = DEFAULT_LEVEL_BITS

    def __post_init__(self) -> None:
        if not self.level_bits or min(self.level_bits) < 1 or self.total > MAX_BITS:
            raise UsageError(
                f"Level bits {str(self) or '(none)'} do not fit a code.",
                f"Give each level at least 1 bit and all together at most {MAX_BITS}, for example 12,10,10.",
            )

    def __str__(self) -> str:
        """The bits of each level as users write them: "12,10,10"."""
        return ",".join(map(str, self.level_bits))

    @classmethod
    def parse(cls, text: str) -> "BitLayout":
        """From the command line's form, for example `12,10,10`."""
        try:
            return cls(tuple(int(part) for part in text.split(",")))
        except ValueError:
            raise UsageError(
                f"'{text}' is not a list of bit counts.", "Write whole numbers with commas: 12,10,10."
            ) from None

    @property
    def levels(self) -> int:
        """Number of levels L."""
        return len(self.level_bits)

    @property
    def total(self) -> int:
        """Number of used bits D."""
        return sum(self.level_bits)

    def bits_to(self, level: int) -> int:
        """Number of bits in a label of `level` (1 = coarsest): D_1 + ... + D_level."""
        if not 1 <= level <= self.levels:
            raise UsageError(f"There is no level {level}.", f"This layout has levels 1 to {self.levels}.")
        return sum(self.level_bits[:level])

    def labels(self, codes: np.ndarray, level: int) -> np.ndarray:
        """Labels at `level`, uint32, same shape as `codes` (int32 or uint32)."""
        return codes.view(np.uint32) >> np.uint32(self.total - self.bits_to(level))

    def parent(self, labels: np.ndarray | int, level: int) -> np.ndarray | int:
        """Labels one level up from labels of `level`; the parent at level 1 is 0, the whole scene."""
        return labels >> self.level_bits[level - 1] if level > 1 else labels * 0

    def local(self, codes: np.ndarray, level: int) -> np.ndarray:
        """Only the bits that `level` itself adds, uint32: which child of its parent a code is."""
        return self.labels(codes, level) & np.uint32((1 << self.level_bits[level - 1]) - 1)

    def pack(self, locals_: Sequence[np.ndarray]) -> np.ndarray:
        """Codes, int32 [N], from one array of child numbers [N] per level (the inverse of `local`)."""
        code = np.zeros(np.shape(locals_[0]), np.uint32)
        for bits, part in zip(self.level_bits, locals_, strict=True):
            code = (code << np.uint32(bits)) | part.astype(np.uint32)
        return code.view(np.int32)

    def to_bits(self, codes: np.ndarray) -> np.ndarray:
        """Binary features, float32 [N, D] of 0 and 1, most significant bit first."""
        shifts = np.arange(self.total - 1, -1, -1, dtype=np.uint32)
        return ((codes.view(np.uint32)[:, None] >> shifts) & np.uint32(1)).astype(np.float32)

    def from_features(self, features: np.ndarray) -> np.ndarray:
        """Codes, int32 [N], of features [N, D] in [0, 1]: bit = feature > 0.5 (equation 3)."""
        code = np.zeros(len(features), np.uint32)
        for d in range(self.total):
            code = (code << np.uint32(1)) | (features[:, d] > 0.5)
        return code.view(np.int32)

    def slices(self) -> list[slice]:
        """Columns of the feature matrix that belong to each level."""
        ends = np.cumsum((0, *self.level_bits)).tolist()
        return [slice(a, b) for a, b in itertools.pairwise(ends)]


def unsigned(label: int) -> int:
    """A label as the number from 0 to 2^32 - 1 that it is, from the signed integer in which Blender stores it."""
    return label & 0xFFFFFFFF


def code_bytes(codes: np.ndarray) -> np.ndarray:
    """The four little-endian bytes of each code, uint8 [N, 4], for the properties seg_0..seg_3."""
    return np.ascontiguousarray(codes).astype("<i4", copy=False).view(np.uint8).reshape(-1, 4)


def codes_from_bytes(columns: np.ndarray) -> np.ndarray:
    """Codes, int32 [N], from byte columns [N, 4]; the inverse of `code_bytes`."""
    return np.ascontiguousarray(columns, np.uint8).view("<i4").ravel().astype(np.int32)
