"""Moved splats against pictures: what was turned looks the same from the turned side."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.quaternions import quaternion_matrices
from blender_bgs.logic.transforms import transform_rows
from tests.helpers import made_splat

if importlib.util.find_spec("numba") is None:
    pytest.skip("this Python has no engine to render with", allow_module_level=True)
from tests.helpers import rendered_splat

# Both pictures come from float32 rows through the same rasteriser; a Gaussian near the cut at 1/255 may fall on the
# other side of it, one grey level in few pixels: far above this. Colours that were not turned along are at 20 to 30.
SAME = 50.0


def colourful(rest: int) -> np.ndarray:
    """The made splat with strong view-dependent colours."""
    rows, _ = made_splat.made_splat(per_object=400, rest=rest)
    rng = np.random.default_rng(1)
    for i in range(rest):
        rows[f"f_rest_{i}"] = rng.normal(size=len(rows)) * 0.25
    for axis in range(3):
        rows[f"scale_{axis}"] += rng.uniform(-0.5, 0.7, len(rows))
    return rows


def motion(scale: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = scale * quaternion_matrices(np.array([[0.3, -0.7, 0.5, 0.4]]))[0]
    matrix[:3, 3] = 3, -2, 8
    return matrix


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 2.5, 0.2])
def test_a_turned_and_scaled_splat_looks_the_same_from_the_turned_side(
    tmp_path: Path, degree: int, scale: float
) -> None:
    rows = colourful(3 * ((degree + 1) ** 2 - 1))
    plain = made_splat.write(tmp_path / "plain.ply", rows)
    moved = made_splat.write(tmp_path / "moved.ply", transform_rows(rows, motion(scale)))
    found = rendered_splat.compare(plain, moved, motion(scale))
    assert min(found) > SAME, found


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_pictures_would_show_colours_that_were_not_turned(tmp_path: Path, degree: int) -> None:
    rows = colourful(3 * ((degree + 1) ** 2 - 1))
    wrong = transform_rows(rows, motion(1.0))
    for name in rows.dtype.names or ():
        if name.startswith("f_rest_"):
            wrong[name] = rows[name]
    found = rendered_splat.compare(
        made_splat.write(tmp_path / "a.ply", rows), made_splat.write(tmp_path / "b.ply", wrong), motion(1.0)
    )
    assert max(found) < 35, found
