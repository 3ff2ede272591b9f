"""What image-text models of one family take: pictures as numbers, and texts as the family was trained with them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLIP_COLORS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))  # mean, spread (OpenAI)
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # SigLIP
MOST_TOKENS = 64  # of a text: SigLIP was trained with so many


@dataclass(frozen=True)
class ModelInputs:
    """family: the model type of its configuration. size: pixels of a side of a picture. tokens: most of a text.

    colors: mean and spread of each channel, 0..1.
    """

    family: str
    size: int
    tokens: int
    colors: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, family: str, size: int, positions: int, folder: Path) -> "ModelInputs":
        """What a model of the family takes. `positions`: places of its text model. `folder`: says the colours."""
        usual = HALF if family.startswith("siglip") else CLIP_COLORS
        return cls(family, size, min(MOST_TOKENS, positions), _colors(folder, usual))

    @property
    def pads_to_the_end(self) -> bool:
        """Whether all texts are as long as the longest possible one. SigLIP was trained so, without attention masks."""
        return self.family.startswith("siglip")

    def written(self, texts: Sequence[str]) -> list[str]:
        """The texts as the family was trained with them: SigLIP in lower case."""
        return [text.lower() for text in texts] if self.pads_to_the_end else list(texts)

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        """A picture uint8 [H, W, 3] as the model takes it, float32 [3, S, S]."""
        mean, spread = (np.array(values, np.float32) * 255 for values in self.colors)
        image = Image.fromarray(pixels).resize((self.size, self.size), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(((np.asarray(image, np.float32) - mean) / spread).transpose(2, 0, 1))


def unit(values: np.ndarray) -> np.ndarray:
    """The vectors [B, D] with length 1, float32."""
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12), np.float32)


def read_settings(path: Path) -> dict[str, Any]:
    """The JSON object of a file of a model's folder; {} if there is none or it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _colors(folder: Path, usual: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    """Mean and spread of colours, as the model's folder says, or else the usual ones of its family."""
    found = read_settings(folder / "preprocessor_config.json")
    try:
        mean, spread = (tuple(map(float, found[key])) for key in ("image_mean", "image_std"))
    except (ValueError, KeyError, TypeError):
        return usual
    return (mean, spread) if len(mean) == len(spread) == 3 and min(spread) > 0 else usual
