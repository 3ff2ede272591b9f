"""Pictures for people: contact sheets, overlays, and files of them. `images` reads the photos and label maps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bgs_engine.core.files import writing
from bgs_engine.core.palette import TINT_SHARE

TILE_GAP = 4  # pixels between the tiles of a sheet
SHEET_TILE = 240  # pixels; wider tiles make no sheet clearer


def to_bytes(color: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] from colours 0..1 (uint8 comes back as it is)."""
    if color.dtype == np.uint8:
        return color
    return (np.nan_to_num(color).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def contact_sheet(images: Sequence[np.ndarray], columns: int, tile_width: int | None = SHEET_TILE) -> np.ndarray:
    """Pictures side by side, uint8 [H, W, 3], row by row.

    Args:
        images: uint8 or 0..1 float [h, w, 3], any sizes.
        columns: pictures in a row.
        tile_width: pixels each is scaled down to (None keeps the first one's width); never enlarged.
    """
    if not images:
        return np.zeros((1, 1, 3), np.uint8)
    width = images[0].shape[1] if tile_width is None else min(tile_width, images[0].shape[1])
    tiles = [_scaled(to_bytes(np.asarray(image)), width) for image in images]
    height = max(tile.shape[0] for tile in tiles)
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + TILE_GAP) - TILE_GAP, columns * (width + TILE_GAP) - TILE_GAP, 3), 32, np.uint8)
    for k, tile in enumerate(tiles):
        y, x = k // columns * (height + TILE_GAP), k % columns * (width + TILE_GAP)
        sheet[y : y + tile.shape[0], x : x + width] = tile
    return sheet


def _scaled(image: np.ndarray, width: int) -> np.ndarray:
    if image.shape[1] == width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def overlay(color: np.ndarray, label_rgb: np.ndarray, share: float = TINT_SHARE) -> np.ndarray:
    """Label colours over a picture, uint8 [H, W, 3]. Black labels (unlabelled) let the picture through.

    Display values are mixed, as the viewport's colour mode Mixed does. `share` is the share of the label's colour.
    """
    base, top = to_bytes(color).astype(np.float32), label_rgb.astype(np.float32)
    shares = np.where(label_rgb.any(-1, keepdims=True), np.float32(share), np.float32(0))
    return (base + (top - base) * shares + 0.5).astype(np.uint8)


def save_png(path: Path, image: np.ndarray) -> None:
    """Write a picture uint8 or 0..1 float [H, W, 3] (or grey [H, W]) as PNG, whole or not at all."""
    with writing(path) as stream:
        Image.fromarray(to_bytes(image)).save(stream, format="PNG", optimize=False)


def save_jpg(path: Path, image: np.ndarray, quality: int = 92) -> None:
    """Write a picture uint8 or 0..1 float [H, W, 3] as JPEG, whole or not at all."""
    with writing(path) as stream:
        Image.fromarray(to_bytes(image)).save(stream, format="JPEG", quality=quality, subsampling=0)
