"""A splat in Blender: balls in a row, each one a label of level 1. It needs bpy."""

from pathlib import Path

import bpy
import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.quaternions import matrices_quaternions
from blender_bgs.cloud.point_clouds import is_splat
from blender_bgs.cloud.typed import SplatObject
from tests.helpers import made_splat

APART = 2.0  # scene units between the balls, whose diameter is 1
REST = 9  # f_rest properties


def ball(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat discs on a ball of diameter 1: means [N, 3], quats [N, 4], scales [N, 3], float32."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))  # a sunflower's
    normals = np.stack([np.cos(turn) * np.sqrt(1 - z * z), np.sin(turn) * np.sqrt(1 - z * z), z], 1)
    beside = np.stack([-np.sin(turn), np.cos(turn), np.zeros(count)], 1)
    quats = matrices_quaternions(np.stack([beside, np.cross(normals, beside), normals], 2))
    scales = np.sqrt(np.pi / count) * np.array([1.1, 0.9, 0.2]) * np.ones((count, 1))
    return tuple(a.astype(np.float32) for a in (normals / 2, quats, scales))  # type: ignore[return-value]


def splat_of_balls(folder: Path, count: int = 1500, balls: int = 3) -> SplatObject:
    """`count` Gaussians for each ball, imported from a file. Ball n is label n of level 1, at x = n * APART."""
    means, quats, scales = (np.tile(a, (balls, 1)) for a in ball(count))
    label = np.repeat(np.arange(balls), count)
    means[:, 0] += label * np.float32(APART)
    names = [*made_splat.NAMES, *(f"f_rest_{k}" for k in range(REST)), *made_splat.TAIL]
    rows = np.zeros(len(means), [(name, "<f4") for name in names])
    rng = np.random.default_rng(0)
    for k in range(REST):
        rows[f"f_rest_{k}"] = rng.normal(size=len(rows)) * 0.1
    for k in range(3):
        rows["xyz"[k]], rows[f"scale_{k}"] = means[:, k], np.log(scales[:, k])
    for k in range(4):
        rows[f"rot_{k}"] = quats[:, k]
    rows["opacity"] = 2.2  # 0.9
    zero = np.zeros(len(rows), np.int64)
    codes = BitLayout().pack([label, zero, zero])
    path = made_splat.write(folder / "balls.ply", made_splat.with_codes(rows, codes))
    assert bpy.ops.bgs.import_splat(filepath=str(path)) == {"FINISHED"}
    obj = bpy.context.view_layer.objects.active
    assert is_splat(obj)
    obj.bgs.level = 1
    return obj
