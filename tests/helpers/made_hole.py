"""A grey floor with a hole below a dark box, as a capture has it: no view saw the floor there."""

from pathlib import Path

import numpy as np

from bgs_engine.core.codes import BitLayout
from tests.helpers import made_splat

LAYOUT = BitLayout((4, 4, 4))
FLOOR, BOX = (3, 1, 2), (5, 2, 1)  # labels at the three levels
STEP = 0.05  # between the discs of the floor
HOLE = 0.33  # half its width
GREY = 0.6
_FACING = ((0.7071, 0, 0.7071, 0), (0.7071, -0.7071, 0, 0), (1, 0, 0, 0))  # rotations of discs that face x, y and z


def write(path: Path) -> tuple[Path, np.ndarray]:
    """Write the splat. Returns its path and its codes, int32 [N]."""
    rows, codes = rows_and_codes()
    return made_splat.write(path, rows), codes


def rows_and_codes() -> tuple[np.ndarray, np.ndarray]:
    """(The rows of the splat with their codes, the codes int32 [N]). The last ones are the box."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(*[np.arange(-1.5, 1.5, STEP)] * 2)
    floor = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1)
    floor = floor[(np.abs(floor[:, :2]) > HOLE).any(1)]
    box = rng.uniform(-0.3, 0.3, (900, 3))
    rows = np.arange(len(box))
    axis = rng.integers(2, size=len(box))
    box[rows, axis] = 0.3
    box[:450] *= (-1, -1, 1)
    box[:, 2] += 0.32
    points = np.concatenate([floor, box])
    values = np.zeros(len(points), made_splat.made_splat(10, 0)[0].dtype)
    quats = np.array(_FACING)[np.concatenate([np.full(len(floor), 2), axis])]
    grey = np.repeat([GREY, 0.1], [len(floor), len(box)])
    for k, name in enumerate("xyz"):
        values[name] = points[:, k]
        values[f"scale_{k}"] = np.log(STEP * (0.7, 0.7, 0.1)[k])
        values[f"f_dc_{k}"] = (grey - 0.5) / 0.28209479177387814
    for k in range(4):
        values[f"rot_{k}"] = quats[:, k]
    values["opacity"] = 3
    on_box = np.arange(len(points)) >= len(floor)
    codes = LAYOUT.pack([np.where(on_box, b, f) for f, b in zip(FLOOR, BOX, strict=True)])
    return made_splat.with_codes(values, codes), codes
