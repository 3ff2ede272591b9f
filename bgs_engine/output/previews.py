"""Pictures of a run: what the codes look like on the scene, level by level."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.io.pictures import contact_sheet, label_colors, overlay, save_png
from bgs_engine.io.run_folder import Run
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.cpu.label_maps import label_map
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.semantics import EMPTY_CODE

PREVIEW_VIEWS = 6
PREVIEW_WIDTH = 480  # px


def label_picture(codes: np.ndarray, layout: BitLayout, level: int) -> np.ndarray:
    """Colours of a code map, uint8 [H, W, 3]; codes uint32 [H, W], EMPTY_CODE stays black."""
    empty = codes == EMPTY_CODE
    colors = label_colors(np.where(empty, 0, layout.labels(codes, level).astype(np.int64) + 1))
    colors[empty] = 0
    return colors


def write_previews(run: Run, scene: RasterScene, cameras: Sequence[Camera], folder: Path, reporter: Reporter) -> None:
    """preview/labels_level_<l>.png: a few views with the labels laid over the colours."""
    reporter.stage("Drawing previews")
    picked = [cameras[i] for i in np.unique(np.linspace(0, len(cameras) - 1, PREVIEW_VIEWS).round().astype(int))]
    builder = ViewBuilder(scene)
    codes, opacities = scene.from_file_order(run.codes), scene.from_file_order(run.opacities)
    tiles: list[list[np.ndarray]] = [[] for _ in run.layout.level_bits]
    for camera in reporter.track(picked, len(picked)):
        small = camera.resized(PREVIEW_WIDTH, max(1, round(camera.height * PREVIEW_WIDTH / camera.width)))
        color = render_color(scene, small)
        labels = label_map(builder.build(small), opacities, codes, run.layout.total)
        for level, row in enumerate(tiles, 1):
            row.append(overlay(color, label_picture(labels, run.layout, level)))
    for level, row in enumerate(tiles, 1):
        save_png(folder / f"labels_level_{level}.png", contact_sheet(row, 3))
