"""Masks of SAGA: one tensor of masks a view."""

from collections.abc import Iterator
from pathlib import Path

from bgs_engine.core.errors import EnvironmentLacksError
from bgs_engine.masks.formats.mask_format import MaskFormat, ScoredMask, damaged


def read(path: Path) -> Iterator[ScoredMask]:
    """The masks of a .pt file. `weights_only` keeps the file from running code."""
    try:
        import torch
    except ImportError:
        raise EnvironmentLacksError("Reading .pt masks needs the package torch.", "Run: pip install torch") from None
    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(tensor, torch.Tensor) or tensor.ndim != 3 or tensor.is_sparse:
            raise ValueError("no tensor of three dimensions")
        masks = tensor.numpy()
    except Exception as error:  # zip, pickle and tensor errors of many types
        raise damaged(path, "one bool tensor [masks, height, width]", error) from None
    for mask in masks:
        yield mask > 0.5 if masks.dtype.kind == "f" else mask != 0, 1.0


FORMAT = MaskFormat("SAGA", "bool tensor [K, H, W]", read, (".pt",), "sam_masks")
