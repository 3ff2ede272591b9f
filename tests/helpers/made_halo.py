"""A box on a floor, with a halo: a spike reaches beyond a side of the box, and a faint ball hangs beside it."""

from pathlib import Path

import numpy as np

from tests.helpers import made_hole, made_splat

SPIKE, FAINT = -2, -1  # rows of the file, from its end: both belong to the box
LENGTH = 0.25  # of the spike, a standard deviation along y


def write(path: Path) -> Path:
    """Write the splat, with the codes of `made_hole`. Returns its path."""
    rows, _ = made_hole.rows_and_codes()
    rows = np.concatenate([rows, rows[[-1, -1]]])
    for row, place, scale, opacity in (
        (SPIKE, (0.3, 0.45, 0.3), (0.02, LENGTH, 0.02), -0.5),
        (FAINT, (0.0, 0.75, 0.5), (0.05, 0.05, 0.05), -2.0),
    ):
        for k, name in enumerate("xyz"):
            rows[name][row], rows[f"scale_{k}"][row] = place[k], np.log(scale[k])
        for k, value in enumerate((1.0, 0.0, 0.0, 0.0)):
            rows[f"rot_{k}"][row] = value
        rows["opacity"][row] = opacity
    return made_splat.write(path, rows)
