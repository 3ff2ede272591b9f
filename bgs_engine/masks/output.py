"""Write label maps and contact sheets of a dataset."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bgs_engine.cameras import Camera
from bgs_engine.events import Reporter
from bgs_engine.io.files import replace_folder, writing
from bgs_engine.io.images import read_image, write_label_png

if TYPE_CHECKING:
    from bgs_engine.masks.pipeline import MasksReport

SHEET_VIEWS = 12  # views on a contact sheet, spread evenly
TILE_WIDTH = 320


def write_results(
    folder: Path,
    label_maps: Iterable[tuple[Camera, np.ndarray]],
    count: int,
    reporter: Reporter,
    report: "MasksReport",
) -> None:
    """Write masks/level_l/NAME.png and preview/masks_level_l.png; earlier masks stay until the new ones are whole.

    Args:
        label_maps: camera and uint16 [L, H, W] of each view.
        count: number of views.
    """
    reporter.stage("Write label maps")
    final = folder / "masks"
    partial = folder / ".masks.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shown = set(np.linspace(0, count - 1, min(count, SHEET_VIEWS)).round().astype(int).tolist())
    tiles: list[list[np.ndarray]] = []
    labelled = pixels = 0
    try:
        for done, (camera, maps) in enumerate(label_maps):
            for level, level_map in enumerate(maps, 1):
                write_label_png(partial / f"level_{level}" / f"{camera.name}.png", level_map)
            report.segments = [a + int(m.max()) for a, m in zip(report.segments or [0] * len(maps), maps, strict=True)]
            labelled += int(np.count_nonzero(maps[0]))
            pixels += maps[0].size
            if done in shown and camera.image is not None:
                image = read_image(camera.image, (camera.width, camera.height))
                tiles = tiles or [[] for _ in maps]
                for row, level_map in zip(tiles, maps, strict=True):
                    row.append(_tile(image, level_map))
            reporter.progress(done + 1, count)
        replace_folder(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    report.folder = final
    report.labelled_share = labelled / max(pixels, 1)
    reporter.artifact("masks", final)
    for level, row in enumerate(tiles, 1):
        path = folder / "preview" / f"masks_level_{level}.png"
        with writing(path) as sheet:
            Image.fromarray(_sheet(row)).save(sheet, format="PNG")
        reporter.artifact("preview", path)


def _tile(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    height = max(1, round(image.shape[0] * TILE_WIDTH / image.shape[1]))
    small = np.asarray(Image.fromarray(image).resize((TILE_WIDTH, height)), np.float32)
    rows = (np.arange(height) * image.shape[0]) // height
    columns = (np.arange(TILE_WIDTH) * image.shape[1]) // TILE_WIDTH
    ids = labels[np.ix_(rows, columns)].astype(np.int64)
    hue = (ids * 0.6180339887498949) % 1
    colors = np.stack([np.abs((hue * 6 + shift) % 6 - 3) - 1 for shift in (0, 4, 2)], -1).clip(0, 1) * 255
    painted = np.where(ids[..., None] > 0, 0.4 * small + 0.6 * colors, 0.3 * small)
    edge = np.zeros(ids.shape, bool)
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    edge[1:] |= ids[1:] != ids[:-1]
    painted[edge] = 0
    return painted.astype(np.uint8)


def _sheet(tiles: list[np.ndarray]) -> np.ndarray:
    columns = min(4, len(tiles))
    height = max(tile.shape[0] for tile in tiles)
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * height, columns * TILE_WIDTH, 3), np.uint8)
    for k, tile in enumerate(tiles):
        top, left = k // columns * height, k % columns * TILE_WIDTH
        sheet[top : top + tile.shape[0], left : left + TILE_WIDTH] = tile
    return sheet
