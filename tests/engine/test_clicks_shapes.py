"""What a session knows beside masks: flat surfaces, and the labels of a run as building blocks."""

import numpy as np
import pytest

from bgs_engine.clicks.flat_surface import SolidGaussians, flat_surface
from bgs_engine.clicks.run_labels import RunLabels
from bgs_engine.clicks.things import Thing
from bgs_engine.raster.scene import RasterScene
from tests.helpers.made_scenes import make

STEP = 0.05
SIDE = 40  # Gaussians along a side of a wall: 2 units


def scene_of(*clouds: np.ndarray) -> RasterScene:
    """A splat of round solid Gaussians that touch their neighbours at the distance STEP."""
    means = np.concatenate(clouds)
    count = len(means)
    quats = np.tile([1.0, 0, 0, 0], (count, 1))
    return RasterScene.from_gaussians(
        make(means, quats, np.full((count, 3), STEP / 2), np.full(count, 0.9), np.float32)
    )


def grid(axis: int, noise: float = 0.0) -> np.ndarray:
    """A wall through the origin, across an axis."""
    u, v = (along.ravel() * STEP for along in np.mgrid[:SIDE, :SIDE])
    points = np.insert(np.stack([u, v], 1), axis, 0.0, axis=1)
    points[:, axis] += np.random.default_rng(axis).normal(0, noise, len(points)) if noise else 0.0
    return points


def ball() -> np.ndarray:
    at = np.random.default_rng(3).normal(size=(4000, 3))
    return 0.8 * at / np.linalg.norm(at, axis=1, keepdims=True)


@pytest.mark.parametrize("noise", [0.0, 0.1 * STEP])
def test_a_wall_ends_where_another_wall_begins(noise: float) -> None:
    scene = scene_of(grid(0, noise), grid(1, noise), grid(2, noise))
    rows = flat_surface(SolidGaussians(scene), np.array([0.0, 1.0, 1.0]))
    assert rows is not None
    points = scene.means[rows]
    assert np.abs(points[:, 0]).max() < STEP  # no more than the first row of the walls beside it
    on_wall = np.abs(scene.means[:, 0]) < 0.3 * STEP
    assert np.isin(np.flatnonzero(on_wall), rows).mean() > 0.97


def test_a_surface_ends_at_a_gap() -> None:
    beyond = grid(0) + np.array([0, 2.5, 0])  # the same plane, 10 Gaussians further
    scene = scene_of(grid(0), beyond)
    rows = flat_surface(SolidGaussians(scene), np.array([0.0, 1.0, 1.0]))
    assert rows is not None
    assert len(rows) == SIDE * SIDE
    assert scene.means[rows][:, 1].max() < 2.1


def test_what_is_round_or_tiny_is_no_flat_surface() -> None:
    rows = flat_surface(SolidGaussians(scene_of(ball())), np.array([0.8, 0.0, 0.0]))
    assert rows is None or len(rows) < 0.1 * 4000  # at most a small cap
    assert flat_surface(SolidGaussians(scene_of(grid(0)[:20])), np.zeros(3)) is None


def test_blocks_carry_a_thing_to_where_no_view_shows_it() -> None:
    labels = RunLabels(np.array([[-7, -7, -7, -7, 4, 4], [1, 1, 2, 2, 3, 3]], np.int32))
    known = np.array([True, False, True, True, True, False])
    share = np.array([0.9, 0.0, 0.2, 0.6, 0.1, 1.0], np.float32)
    weight = np.array([1.0, 1, 2, 1, 1, 1], np.float32)
    snapped = labels.snapped(Thing(share, known, 3, 0.7), weight)
    # Block 1 is known by its first Gaussian alone. Of block 2 a third of the weight lies inside, of block 3 nothing.
    assert snapped.inside.tolist() == [True, True, False, False, False, False]
    assert snapped.share.tolist() == pytest.approx([1, 1, 1 / 3, 1 / 3, 0, 0])
    assert snapped.known.all() and snapped.views == 3 and snapped.support == pytest.approx(0.7)


def test_a_block_about_which_nothing_is_known_stays_out() -> None:
    labels = RunLabels(np.array([[1, 1, 2]], np.int32))
    thing = Thing(np.array([1.0, 0, 1], np.float32), np.array([True, False, False]), 1, 1.0)
    weight = np.array([0.01, 1.0, 1.0], np.float32)  # of the first block one per cent has been seen
    assert not labels.snapped(thing, weight).inside.any()


def test_the_label_with_most_of_a_place_is_found_at_each_level() -> None:
    labels = RunLabels(np.array([[5, 5, 9], [1, 2, 3]], np.int32))
    coarse, fine = labels.at(np.array([0.3, 0.35, 0.35], np.float32))
    assert coarse.inside.tolist() == [True, True, False]
    assert fine.inside.tolist() == [False, True, False]
