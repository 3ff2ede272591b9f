"""Masks of SAGA: one tensor of masks a view."""

from collections.abc import Iterator
from pathlib import Path

from bgs_engine.masks.formats.mask_format import MaskFormat, ScoredMask, damaged
from bgs_engine.masks.formats.torch_file import read_tensor

WANTED = "one bool tensor [masks, height, width]"


def read(path: Path, most: int) -> Iterator[ScoredMask]:
    """The masks of a .pt file."""
    tensor = read_tensor(path, WANTED)
    if tensor.ndim != 3 or tensor[:1].size > most:
        raise damaged(path, WANTED, ValueError(f"its shape is {tensor.shape}"))
    for mask in tensor:
        yield mask > 0.5 if mask.dtype.kind == "f" else mask != 0, 1.0


FORMAT = MaskFormat("SAGA", "bool tensor [K, H, W]", read, (".pt",), "sam_masks")
