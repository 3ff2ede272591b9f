"""A made splat with known crumbs: two boards, floaters above the left one, and a stray of it in the right one."""

from pathlib import Path

import numpy as np

from bgs_engine.core.codes import BitLayout
from tests.helpers import made_splat

LEVEL_BITS = (4, 4, 4)
LEFT, RIGHT = (3, 1, 2), (5, 2, 1)  # child numbers of the boards' labels; floaters and stray have those of the left one
BOARD, FLOATERS = 900, 3  # Gaussians of each board, which come first, and then of the floaters; the last is the stray


def write(path: Path) -> tuple[Path, np.ndarray]:
    """Write the splat with its codes; returns the file and the codes, int32 [N]."""
    side = np.arange(30) * 0.1
    board = np.stack(np.meshgrid(side, side, [0.0]), -1).reshape(-1, 3)
    floaters = np.array([[1.0, 1.0, 4.0], [2.0, 1.0, 5.0], [1.0, 2.0, 6.0]])
    means = np.concatenate([board, board + np.array([10, 0, 0]), floaters, [[11.05, 1.05, 0.02]]])
    rows = np.zeros(len(means), made_splat.made_splat(10, 0)[0].dtype)
    for axis, name in enumerate("xyz"):
        rows[name] = means[:, axis]
        rows[f"scale_{axis}"] = np.log(0.07)
        rows[f"f_dc_{axis}"] = 0.5
    rows["opacity"], rows["rot_0"] = 3, 1
    right = np.zeros(len(means), bool)
    right[BOARD : 2 * BOARD] = True
    codes = BitLayout(LEVEL_BITS).pack([np.where(right, b, a) for a, b in zip(LEFT, RIGHT, strict=True)])
    return made_splat.write(path, made_splat.with_codes(rows, codes)), codes
