"""Fill continues the surfaces that an object hid, and nothing else."""

import numpy as np

from bgs_engine.core.harmonics import rotation_matrix
from bgs_engine.core.quaternions import matrices_quaternions, quaternion_matrices
from bgs_engine.cutouts.cloning import turned_harmonics
from bgs_engine.cutouts.fill import Fill, fill, joined
from bgs_engine.cutouts.supports import turns
from bgs_engine.io.gaussians import SH_C0, Gaussians

STEP = 0.05  # scene units between the discs of a floor
STRIPE = 0.5  # width of a stripe
DARK, LIGHT = 0.3, 0.7
UP = np.array([0.0, 0.0, 1.0])


def discs(points: np.ndarray, normals: np.ndarray, grey: np.ndarray, rng: np.random.Generator) -> Gaussians:
    """Opaque discs at points, facing normals, with a grey each and small random harmonics of degree 1."""
    count = len(points)
    quats = matrices_quaternions(turns(UP, normals))
    scales = STEP * np.array([0.7, 0.7, 0.1]) * rng.lognormal(0, 0.05, (count, 3))
    sh = rng.normal(0, 0.02, (count, 4, 3))
    sh[:, 0] = ((grey - 0.5) / SH_C0)[:, None]
    opacities = np.full(count, 0.95)
    means, turn, sizes, alpha, colors = (c.astype(np.float32) for c in (points, quats, scales, opacities, sh))
    return Gaussians(means, turn, sizes, alpha, colors, np.ones(count, bool))


def floor(rng: np.random.Generator, half: float = 1.5) -> Gaussians:
    """A striped floor at z = 0; the stripes run along y."""
    x, y = np.meshgrid(*[np.arange(-half, half, STEP)] * 2)
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1)
    points[:, :2] += rng.uniform(-0.3, 0.3, (x.size, 2)) * STEP
    return discs(points, np.broadcast_to(UP, points.shape), stripes(points), rng)


def stripes(points: np.ndarray) -> np.ndarray:
    return np.where(np.floor(points[:, 0] / STRIPE) % 2 == 1, DARK, LIGHT)


def box(rng: np.random.Generator, half: float = 0.3, low: float = 0.02) -> Gaussians:
    """The sides and the top of a cube that stands on the floor, or over it."""
    points = rng.uniform(-half, half, (1500, 3))
    side = rng.integers(5, size=len(points))
    rows = np.arange(len(points))
    normals = np.zeros_like(points)
    axis = np.where(side == 4, 2, side % 2)
    sign = np.where(side == 4, 1, np.where(side >= 2, 1, -1))
    points[rows, axis], normals[rows, axis] = half * sign, np.where(sign > 0, 1.0, 0.999)
    points[:, 2] += half + low
    return discs(points, normals, np.full(len(points), 0.1), rng)


def filled(surface: Gaussians, thing: Gaussians, hidden: np.ndarray) -> tuple[Fill, Gaussians]:
    """Fill after the thing is removed from the surface without its hidden discs; and what was hidden."""
    seen = surface.take(np.flatnonzero(~hidden))
    removed = np.repeat([False, True], [len(seen), len(thing)])
    return fill(joined([seen, thing]), removed), surface.take(np.flatnonzero(hidden))


def below_box(points: np.ndarray) -> np.ndarray:
    return (np.abs(points[:, :2]) < 0.33).all(1)


def test_continues_a_striped_floor() -> None:
    rng = np.random.default_rng(0)
    surface, thing = floor(rng), box(rng)
    made, hidden = filled(surface, thing, below_box(surface.means))
    assert made.surfaces == 1
    # As many discs as were hidden; a cell at the rim of the hole may count or not, which is a ring of one disc.
    assert 0.75 * len(hidden) < len(made) < 1.4 * len(hidden)
    means = made.gaussians.means
    assert np.abs(means[:, 2]).max() < 1e-3  # the floor is exactly flat
    assert (np.abs(means[:, :2]) < 0.33 + 3 * STEP).all()
    # A cell is 1.4 discs wide, so of each 0.5 wide stripe the discs at its two edges can be wrong: 0.07 of 0.25.
    right = np.abs(made.gaussians.base_colors[:, 0] - stripes(means)) < 0.12
    assert right.mean() > 0.75
    assert (made.sources < (~below_box(surface.means)).sum()).all()  # copied from the floor, not from the box
    assert "close 1 hole" in made.sentence


def test_adds_nothing_to_a_complete_floor() -> None:
    rng = np.random.default_rng(1)
    surface = floor(rng)
    made, _ = filled(surface, box(rng), np.zeros(len(surface), bool))
    assert len(made) == 0 and made.surfaces == 1
    assert "Nothing was hidden" in made.sentence


def test_adds_nothing_below_what_floats() -> None:
    rng = np.random.default_rng(2)
    surface = floor(rng)
    made, _ = filled(surface, box(rng, low=0.6), below_box(surface.means))
    assert len(made) == 0 and made.surfaces == 0
    assert "No surface" in made.sentence


def test_follows_a_dome() -> None:
    rng = np.random.default_rng(3)
    flat, thing = floor(rng), box(rng)
    points = flat.means.astype(float)
    points[:, 2] = dome(points)
    slopes = np.stack([0.4 * points[:, 0], 0.4 * points[:, 1], np.ones(len(points))], 1)
    normals = slopes / np.linalg.norm(slopes, axis=1, keepdims=True)
    surface = discs(points, normals, np.full(len(points), LIGHT), rng)
    made, hidden = filled(surface, thing, below_box(points))
    assert len(made) > 0.7 * len(hidden)
    means = made.gaussians.means.astype(float)
    # A plane would be off by the dome's height over the hole, 0.2 * 0.33² = 0.02; a quadratic fits it exactly.
    assert np.abs(means[:, 2] - dome(means)).max() < 0.006
    facing = quaternion_matrices(made.gaussians.quats)[:, :, 2]
    slopes = np.stack([0.4 * means[:, 0], 0.4 * means[:, 1], np.ones(len(means))], 1)
    wanted = slopes / np.linalg.norm(slopes, axis=1, keepdims=True)
    # Discs turn by cells, and the dome turns by 0.4 rad a unit, so by 0.03 in a cell.
    assert np.degrees(np.arccos((facing * wanted).sum(1).clip(-1, 1))).max() < 3


def dome(points: np.ndarray) -> np.ndarray:
    return np.asarray(-0.2 * (points[:, 0] ** 2 + points[:, 1] ** 2))


def test_fills_floor_and_wall_and_stays_before_the_wall() -> None:
    rng = np.random.default_rng(4)
    ground = floor(rng)
    ground = ground.take(np.flatnonzero(ground.means[:, 1] < 0.38))
    points = floor(rng).means[:, [0, 2, 1]].astype(float) + np.array([0, 0.38, 1.5])
    wall = discs(points, np.broadcast_to(-np.eye(3)[1], points.shape), np.full(len(points), 0.9), rng)
    surface = joined([ground, wall])
    behind = (np.abs(points[:, 0]) < 0.3) & (points[:, 2] < 0.6)
    hidden = np.concatenate([below_box(ground.means) | (ground.means[:, 1] > 0.3) & below_box(ground.means * (1, 0, 1)),
                             behind])  # fmt: skip
    made, _ = filled(surface, box(rng), hidden)
    assert made.surfaces == 2
    means = made.gaussians.means
    on_wall = made.gaussians.base_colors[:, 0] > 0.8
    assert on_wall.sum() > 0.7 * behind.sum()
    assert np.abs(means[on_wall, 1] - 0.38).max() < 1e-3
    assert (~on_wall).sum() > 0.7 * hidden[: len(ground)].sum()
    assert means[:, 1].max() < 0.38 + 1.5 * STEP  # half a cell is wider than half a disc


def test_remains_of_another_label_are_neither_surface_nor_copied() -> None:
    rng = np.random.default_rng(8)
    surface, thing = floor(rng), box(rng)
    under = below_box(surface.means)
    remains = discs(surface.means[under], np.broadcast_to(UP, (under.sum(), 3)), np.full(under.sum(), 0.05), rng)
    seen = surface.take(np.flatnonzero(~under))
    scene = joined([seen, remains, thing])
    labels = np.repeat([1, 7, 3], [len(seen), len(remains), len(thing)])
    assert len(fill(scene, labels == 3)) == 0  # without labels the floor looks complete
    made = fill(scene, labels == 3, labels)
    assert len(made) > 0.75 * under.sum() and (labels[made.sources] == 1).all()


def test_adds_nothing_for_next_to_nothing() -> None:
    surface = floor(np.random.default_rng(5))
    removed = np.zeros(len(surface), bool)
    removed[:3] = True
    assert len(fill(surface, removed)) == 0


def test_the_same_seed_gives_the_same_fill() -> None:
    rng = np.random.default_rng(6)
    surface, thing = floor(rng), box(rng)
    one, other = (filled(surface, thing, below_box(surface.means))[0] for _ in range(2))
    assert np.array_equal(one.gaussians.means, other.gaussians.means) and np.array_equal(one.sources, other.sources)


def test_colours_turn_as_the_rotation_says() -> None:
    rng = np.random.default_rng(7)
    sh = rng.normal(size=(5, 16, 3)).astype(np.float32)
    directions = rng.normal(size=(2, 3))
    rotations = turns(UP, directions / np.linalg.norm(directions, axis=1, keepdims=True))
    which = np.array([0, 1, 1, 0, 1])
    turned = turned_harmonics(sh, rotations, which)
    for k, number in enumerate(which):
        assert np.allclose(turned[k], rotation_matrix(rotations[number], 16) @ sh[k], atol=1e-5)  # float32
