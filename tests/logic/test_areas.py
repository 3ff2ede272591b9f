"""Areas that a user draws: their pixels, the Gaussians in them, and what is selected afterwards."""

import itertools

import numpy as np
import pytest

from blender_bgs.viewport.areas import area_of, box, combined, project, rows_in, stroke, visible
from blender_bgs.viewport.packing import Arrays
from blender_bgs.viewport.probing import Target


def test_a_box_has_the_pixels_whose_centres_it_holds() -> None:
    area = area_of(box((2.2, 1.0), (5.6, 3.4)), (8, 6))
    wanted = np.zeros((6, 8), bool)
    wanted[1:3, 2:6] = True  # centres 2.5 to 5.5 and 1.5 to 2.5
    assert np.array_equal(area, wanted)
    assert np.array_equal(area_of(box((5.6, 3.4), (2.2, 1.0)), (8, 6)), wanted)  # drawn from the other corner


def test_a_lasso_is_the_inside_of_its_polygon() -> None:
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 60))
    radii = rng.uniform(10, 28, 60)
    path = [(32 + r * np.cos(a), 30 + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]
    area = area_of(path, (64, 60))
    y, x = np.mgrid[:60, :64] + 0.5
    turns = np.zeros((60, 64))  # computed another way: a star-shaped path winds once round its inside
    for (x0, y0), (x1, y1) in zip(path, [*path[1:], path[0]], strict=True):
        a, b = np.arctan2(y0 - y, x0 - x), np.arctan2(y1 - y, x1 - x)
        turns += (b - a + np.pi) % (2 * np.pi) - np.pi
    assert np.array_equal(area, np.abs(turns) > np.pi)
    assert not area_of([(3, 3), (9, 9)], (20, 20)).any()  # a line has no inside


def test_a_stroke_has_the_pixels_near_its_path() -> None:
    path = [(5.0, 8.0), (21.0, 14.0), (30.0, 2.0), (47.0, -3.0)]  # its end is below the picture
    area = stroke(path, 3.5, (40, 20))
    ways = np.concatenate([np.linspace(a, b, 2000) for a, b in itertools.pairwise(path)])
    y, x = np.mgrid[:20, :40] + 0.5
    distance = np.hypot(x[..., None] - ways[:, 0], y[..., None] - ways[:, 1]).min(-1)
    clear = np.abs(distance - 3.5) > 0.01  # the samples are that far apart
    assert np.array_equal(area[clear], (distance <= 3.5)[clear]) and 100 < area.sum() < 500
    assert stroke([(5.0, 5.0)], 2.0, (10, 10)).sum() == 12  # a press without a drag: 4 x 4 pixels without the corners


def target(means: list, opacities: list, shown: list | None = None) -> Target:
    """Gaussians seen by a camera at the origin that looks along -z."""
    count = len(means)
    zeros = np.zeros((count, 3), np.float32)
    arrays = Arrays(np.array(means, np.float32), np.zeros((count, 6), np.float32), np.array(opacities, np.float32),
                    zeros, np.ones(count, np.float32), np.ones(count, np.float32))  # fmt: skip
    return Target(arrays, np.eye(4), None if shown is None else np.array(shown))


PERSPECTIVE = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, -0.2], [0, 0, -1, 0]])


def test_gaussians_in_an_area_are_those_that_one_sees_there() -> None:
    # In a picture of 20 x 20, (0.5, 0, -1) is at x 15 and y 10; the same direction twice as far is at the same place.
    means = [(0.5, 0, -1), (1, 0, -2), (-0.5, 0, -1), (0.5, 0, 1), (0.5, 0, -1), (0.5, 0, -1)]
    one = target(means, [1, 1, 1, 1, 0.1, 1], [True, True, True, True, True, False])
    area = area_of(box((12, 8), (18, 12)), (20, 20))
    assert rows_in(one, PERSPECTIVE, area).tolist() == [True, True, False, False, False, False]  # behind, haze, hidden
    assert visible(one).tolist() == [True, True, True, True, False, False]
    seen = project(one, PERSPECTIVE, (20, 20))
    assert np.allclose([seen.x[:3], seen.y[:3], seen.depth[:3]], [[15, 15, 5], [10, 10, 10], [1, 2, 1]])
    assert np.array_equal(rows_in(one, PERSPECTIVE, area, seen), rows_in(one, PERSPECTIVE, area))


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [("SET", "0101"), ("ADD", "0111"), ("SUB", "0010"), ("XOR", "0110"), ("AND", "0001")],
)
def test_modes_are_blenders(mode: str, wanted: str) -> None:
    cases = [(False, False), (False, True), (True, False), (True, True)]  # selected before, inside
    assert "".join(str(int(combined(*case, mode))) for case in cases) == wanted
