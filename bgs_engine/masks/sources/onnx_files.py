"""`onnx:ENCODER,DECODER`: two ONNX files of a SAM-style model."""

from bgs_engine.core.errors import UsageError
from bgs_engine.masks.proposer import MaskProposer
from bgs_engine.masks.sources.mask_source import MaskSource, SourceSettings, path_from, prompted


def open_files(argument: str, settings: SourceSettings) -> MaskProposer:
    """The model of two files, whose paths a comma separates."""
    encoder, comma, decoder = argument.partition(",")
    if not comma or not encoder.strip() or not decoder.strip():
        raise UsageError(f"'onnx:{argument}' does not name two models.", "Write onnx:ENCODER.onnx,DECODER.onnx.")
    from bgs_engine.masks.onnx_model import OnnxSam

    return prompted(OnnxSam(path_from(encoder), path_from(decoder), settings.threads), settings)


SOURCES = (MaskSource("onnx", open_files, "ENCODER,DECODER"),)
