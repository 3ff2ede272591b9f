"""Small random image-text models on disk, and one that knows colours, for tests of finding by words."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

WORDS = ("<pad>", "<unk>", "</s>", "red", "blue", "green", "box", "ball", "object", "things", "stuff", "texture")


def write_model(folder: Path, kind: str) -> Path:
    """A random model of a family, "clip" or "siglip", with a tokenizer of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast, SiglipConfig, SiglipModel

    torch.manual_seed(0)
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 8}  # fmt: skip
    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "vocab_size": len(WORDS), "max_position_embeddings": 16, "eos_token_id": 2, "bos_token_id": 1,
            "pad_token_id": 0}  # fmt: skip
    if kind == "clip":
        CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    else:  # the fixed-size checkpoints of SigLIP 2 have the classes and the model type of SigLIP
        config = SiglipConfig(text_config={**text, "projection_size": 16}, vision_config=vision)
        SiglipModel(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", pad_token="<pad>", eos_token="</s>")
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    return folder


def write_onnx_model(folder: Path, kind: str, like: Path) -> Path:
    """The networks of the model in the folder `like` in ONNX format, laid out as Transformers.js has them."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(like).eval()
    (folder / "onnx").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        (folder / name).write_bytes((like / name).read_bytes())
    output = ("image_embeds", "text_embeds") if kind == "clip" else ("pooler_output", "pooler_output")
    ids = torch.ones(2, 16, dtype=torch.int64)
    mask = {"attention_mask": ids} if kind == "clip" else {}  # exports of SigLIP take none
    for part, inputs, name in (
        ("vision", {"pixel_values": torch.zeros(2, 3, 32, 32)}, output[0]),
        ("text", {"input_ids": ids, **mask}, output[1]),
    ):
        with warnings.catch_warnings():  # of the exporter, about sizes that are fixed in these models
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Part(model, part), tuple(inputs.values()), str(folder / "onnx" / f"{part}_model.onnx"), dynamo=False,
                input_names=list(inputs), output_names=[name],
                dynamic_axes={key: {0: "batch"} if part == "vision" else {0: "batch", 1: "tokens"} for key in inputs},
            )  # fmt: skip
    return folder


class _Part(torch.nn.Module):
    def __init__(self, model: torch.nn.Module, part: str) -> None:
        super().__init__()
        self._model: Any = model
        self._part = part

    def forward(self, values: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if self._part == "vision":
            answer = self._model.get_image_features(pixel_values=values)
        else:
            answer = self._model.get_text_features(input_ids=values, attention_mask=mask)
        return getattr(answer, "pooler_output", answer)


class ColorModel:
    """Puts pictures and colour words into the space of colours less grey: it truly finds what is red."""

    signature = "colours 1"
    asked = 0  # pictures, in all

    def pictures(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        self.asked += len(pixels)
        return self._unit(np.array([one.reshape(-1, 3).mean(0) for one in pixels]) - 127)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        known = {"red": (1, -0.5, -0.5, 0), "green": (-0.5, 1, -0.5, 0), "blue": (-0.5, -0.5, 1, 0)}
        return np.array([known.get(text.split()[0], (0, 0, 0, 1)) for text in texts], np.float32) / 1.2247

    @staticmethod
    def _unit(colors: np.ndarray) -> np.ndarray:
        values = np.concatenate([colors, np.full((len(colors), 1), 3.0)], 1)
        return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
