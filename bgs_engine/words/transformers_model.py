"""CLIP, SigLIP, SigLIP 2 and their kin from Hugging Face transformers, from a folder or by hub name.

Pictures are prepared here, because the library's fast processors need torchvision and the models do not.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.devices.choice import resolve
from bgs_engine.words.model_inputs import ModelInputs, unit

AT_ONCE = 16  # pictures
HINT = "Give --model FOLDER of a downloaded CLIP or SigLIP model, or --model hf:NAME --fetch to download one."


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
        size, positions = config.vision_config.image_size, config.text_config.max_position_embeddings
        self._inputs = ModelInputs.of(str(config.model_type), int(size), int(positions), Path(place))
        digest = hashlib.sha256(repr(self._inputs).encode())
        for parameter in self._model.parameters():
            digest.update(parameter.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
        self.signature = f"transformers:{digest.hexdigest()}"

    def pictures(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of pictures, each uint8 [H, W, 3]: float32 [B, D], of length 1."""
        found = []
        for start in range(0, len(pixels), AT_ONCE):
            batch = np.stack([self._inputs.picture(one) for one in pixels[start : start + AT_ONCE]])
            with self._torch.inference_mode():
                values = self._torch.from_numpy(batch).to(self._device)
                found.append(_vectors(self._model.get_image_features(pixel_values=values)))
        return np.concatenate(found)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts: float32 [B, D], of length 1."""
        whole = self._inputs.pads_to_the_end
        tokens = self._tokenizer(
            self._inputs.written(texts),
            padding="max_length" if whole else True,
            max_length=self._inputs.tokens,
            truncation=True,
            return_tensors="pt",
        ).to(self._device)
        names = ("input_ids",) if whole else ("input_ids", "attention_mask")
        inputs = {name: tokens[name] for name in names if name in tokens}
        with self._torch.inference_mode():
            return _vectors(self._model.get_text_features(**inputs))


def _vectors(answer: Any) -> np.ndarray:
    """The vectors of an answer, of length 1. Versions 4 and 5 of the library answer differently."""
    return unit(getattr(answer, "pooler_output", answer).float().cpu().numpy())
