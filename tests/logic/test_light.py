"""The light of labels in PLY rows: the colour from every direction is multiplied, other rows keep their bytes."""

import numpy as np
import pytest

from bgs_engine.core.harmonics import basis
from bgs_engine.io.gaussians import SH_C0
from blender_bgs.logic.light import display_factor, lit_rows
from tests.helpers import made_splat


def seen(rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Colour before the clamp [N, D, 3] of each row from each direction [D, 3]."""
    dc = np.stack([rows[f"f_dc_{c}"] for c in range(3)], 1).astype(np.float64)
    rest = sum(name.startswith("f_rest_") for name in rows.dtype.names) // 3
    values = np.stack([[rows[f"f_rest_{c * rest + k}"] for k in range(rest)] for c in range(3)], 0)  # [3, K, N]
    shape = basis(directions)[:, 1 : 1 + rest]  # [D, K]
    return 0.5 + SH_C0 * dc[:, None, :] + np.einsum("dk,ckn->ndc", shape, values.astype(np.float64))


def test_light_is_the_display_value_to_the_gamma() -> None:
    # Twice the light on a display of gamma 2.2 is 2^(1/2.2) times the value; a tint of 0 is black.
    assert display_factor((1, 1, 1), 1).tolist() == pytest.approx([1.370351] * 3, abs=1e-6)
    assert display_factor((1, 0.25, 0), -1).tolist() == pytest.approx([0.7297401, 0.388602, 0.0], abs=1e-6)
    assert display_factor((1, 1, 1), 0).tolist() == [1, 1, 1]


@pytest.mark.parametrize("rest", [9, 24, 45])
def test_the_colour_is_multiplied_from_every_direction(rest: int) -> None:
    rows, _ = made_splat.made_splat(per_object=50, rest=rest)
    rng = np.random.default_rng(3)
    for k in range(rest):
        rows[f"f_rest_{k}"] = rng.normal(0, 0.2, len(rows))
    directions = rng.normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    factors = np.ones((len(rows), 3), np.float32)
    factors[::3] = (1.5, 0.5, 2.0)
    lit = lit_rows(rows, factors)
    # float32 coefficients: a few units in the seventh digit
    assert np.allclose(seen(lit, directions), seen(rows, directions) * factors[:, None, :], atol=2e-6)
    assert lit[1::3].tobytes() == rows[1::3].tobytes()
    same = [name for name in rows.dtype.names or () if not name.startswith("f_")]
    assert all(np.array_equal(lit[name], rows[name], equal_nan=True) for name in same)


def test_without_light_the_rows_are_the_same_object() -> None:
    rows, _ = made_splat.made_splat(per_object=5)
    assert lit_rows(rows, np.ones((len(rows), 3))) is rows
