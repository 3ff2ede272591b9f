"""SAM, SAM 2.x, SAM 3 and their kin from Hugging Face transformers, by hub name or from a local folder.

Images are prepared here, because the library's processors of SAM 2 and 3 need torchvision and the models do not. The
families differ in their input size, in padding or stretching, and in the mean and spread of colours.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bgs_engine.core.errors import CancelledError, EnvironmentLacksError, InputError
from bgs_engine.masks.prompting import ON, TOP_LEFT, Answers, WholeAnswers
from bgs_engine.masks.sources.mask_source import NOT_ALLOWED

PADDED = ("sam", "sam_hq")  # families that keep proportions and pad; later ones stretch to a square
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # SAM 3


@dataclass(frozen=True)
class _Encoded:
    features: Any
    to_input: tuple[float, float]  # input pixels per image pixel
    used: tuple[int, int]  # columns and rows of the input that the image covers


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


class TransformersSam:
    """A mask generation model of the transformers library. Calls from several threads take turns.

    Raises:
        EnvironmentLacksError: torch or transformers is missing, no CUDA device, or a model that is not on this machine
            and may not be downloaded.
        InputError: there is no such model, or it does not generate masks.
    """

    def __init__(self, name: str, device: str = "auto", fetch: bool = True) -> None:
        try:
            import torch
            from transformers import AutoConfig, AutoModelForMaskGeneration
        except ImportError as error:
            raise EnvironmentLacksError(
                f"SAM models need the package {error.name or 'transformers'}.", "Run: pip install torch transformers"
            ) from None
        self._torch = torch
        self._device = _device(torch, device)
        try:
            with nullcontext() if fetch else _offline():
                config = AutoConfig.from_pretrained(name)
                model = AutoModelForMaskGeneration.from_pretrained(name, config=config, use_safetensors=True)
        except Exception as error:  # the hub, the file readers and the library each have their own
            if not fetch and not Path(name).exists():
                sentence = f"The mask model {name} is not on this machine. {NOT_ALLOWED[0]}"
                raise EnvironmentLacksError(sentence, NOT_ALLOWED[1]) from None
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise InputError(
                f"The mask model {name} cannot be loaded ({reason}).",
                "Give hf:FOLDER of a downloaded SAM, SAM 2 or SAM 3 model, or its name on the hub.",
            ) from None
        self._model = model.eval().to(self._device)
        family = str(config.model_type)
        prompts = self._model.config.prompt_encoder_config
        self._size = int(prompts.image_size if isinstance(prompts.image_size, int) else prompts.image_size[0])
        self._padded = family in PADDED
        mean, spread = HALF if family.startswith("sam3") else IMAGENET
        self._mean, self._spread = np.array(mean, np.float32) * 255, np.array(spread, np.float32) * 255
        self._turn = threading.Lock()
        self._stopped = threading.Event()
        for module in self._model.modules():  # an encoder may take ten seconds on a processor, a layer of it far less
            module.register_forward_pre_hook(self._go_on)
        digest = hashlib.sha256(family.encode())
        for parameter in self._model.parameters():
            digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        self.signature = f"transformers:{self._device}:{digest.hexdigest()}"

    def encode(self, image: np.ndarray) -> _Encoded:
        """Features of an image, uint8 [H, W, 3]."""
        height, width = image.shape[:2]
        size = self._size
        fit = size / max(height, width)
        columns, rows = (max(1, round(width * fit)), max(1, round(height * fit))) if self._padded else (size, size)
        resized = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR), np.float32)
        pixels = np.zeros((size, size, 3), np.float32)
        pixels[:rows, :columns] = (resized - self._mean) / self._spread
        batch = self._torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()).to(self._device)
        features = self._call(lambda: self._model.get_image_embeddings(batch))
        return _Encoded(features, (columns / width, rows / height), (columns, rows))

    def decode(self, encoded: _Encoded, points: np.ndarray) -> Answers:
        """Masks at points [B, 2], (x, y) in image pixels."""
        return self._decode(encoded, points[:, None], np.ones((len(points), 1), np.int64), None)

    def decode_together(self, encoded: _Encoded, points: np.ndarray, kinds: np.ndarray) -> Answers:
        """The masks of one thing that several points describe; see `PromptableModel`."""
        boxed = kinds >= TOP_LEFT
        box = points[boxed].reshape(1, 4) if boxed.any() else None
        if boxed.all():  # these models take no empty list of points
            points, kinds = points[boxed].mean(0)[None], np.array([ON])
        else:
            points, kinds = points[~boxed], kinds[~boxed]
        return self._decode(encoded, points[None], kinds[None], box)

    def _decode(self, encoded: _Encoded, points: np.ndarray, kinds: np.ndarray, box: np.ndarray | None) -> Answers:
        """Masks of prompts: points [B, P, 2], their kinds [B, P], boxes [B, 4] or none; image pixels."""
        torch = self._torch
        to_input = np.array(encoded.to_input)

        def tensor(values: np.ndarray) -> Any:
            return torch.from_numpy(values).to(self._device)[None]

        boxes = {} if box is None else {"input_boxes": tensor((box * np.tile(to_input, 2)).astype(np.float32))}
        result = self._call(
            lambda: self._model(
                input_points=tensor((points * to_input).astype(np.float32)),
                input_labels=tensor(kinds.astype(np.int64)),
                image_embeddings=encoded.features,
                multimask_output=True,
                **boxes,
            )
        )
        logits = result.pred_masks[0].float().cpu().numpy()
        scores = result.iou_scores[0].float().cpu().numpy()
        per_input = logits.shape[-1] / self._size
        columns, rows = (min(logits.shape[-1], int(np.ceil(used * per_input))) for used in encoded.used)
        scale_x, scale_y = (factor * per_input for factor in encoded.to_input)
        return WholeAnswers(logits[:, :, :rows, :columns], scores, scale_x, scale_y)

    def stop(self) -> None:
        """Let no further layer of any call begin."""
        self._stopped.set()

    def _go_on(self, *_: Any) -> None:
        if self._stopped.is_set():
            raise CancelledError

    def _call(self, run: Any) -> Any:
        torch = self._torch
        with self._turn:
            if self._stopped.is_set():
                raise CancelledError
            try:
                with torch.inference_mode(), self._precision():
                    return run()
            except RuntimeError as error:  # torch.OutOfMemoryError is one, and so is the CPU allocator's
                if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                    if self._device == "cuda":
                        torch.cuda.empty_cache()
                    raise MemoryError(str(error)) from None
                raise

    def _precision(self) -> AbstractContextManager[Any]:
        """Half precision where it is fast: on CUDA."""
        if self._device != "cuda":
            return nullcontext()
        half = self._torch.bfloat16 if self._torch.cuda.is_bf16_supported() else self._torch.float16
        context: AbstractContextManager[Any] = self._torch.autocast("cuda", dtype=half)
        return context


def _device(torch: Any, wanted: str) -> str:
    present = torch.cuda.is_available()
    if wanted == "cuda" and not present:
        raise EnvironmentLacksError("There is no CUDA device for the mask model.", "Use --device cpu.")
    return "cuda" if present and wanted != "cpu" else "cpu"
