"""The one interface of the masks stage: an image in, scored binary masks out; and how users name a backend."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bgs_engine.core.errors import UsageError
from bgs_engine.masks.bits import MaskStack
from bgs_engine.masks.prompting import Check

if TYPE_CHECKING:
    from bgs_engine.masks.automatic import PromptConfig

MODEL_HELP = "onnx:ENCODER,DECODER, import:FOLDER, or sam / sam2 / sam3 / hf:NAME_OR_FOLDER (transformers)"


class MaskProposer(Protocol):
    """Anything that proposes masks for an image."""

    crops: bool  # whether `propose` may be given a part of the image instead of the whole

    def key(self, stem: str) -> str:
        """What the masks of the view called `stem` depend on besides its pixels; equal keys give equal masks."""

    def propose(self, image: np.ndarray, stem: str, check: Check, where: np.ndarray | None = None) -> MaskStack:
        """Scored masks of an image, uint8 [H, W, 3].

        Args:
            check: called often; it raises once the user asked to stop.
            where: bool [H, W], the only pixels whose masks matter, or None for all.
        """

    def stop(self) -> None:
        """End a running `propose` in another thread as soon as possible."""


def model_from_text(
    text: str, prompting: "PromptConfig | None" = None, threads: int = 0, device: str = "auto"
) -> MaskProposer:
    """The backend that a user named.

    Args:
        text: `onnx:ENCODER,DECODER`, `import:PATH`, `sam`, `sam2`, `sam3` or `hf:NAME_OR_FOLDER`.
        prompting: how promptable models are asked.
        threads: of one call of a model on the CPU; 0 = all.
        device: for transformers: auto, cpu or cuda.

    Raises:
        UsageError: the text names no backend.
        InputError: a model or folder that cannot be read.
        EnvironmentLacksError: a package that the backend needs is missing.
    """
    kind, _, rest = text.partition(":")
    if kind == "onnx":
        encoder, comma, decoder = rest.partition(",")
        if not comma or not encoder.strip() or not decoder.strip():
            raise UsageError(f"'{text}' does not name two models.", "Write onnx:ENCODER.onnx,DECODER.onnx.")
        from bgs_engine.masks.automatic import AutomaticMasks
        from bgs_engine.masks.onnx_model import OnnxSam

        return AutomaticMasks(OnnxSam(_path(encoder), _path(decoder), threads), prompting)
    if kind == "import" and rest.strip():
        from bgs_engine.masks.imported import ImportedMasks

        return ImportedMasks(_path(rest))
    if kind in ("sam", "sam2", "sam3", "hf") and (kind == "hf") == bool(rest.strip()):
        from bgs_engine.masks.automatic import AutomaticMasks
        from bgs_engine.masks.transformers_model import TransformersSam

        return AutomaticMasks(TransformersSam(rest.strip() or kind, device), prompting)
    raise UsageError(f"'{text}' is no mask model.", f"Give --model {MODEL_HELP}.")


def _path(text: str) -> Path:
    return Path(text.strip()).expanduser()
