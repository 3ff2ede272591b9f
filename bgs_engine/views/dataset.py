"""`bgs views`: render a dataset (images, poses, which way is up) from a splat alone."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.errors import InputError, UsageError
from bgs_engine.events import Reporter
from bgs_engine.gaussians import load_gaussians
from bgs_engine.io.dataset import PLY_KEY, UP_KEY
from bgs_engine.io.files import check_writable, write_json
from bgs_engine.io.ply import read_ply
from bgs_engine.pictures import contact_sheet, save_png, to_bytes
from bgs_engine.raster.pictures import render_color, seen_weights
from bgs_engine.raster.scene import RasterScene
from bgs_engine.views.placement import SEEN_ENOUGH, place_cameras
from bgs_engine.views.up_axis import AXES, guess_up

SEEN_PIXELS = 0.05  # px of a view that a Gaussian must contribute to count as seen: most splats are finer than pixels
SOLID = 0.5  # least opacity of the Gaussians that coverage is measured on
SHEET_COLUMNS = 5


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """Settings of `bgs views`; size is (width, height) in pixels, background red, green, blue in 0..1."""

    count: int = 60
    size: tuple[int, int] = (640, 480)
    up: str | None = None
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or min(self.size) < 16 or max(self.size) > 8192:
            raise UsageError("At least one view of 16x16 to 8192x8192 pixels is needed.", "Check --count and --size.")
        if self.up is not None and self.up not in AXES:
            raise UsageError(f"'{self.up}' is no axis.", f"Give --up one of {', '.join(AXES)}.")


def make_views(ply_path: Path, out: Path, config: ViewsConfig, reporter: Reporter) -> float:
    """Write images/, transforms.json and preview/views.png; returns the coverage.

    Coverage is the share of opaque Gaussians that at least `SEEN_ENOUGH` views see.

    Raises:
        InputError: the splat cannot be read, or the folder cannot be written.
    """
    ply = read_ply(ply_path)
    gaussians = load_gaussians(ply)
    scene = RasterScene.from_gaussians(gaussians)
    up = np.array(AXES[config.up]) if config.up else guess_up(gaussians)
    check_writable(out / "images")
    placement = place_cameras(gaussians, scene, up, config.count, config.size, config.seed, reporter)
    reporter.stage("Rendering views")
    times = np.zeros(len(gaussians), np.int32)
    frames, tiles = [], []
    for camera in reporter.track(placement.cameras, len(placement.cameras)):
        picture = to_bytes(render_color(scene, camera, config.background))
        save_png(out / "images" / f"{camera.name}.png", picture)
        times += seen_weights(scene, camera, stride=3) > SEEN_PIXELS
        frames.append({"file_path": f"images/{camera.name}.png", "transform_matrix": camera.opengl_pose.tolist()})
        tiles.append(picture)
    if not frames:
        raise InputError("No view of the scene could be found.", "Check the splat in a viewer.")
    coverage = float((times[gaussians.opacities >= SOLID] >= SEEN_ENOUGH).mean())
    camera = placement.cameras[0]
    write_json(
        out / "transforms.json",
        {
            "camera_model": "PINHOLE", "fl_x": camera.fx, "fl_y": camera.fy, "cx": camera.cx, "cy": camera.cy,
            "w": camera.width, "h": camera.height, UP_KEY: up.tolist(), PLY_KEY: _relative(ply_path, out),
            "bgs_views": {"inside": placement.inside, "coverage": round(coverage, 4), "seed": config.seed},
            "frames": frames,
        },
    )  # fmt: skip
    save_png(out / "preview" / "views.png", contact_sheet(tiles, SHEET_COLUMNS))
    reporter.metric("coverage", round(coverage, 4))
    reporter.metric("up", json.dumps(up.tolist()))
    reporter.artifact("views", out)
    return coverage


def _relative(path: Path, folder: Path) -> str:
    """The splat's path from the dataset folder, with forward slashes; absolute across drives."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()
