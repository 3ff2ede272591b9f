"""Cages: what an affine move of all points does, the bits of what they leave alone, and Jacobians by differences."""

import numpy as np
import pytest

from bgs_engine.core.errors import InputError
from bgs_engine.core.harmonics import rotation_matrix, turned_each
from bgs_engine.core.quaternions import quaternion_matrices
from blender_bgs.logic import attributes as at
from blender_bgs.logic.bending import bent
from blender_bgs.logic.cage import Cage
from blender_bgs.logic.following import followed
from tests.helpers import made_splat
from tests.logic.test_affine_fit import LINEARS
from tests.logic.test_following import attributes_of

LOW, HIGH = np.array([-3.5, -1.5, -3.25]), np.array([3.25, 1.25, 3.5])


def cage_of(points: int) -> Cage:
    return Cage(points, LOW, HIGH)


def covariances(attributes: dict[str, np.ndarray]) -> np.ndarray:
    axes = quaternion_matrices(attributes[at.RAW_ROTATION]) * np.exp(attributes[at.RAW_SCALE])[:, None, :]
    return axes @ axes.transpose(0, 2, 1)


def bend(attributes: dict[str, np.ndarray], cage: Cage, moved: np.ndarray) -> dict[str, np.ndarray]:
    columns = bent(attributes.get, *cage.bend(attributes[at.POSITION].astype(float), moved))
    return {**attributes, **{c.name: c.values for c in columns}}


@pytest.mark.parametrize("points", [2, 3, 4])
def test_a_cage_at_rest_changes_nothing(points: int) -> None:
    rows, _ = made_splat.made_splat(per_object=30)
    attributes = attributes_of(rows)
    cage = cage_of(points)
    assert bent(attributes.get, *cage.bend(attributes[at.POSITION].astype(float), cage.rest())) == []


@pytest.mark.parametrize("points", [2, 3, 4])
@pytest.mark.parametrize("kind", LINEARS)
def test_an_affine_move_of_all_points_is_followed_as_every_affine_map(kind: str, points: int) -> None:
    rows, _ = made_splat.made_splat(per_object=30)
    rows["nx"], rows["nz"] = 0.6, 0.8
    attributes = attributes_of(rows)
    cage, matrix = cage_of(points), np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = LINEARS[kind], (1, -2, 0.5)
    moved = (cage.rest() @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    found = bend(attributes, cage, moved)

    def copied(name: str) -> np.ndarray | None:
        return attributes[name].copy() if name in attributes else None

    want = {**attributes, **{c.name: c.values for c in followed(copied, matrix)}}
    scale = np.abs(covariances(want)).max()
    assert np.allclose(covariances(found), covariances(want), atol=1e-5 * scale)
    for name in attributes:
        if name not in (at.SCALE, at.RAW_SCALE, at.ROTATION, at.RAW_ROTATION):
            assert np.allclose(found[name], want[name], atol=2e-5), name
    assert np.allclose(found[at.SCALE], np.exp(found[at.RAW_SCALE]))


@pytest.mark.parametrize("points", [2, 3, 4])
def test_jacobians_are_the_slopes_of_the_map(points: int) -> None:
    rng, cage = np.random.default_rng(0), cage_of(points)
    moved = (cage.rest() + rng.normal(0, 0.4, cage.rest().shape)).astype(np.float32)
    places = rng.uniform(LOW, HIGH, (200, 3))
    _, jacobians = cage.bend(places, moved)
    for axis in range(3):
        step = np.eye(3)[axis] * 1e-5
        ahead, behind = (cage.bend(places + s, moved)[0] + places + s for s in (step, -step))
        assert np.allclose((ahead - behind) / 2e-5, jacobians[:, :, axis], atol=1e-5)


def test_outside_of_the_box_the_map_goes_on_without_a_jump() -> None:
    rng, cage = np.random.default_rng(1), cage_of(4)
    moved = (cage.rest() + rng.normal(0, 0.4, cage.rest().shape)).astype(np.float32)
    edge = np.stack([np.full(50, HIGH[0]), *rng.uniform(-1, 1, (2, 50))], 1)
    inside, outside = (cage.bend(edge + np.array([s, 0, 0]), moved) for s in (-1e-7, 1e-7))
    assert np.allclose(inside[0], outside[0], atol=1e-5) and np.allclose(inside[1], outside[1], atol=1e-5)
    far = cage.bend(np.array([[300.0, 0, 0]]), moved)[0]
    assert np.abs(far).max() < 300  # a cubic would throw it millions of units away


def test_rows_without_a_change_keep_every_bit() -> None:
    rows, _ = made_splat.made_splat(per_object=60)
    rows["scale_0"][:5], rows["rot_0"][3] = np.inf, np.nan
    attributes = attributes_of(rows)
    count = len(rows)
    shifts, jacobians = np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1))
    shifts[100:], jacobians[100:] = 0.25, np.diag([1, 2, 3.0])
    found = {**attributes, **{c.name: c.values for c in bent(attributes.get, shifts, jacobians)}}
    for name, values in attributes.items():
        assert found[name][:100].tobytes() == values[:100].tobytes(), name
    assert (found[at.RAW_SCALE][100:] != attributes[at.RAW_SCALE][100:]).any(1).all()


def test_a_flat_cage_is_refused() -> None:
    attributes = attributes_of(made_splat.made_splat(per_object=30)[0])
    cage = cage_of(2)
    moved = cage.rest()
    moved[:, 2] = 0
    with pytest.raises(InputError, match="squeezes 120 Gaussians flat"):
        bend(attributes, cage, moved)


@pytest.mark.parametrize("rest", [3, 8, 15])
def test_colors_of_many_turn_as_those_of_one(rest: int) -> None:
    rng = np.random.default_rng(2)
    turns = quaternion_matrices(rng.normal(size=(20, 4)))
    turns[::2] *= -1  # reflections
    coefficients = rng.normal(size=(20, rest, 3))
    want = [rotation_matrix(turn, rest + 1)[1:, 1:] @ own for turn, own in zip(turns, coefficients, strict=True)]
    assert np.allclose(turned_each(coefficients, turns), want, atol=1e-9)


@pytest.mark.parametrize("points", [2, 3, 4])
def test_the_mesh_of_a_cage_is_closed_and_looks_outwards(points: int) -> None:
    cage = cage_of(points)
    faces, places = cage.faces(), cage.rest().astype(float)
    assert len(faces) == 6 * (points - 1) ** 2
    sides = np.concatenate([faces[:, [k, (k + 1) % 4]] for k in range(4)])
    there = {(a, b) for a, b in sides.tolist()}
    assert len(there) == len(sides) and there == {(b, a) for a, b in there}
    normals = np.cross(places[faces[:, 1]] - places[faces[:, 0]], places[faces[:, 2]] - places[faces[:, 0]])
    assert ((places[faces].mean(1) - (LOW + HIGH) / 2) * normals).sum(1).min() > 0
    assert {tuple(sorted(s)) for s in there} <= {tuple(e) for e in cage.edges().tolist()}
