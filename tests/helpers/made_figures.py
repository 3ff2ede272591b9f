"""Small splats of simple shapes, written as PLY."""

from pathlib import Path

import numpy as np

from bgs_engine.io.gaussians import SH_C0
from tests.helpers.made_files import splat_dtype, write_splat

GREY, RED, BLUE, GREEN = (0.5, 0.5, 0.5), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)
TOP, BASE, SIDE = (0.0, 0.0, 1.0), (0.0, 0.0, 0.25), (0.6, 0.0, 0.6)  # centres of the red, blue and green balls


def splat(
    path: Path, parts: list[tuple[np.ndarray, tuple[float, float, float]]], size: float, logit: float = 5.0
) -> Path:
    """Round Gaussians of radius `size` at the points [K, 3] of each part, in that part's colour."""
    means = np.concatenate([points for points, _ in parts])
    colors = np.concatenate([np.tile(color, (len(points), 1)) for points, color in parts])
    rows = np.zeros(len(means), splat_dtype(0))
    for k in range(3):
        rows["xyz"[k]], rows[f"f_dc_{k}"], rows[f"scale_{k}"] = means[:, k], (colors[:, k] - 0.5) / SH_C0, np.log(size)
    rows["opacity"], rows["rot_0"] = logit, 1
    write_splat(path, rows)
    return path


def ball(center: tuple[float, float, float], radius: float, count: int = 300) -> np.ndarray:
    normals = np.random.default_rng(0).normal(size=(count, 3))
    return np.array(center) + radius * normals / np.linalg.norm(normals, axis=1, keepdims=True)


def sheet(count: int, side: float = 2.0) -> np.ndarray:
    """A square in the plane z = 0."""
    return np.random.default_rng(1).uniform(-side / 2, side / 2, (count, 3)) * (1, 1, 0)


def figure() -> list[tuple[np.ndarray, tuple[float, float, float]]]:
    """Three balls that tell up from down and left from right, over ground; z is up."""
    balls = [(ball(TOP, 0.15), RED), (ball(BASE, 0.15), BLUE), (ball(SIDE, 0.15), GREEN)]
    return [(sheet(2500), GREY), *balls]
