"""What an image-text model must do: put pictures and texts into one space of vectors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class ImageTextModel(Protocol):
    """Vectors of pictures and texts, float32 [B, D], of length 1. `signature` changes if the vectors would."""

    signature: str

    def pictures(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of pictures, each uint8 [H, W, 3]."""

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts."""
