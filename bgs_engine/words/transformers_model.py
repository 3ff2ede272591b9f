"""CLIP, SigLIP, SigLIP 2 and their kin from Hugging Face transformers, from a folder or by hub name.

Pictures are prepared here, because the library's fast processors need torchvision and the models do not.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.devices.choice import resolve

AT_ONCE = 16  # pictures
CLIP_COLORS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))  # mean, spread (OpenAI)
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # SigLIP
HINT = "Give --model FOLDER of a downloaded CLIP or SigLIP model, or --model hf:NAME --fetch to download one."
MOST_TOKENS = 64  # of a text: SigLIP was trained with so many


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the hub's library offline. Its own `local_files_only` does not stop all that it asks for."""
    from huggingface_hub import constants

    earlier = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = earlier


class TransformersImageText:
    """An image-text model of the transformers library.

    Raises:
        EnvironmentLacksError: torch or transformers is missing, no CUDA device, or a model that is not on this machine
            and may not be downloaded.
        InputError: there is no such model, or it does not compare pictures with texts.
    """

    def __init__(self, name: str, device: str = "auto", fetch: bool = False) -> None:
        """`name`: a folder, or `hf:NAME` on the hub. `fetch` allows to download what is missing."""
        try:
            import torch
            from transformers import AutoConfig, AutoModel, AutoTokenizer
        except ImportError as error:
            raise EnvironmentLacksError(
                f"Image-text models need the package {error.name or 'transformers'}.",
                "Run: pip install torch transformers",
            ) from None
        place = name.removeprefix("hf:").strip()
        if not place:
            raise InputError("No image-text model is named.", HINT)
        on_hub = name.startswith("hf:") and not Path(place).exists()
        if not on_hub and not Path(place).is_dir():
            raise InputError(f"There is no folder {place} with an image-text model.", HINT)
        self._torch, self._device = torch, resolve(device).for_torch
        try:
            with nullcontext() if on_hub and fetch else _offline():
                config = AutoConfig.from_pretrained(place)
                model = AutoModel.from_pretrained(place, config=config, use_safetensors=True)
                self._tokenizer = AutoTokenizer.from_pretrained(place)
                if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
                    raise ValueError(f"{config.model_type} does not compare pictures with texts")
        except Exception as error:  # the hub, the file readers and the library each have their own
            if on_hub and not fetch:
                raise EnvironmentLacksError(
                    f"The image-text model {place} is not on this machine.",
                    "Add --fetch to allow its download, or give --model FOLDER.",
                ) from None
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise InputError(f"The image-text model {place} cannot be loaded ({reason}).", HINT) from None
        self._model = model.eval().to(self._device)
        self._siglip = str(config.model_type).startswith("siglip")
        self._size = int(config.vision_config.image_size)
        mean, spread = _colors(Path(place), HALF if self._siglip else CLIP_COLORS)
        self._mean, self._spread = np.array(mean, np.float32) * 255, np.array(spread, np.float32) * 255
        self._tokens = min(MOST_TOKENS, int(config.text_config.max_position_embeddings))
        digest = hashlib.sha256(f"{config.model_type} {self._size} {mean} {spread}".encode())
        for parameter in self._model.parameters():
            digest.update(parameter.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
        self.signature = f"transformers:{digest.hexdigest()}"

    def pictures(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of pictures, each uint8 [H, W, 3]: float32 [B, D], of length 1."""
        found = []
        for start in range(0, len(pixels), AT_ONCE):
            batch = np.stack([self._prepared(one) for one in pixels[start : start + AT_ONCE]])
            with self._torch.inference_mode():
                values = self._torch.from_numpy(batch).to(self._device)
                found.append(_vectors(self._model.get_image_features(pixel_values=values)))
        return np.concatenate(found)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts: float32 [B, D], of length 1."""
        # SigLIP was trained with texts that are padded to their full length, in lower case.
        written = [text.lower() for text in texts] if self._siglip else list(texts)
        padding = "max_length" if self._siglip else True
        tokens = self._tokenizer(
            written, padding=padding, max_length=self._tokens, truncation=True, return_tensors="pt"
        ).to(self._device)
        inputs = {name: tokens[name] for name in ("input_ids", "attention_mask") if name in tokens}
        if self._siglip:
            inputs.pop("attention_mask", None)
        with self._torch.inference_mode():
            return _vectors(self._model.get_text_features(**inputs))

    def _prepared(self, pixels: np.ndarray) -> np.ndarray:
        """The picture as the model takes it, float32 [3, S, S]."""
        image = Image.fromarray(pixels).resize((self._size, self._size), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(((np.asarray(image, np.float32) - self._mean) / self._spread).transpose(2, 0, 1))


def _vectors(answer: Any) -> np.ndarray:
    """The vectors of an answer, of length 1. Versions 4 and 5 of the library answer differently."""
    values = getattr(answer, "pooler_output", answer).float().cpu().numpy()
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12), np.float32)


def _colors(folder: Path, usual: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    """Mean and spread of colours, as the model's folder says, or else the usual ones of its family."""
    try:
        found = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        mean, spread = (tuple(map(float, found[key])) for key in ("image_mean", "image_std"))
        return (mean, spread) if len(mean) == len(spread) == 3 and min(spread) > 0 else usual
    except (OSError, ValueError, KeyError, TypeError):
        return usual
