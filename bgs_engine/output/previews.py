"""Previews of a run: a few of its own views with the labels of each level laid over them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.events import Reporter
from bgs_engine.io.pictures import contact_sheet, overlay, save_png
from bgs_engine.io.run_folder import Run
from bgs_engine.output.label_pictures import LabelColors
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.cpu.label_maps import label_map
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene

PREVIEW_VIEWS = 6
PREVIEW_WIDTH = 480  # px


def write_previews(run: Run, scene: RasterScene, cameras: Sequence[Camera], folder: Path, reporter: Reporter) -> None:
    """Write labels_level_<l>.png into `folder`, one contact sheet a level."""
    reporter.stage("Drawing previews")
    picked = [cameras[i] for i in np.unique(np.linspace(0, len(cameras) - 1, PREVIEW_VIEWS).round().astype(int))]
    builder = ViewBuilder(scene)
    codes, opacities = scene.from_file_order(run.codes), scene.from_file_order(run.opacities)
    label_colors = LabelColors(run.codes, run.layout)
    tiles: list[list[np.ndarray]] = [[] for _ in run.layout.level_bits]
    for camera in reporter.track(picked, len(picked)):
        small = camera.resized(PREVIEW_WIDTH, max(1, round(camera.height * PREVIEW_WIDTH / camera.width)))
        color = render_color(scene, small)
        labels = label_map(builder.build(small), opacities, codes, run.layout.total)
        for level, row in enumerate(tiles, 1):
            row.append(overlay(color, label_colors.picture(labels, level)))
    for level, row in enumerate(tiles, 1):
        save_png(folder / f"labels_level_{level}.png", contact_sheet(row, 3))
