"""The painter that stands in for the engine in Blender's window tests paints what the engine renders."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.output.frames import Stage, load_part
from bgs_engine.raster.cpu.frame import blend
from blender_bgs.logic.lens import lens_of
from tests.helpers import made_splat
from tests.helpers.painter import paint, psnr

SIZE = (160, 120)
PINHOLE = np.array([[1.6, 0, 0.3, 0], [0, 2.1, -0.2, 0], [0, 0, -1.0, -0.2], [0, 0, -1, 0]])
FLAT = np.array([[0.3, 0, 0, 0.1], [0, 0.4, 0, -0.1], [0, 0, -0.02, -1], [0, 0, 0, 1]])


@pytest.mark.parametrize("projection", [PINHOLE, FLAT])
def test_it_paints_what_the_engine_renders(projection: np.ndarray, tmp_path: Path) -> None:
    rows, _ = made_splat.made_splat(per_object=200)
    matrix = np.eye(4)
    matrix[:3, :3] = 1.3 * np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    view = np.diag([1.0, -1.0, -1.0, 1.0]) @ look_at(np.array([3.0, -5, 4]), np.zeros(3), np.array([0.0, 0, 1]))
    lens = lens_of(projection, *SIZE)
    viewmat = np.diag([1.0, -1.0, -1.0, 1.0]) @ view
    camera = Camera("a", *SIZE, lens.fx, lens.fy, lens.cx, lens.cy, viewmat, None, lens.orthographic)
    stage = Stage([load_part(made_splat.write(tmp_path / "a.ply", rows))])
    seen = stage.view(camera, matrix[None])
    image, _, _ = blend(seen, stage.opacities, stage.colors(camera, matrix[None])[seen.order])
    ours, _ = paint(rows, matrix, projection, view, SIZE)
    assert image.max() > 0.5  # something is there
    assert psnr(ours, image.clip(0, 1)) > 60  # float64 against float32: far below what any display shows
