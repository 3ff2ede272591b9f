"""What is read of a USD stage."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.formats.label_tree import Found
from bgs_engine.formats.raw_splat import RawSplat


@dataclass(frozen=True)
class Stage:
    """The Gaussians of a stage as its prims have them, and for each of these prims: rows, transform and code."""

    splat: RawSplat
    rows: list[slice]
    matrices: list[np.ndarray]
    codes: list[int | None]
    found: Found
    up: str
