"""Cameras round a splat: also one Gaussian is seen from outside."""

import numpy as np
import pytest

from bgs_engine.io.gaussians import Gaussians
from bgs_engine.output.orbit import sphere_of_bulk


def splat(means: np.ndarray, size: float) -> Gaussians:
    count = len(means)
    quats, ones = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)), np.ones(count, np.float32)
    scales = np.full((count, 3), size, np.float32)
    return Gaussians(means.astype(np.float32), quats, scales, ones, None, np.ones(count, bool))


@pytest.mark.parametrize("count", [1, 7])
def test_gaussians_in_one_place_have_the_radius_of_their_size(count: int) -> None:
    middle, radius = sphere_of_bulk(splat(np.tile([2.0, 3, 4], (count, 1)), 0.5))
    np.testing.assert_allclose(middle, (2, 3, 4))
    assert radius == pytest.approx(1.5)


def test_the_size_does_not_count_in_a_usual_splat() -> None:
    corners = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9)] * 3), -1).reshape(-1, 3)
    assert sphere_of_bulk(splat(corners, 0.01))[1] == pytest.approx(3**0.5, rel=0.15)
