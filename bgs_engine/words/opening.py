"""Opens the image-text model that a user names."""

from pathlib import Path

from bgs_engine.words.model import ImageTextModel
from bgs_engine.words.onnx_model import OnnxImageText, onnx_files


def open_model(name: str, device: str = "auto", fetch: bool = False) -> ImageTextModel:
    """The model of a folder, in ONNX format or of the transformers library, or `hf:NAME` on the hub.

    Args:
        name: what the user gave.
        device: where a model of the transformers library runs. ONNX models run on the CPU.
        fetch: allows to download what is missing.

    Raises:
        EnvironmentLacksError, InputError: see `OnnxImageText` and `TransformersImageText`.
    """
    folder = Path(name.removeprefix("hf:").strip() or "hf:")
    if onnx_files(folder) is not None:
        return OnnxImageText(folder)
    from bgs_engine.words.transformers_model import TransformersImageText

    return TransformersImageText(name, device, fetch)
