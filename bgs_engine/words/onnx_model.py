"""CLIP, SigLIP and SigLIP 2 in ONNX format, run by onnxruntime: a folder as Transformers.js uses it.

The pictures and the texts have a network each: `vision_model.onnx` and `text_model.onnx`, in the folder or in its
folder `onnx`. `tokenizer.json` and `config.json` lie beside them. PyTorch and the transformers library are not needed.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.core.input_files import is_file
from bgs_engine.words.model_inputs import ModelInputs, read_settings, unit

AT_ONCE = 16  # pictures
PRECISIONS = ("", "_fp16", "_int8", "_uint8", "_quantized")  # endings of file names; the first that is there is used
VECTORS = ("image_embeds", "text_embeds", "pooler_output")  # outputs of CLIP, and the one of SigLIP
USUAL_SIZE, USUAL_POSITIONS = 224, 64  # where a configuration leaves out what is usual
HINT = (
    "Give a folder with vision_model.onnx, text_model.onnx, tokenizer.json and config.json, as Transformers.js uses it."
)


def onnx_files(folder: Path) -> tuple[Path, Path] | None:
    """The networks for pictures and for texts in a folder, of one precision; None if it has none."""
    for place in (folder / "onnx", folder):
        for ending in PRECISIONS:
            pair = place / f"vision_model{ending}.onnx", place / f"text_model{ending}.onnx"
            if all(map(is_file, pair)):
                return pair
    return None


class OnnxImageText:
    """An image-text model of a folder for which `onnx_files` finds networks.

    Raises:
        EnvironmentLacksError: onnxruntime or tokenizers is missing.
        InputError: a file is damaged or missing, or the networks do not compare pictures with texts.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise EnvironmentLacksError(
                f"This image-text model needs the package {error.name}.", "Run: pip install onnxruntime tokenizers"
            ) from None
        pair = onnx_files(folder)
        if pair is None:
            raise InputError(f"{folder} has no image-text model in ONNX format.", HINT)
        config = read_settings(folder / "config.json")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._sessions = [
                onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in pair
            ]
            self._outputs = [_output_of(session) for session in self._sessions]
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._inputs = ModelInputs.of(str(config["model_type"]), *_sizes(config, folder), folder)
        except Exception as error:  # the runtime and the tokenizer each have their own
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise InputError(f"The image-text model {folder.name} cannot be loaded ({reason}).", HINT) from None
        pad = _pad_token(config, folder, tokenizer)
        length = self._inputs.tokens if self._inputs.pads_to_the_end else None
        tokenizer.enable_truncation(self._inputs.tokens)
        tokenizer.enable_padding(pad_id=pad[0], pad_token=pad[1], length=length)
        self._tokenizer = tokenizer
        digest = hashlib.sha256(repr((self._inputs, pad)).encode())
        for path in (*pair, folder / "tokenizer.json"):
            digest.update(path.read_bytes())
        self.signature = f"onnx:{digest.hexdigest()}"

    def pictures(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of pictures, each uint8 [H, W, 3]: float32 [B, D], of length 1."""
        found = []
        for start in range(0, len(pixels), AT_ONCE):
            batch = np.stack([self._inputs.picture(one) for one in pixels[start : start + AT_ONCE]])
            found.append(self._vectors(0, {"pixel_values": batch}))
        return np.concatenate(found)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts: float32 [B, D], of length 1."""
        tokens = self._tokenizer.encode_batch(self._inputs.written(texts))
        ids = np.array([one.ids for one in tokens], np.int64)
        return self._vectors(1, {"input_ids": ids, "attention_mask": np.array([one.attention_mask for one in tokens])})

    def _vectors(self, which: int, values: dict[str, np.ndarray]) -> np.ndarray:
        """The answer of a network, fed with those of the values that it takes, in the numbers that it takes."""
        session = self._sessions[which]
        feed = {one.name: values[one.name].astype(_NUMBERS[one.type]) for one in session.get_inputs()}
        return unit(np.asarray(session.run([self._outputs[which]], feed)[0], np.float32))


_NUMBERS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64,
            "tensor(int32)": np.int32}  # fmt: skip


def _output_of(session: Any) -> str:
    """The name of the output with the vectors."""
    names = [one.name for one in session.get_outputs()]
    odd = {one.name for one in session.get_inputs()} - {"pixel_values", "input_ids", "attention_mask"}
    found = [name for name in VECTORS if name in names]
    if not found or odd:
        raise ValueError(f"its networks take {', '.join(odd) or 'what is usual'} and answer {', '.join(names)}")
    return found[0]


def _sizes(config: dict[str, Any], folder: Path) -> tuple[int, int]:
    """Pixels of a side of a picture, and places of a text."""
    vision, text = (
        part if isinstance(part, dict) else {} for part in map(config.get, ("vision_config", "text_config"))
    )
    prepared = read_settings(folder / "preprocessor_config.json").get("size")
    side = max((v for v in prepared.values() if isinstance(v, int)), default=0) if isinstance(prepared, dict) else 0
    return (
        int(vision.get("image_size") or side or USUAL_SIZE),
        int(text.get("max_position_embeddings") or USUAL_POSITIONS),
    )


def _pad_token(config: dict[str, Any], folder: Path, tokenizer: Any) -> tuple[int, str]:
    """Number and text of the token that fills up a text."""
    token = read_settings(folder / "tokenizer_config.json").get("pad_token")
    text = token.get("content") if isinstance(token, dict) else token
    number = tokenizer.token_to_id(text) if isinstance(text, str) else None
    if number is not None:
        return number, str(text)
    part = config.get("text_config")
    number = part.get("pad_token_id") if isinstance(part, dict) else None
    number = number if isinstance(number, int) and number >= 0 else 0
    return number, tokenizer.id_to_token(number) or ""
