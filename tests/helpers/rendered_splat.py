"""Pictures of a splat and of the same splat moved, each from its own side: for the engine's Python.

    python rendered_splat.py PLAIN.ply MOVED.ply MATRIX.json      prints the PSNR of each pair of pictures

MATRIX (4 x 4, even scale) brings PLAIN to MOVED. The camera of the second picture is moved along, so both pictures
must be the same, colours of every viewing direction included.
"""

import json
import sys
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import read_ply
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.scene import RasterScene

WIDTH, HEIGHT, FOCAL = 240, 180, 220.0
EYES = ((7.0, -3.0, 1.0), (-5.0, -4.0, 5.0), (0.5, 6.0, -5.0))  # round the made splat, which is 6 across


def cameras_round(matrix: np.ndarray) -> list[tuple[Camera, Camera]]:
    """Pairs of cameras, before and after the world was moved by `matrix`."""
    scale = abs(np.linalg.det(matrix[:3, :3])) ** (1 / 3)
    pairs = []
    for number, eye in enumerate(EYES):
        view = look_at(np.array(eye), np.zeros(3), np.array([0.0, -1.0, 0.0]))
        # Multiplied by the scale again, so that the camera itself is not scaled.
        moved = np.diag([scale, scale, scale, 1.0]) @ view @ np.linalg.inv(matrix)
        lens = (WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2)
        pairs.append((Camera(str(number), *lens, view), Camera(str(number), *lens, moved)))
    return pairs


def picture(path: Path, camera: Camera) -> np.ndarray:
    """Colours [H, W, 3], 0..1."""
    return np.clip(render_color(RasterScene.from_gaussians(load_gaussians(read_ply(path))), camera), 0, 1)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio of pictures in 0..1, dB."""
    return float(-10 * np.log10(max(((a.astype(float) - b) ** 2).mean(), 1e-20)))


def compare(plain: Path, moved: Path, matrix: np.ndarray) -> list[float]:
    """PSNR of each pair of pictures, dB."""
    return [psnr(picture(plain, a), picture(moved, b)) for a, b in cameras_round(matrix)]


if __name__ == "__main__":
    found = compare(Path(sys.argv[1]), Path(sys.argv[2]), np.array(json.loads(Path(sys.argv[3]).read_text())))
    print(json.dumps(found))
