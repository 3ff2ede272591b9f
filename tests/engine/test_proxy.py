"""Proxies of solids of known shape: closed, few faces, at the right place, without floaters."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.proxy import ProxyConfig, proxy_of
from bgs_engine.cutouts.simplify import simplified
from bgs_engine.cutouts.solid import Solid, manifold, solid_of
from bgs_engine.cutouts.surface import Mesh, surface_of
from tests.helpers.made_solids import distance_from, made_gaussians, solid, together

BOX, BALL = solid("box", 1, 0.6, 0.8), solid("sphere", 1, 1, 1)
VOLUMES = {"box": 0.48, "sphere": np.pi / 6}


def points_on(mesh: Mesh, count: int = 20_000) -> np.ndarray:
    """Random points on the faces, [count, 3]."""
    rng = np.random.default_rng(0)
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(area), count, p=area / area.sum())
    u, v = np.sort(rng.random((2, count)), axis=0)
    return a[face] + u[:, None] * (b - a)[face] + (v - u)[:, None] * (c - a)[face]


def pieces(mesh: Mesh) -> int:
    """The number of connected pieces: by Euler's formula, if each is like a ball."""
    return (len(mesh.vertices) - len(mesh.edges()) + len(mesh.faces)) // 2


@pytest.mark.parametrize("primitive", [BOX, BALL], ids=lambda p: p.kind)
@pytest.mark.parametrize(("count", "faces"), [(10_000, 2000), (30_000, 500)])
def test_a_solid_becomes_a_closed_mesh_at_its_place(primitive, count, faces) -> None:
    mesh = proxy_of(made_gaussians(primitive, count), ProxyConfig(faces=faces))
    assert mesh.is_closed() and pieces(mesh) == 1
    assert 0.95 * faces <= len(mesh.faces) <= faces
    # With 64 cells along the longest side, a shift of the surface by 0.6 cells is 5 % of the volume of the box.
    assert mesh.volume() == pytest.approx(VOLUMES[primitive.kind], rel=0.05)
    cell = 1 / 64
    there = points_on(mesh)
    assert np.quantile(distance_from(primitive, there), 0.95) < 2 * cell
    truth = made_gaussians(primitive, 2000, seed=5).means
    back = np.concatenate([np.linalg.norm(one[:, None] - there, axis=2).min(1) for one in np.array_split(truth, 40)])
    assert np.quantile(back, 0.95) < 2 * cell


def test_the_size_of_the_scene_does_not_matter() -> None:
    small = made_gaussians(BOX, 3000)
    large = replace(small, means=small.means * 1000 + 50_000, scales=small.scales * 1000)
    one, other = (proxy_of(g, ProxyConfig(faces=600)) for g in (small, large))
    assert len(one.faces) == len(other.faces)
    assert other.volume() == pytest.approx(one.volume() * 1e9, rel=0.01)


def test_faces_look_outwards() -> None:
    mesh = proxy_of(made_gaussians(BALL, 3000), ProxyConfig())
    assert (np.einsum("ij,ij->i", mesh.normals(), mesh.vertices) > 0).all()


def test_floaters_and_faint_haze_are_left_out() -> None:
    ball, rng = made_gaussians(BALL, 5000), np.random.default_rng(1)
    count = 60
    floaters = ball.take(np.arange(count))
    floaters = replace(floaters, means=rng.uniform(-4, 4, (count, 3)).astype(np.float32))
    far = np.linalg.norm(floaters.means, axis=1) > 0.7
    haze = made_gaussians(solid("sphere", 1.6, 1.6, 1.6), 500)
    haze = replace(haze, opacities=np.full(500, 0.05, np.float32))
    mesh = proxy_of(together(ball, floaters.take(np.flatnonzero(far)), haze), ProxyConfig())
    assert np.abs(mesh.vertices).max() < 0.55
    assert mesh.volume() == pytest.approx(VOLUMES["sphere"], rel=0.04)


def test_one_huge_floater_is_left_out() -> None:
    ball = made_gaussians(BALL, 5000)
    huge = ball.take(np.arange(3))
    far = np.array([[4, 0, 0], [4.1, 0, 0], [4, 0.1, 0]], np.float32)
    huge = replace(huge, means=far, scales=np.full((3, 3), 0.4, np.float32))
    assert np.abs(proxy_of(together(ball, huge), ProxyConfig()).vertices).max() < 0.55


def test_two_pieces_of_one_object_are_both_kept() -> None:
    one = made_gaussians(solid("sphere", 0.5, 0.5, 0.5), 3000)
    other = replace(one, means=one.means + np.float32(0.8))
    mesh = proxy_of(together(one, other), ProxyConfig())
    assert mesh.is_closed() and pieces(mesh) == 2
    assert mesh.volume() == pytest.approx(2 * np.pi / 6 * 0.5**3, rel=0.08)  # each ball has only 20 cells


def test_a_sheet_becomes_a_thin_closed_slab() -> None:
    mesh = proxy_of(made_gaussians(solid("plane", 1, 1, 0), 5000), ProxyConfig())
    assert mesh.is_closed() and pieces(mesh) == 1
    thickness = np.ptp(mesh.vertices[:, 2])
    assert 1 / 64 < thickness < 4 / 64
    assert np.ptp(mesh.vertices[:, 0]) == pytest.approx(1, abs=4 / 64)


def test_an_open_bowl_stays_hollow_and_a_torus_keeps_its_hole() -> None:
    ball = made_gaussians(BALL, 20_000)
    bowl = proxy_of(ball.take(np.flatnonzero(ball.means[:, 2] < 0)), ProxyConfig(faces=3000))
    assert bowl.is_closed() and bowl.volume() < 0.4 * np.pi / 12
    ring = proxy_of(made_gaussians(solid("torus", 1, 1, 0.25), 10_000), ProxyConfig())
    assert ring.is_closed() and pieces(ring) == 0  # Euler's number of a torus


def test_a_small_hole_is_closed() -> None:
    ball = made_gaussians(BALL, 20_000)
    opened = ball.take(np.flatnonzero(~((ball.means[:, 2] > 0) & (np.hypot(*ball.means[:, :2].T) < 0.02))))
    mesh = proxy_of(opened, ProxyConfig())  # the hole is two and a half cells wide, and the discs reach into it
    assert pieces(mesh) == 1 and mesh.volume() > 0.96 * np.pi / 6


def test_a_diffuse_wall_is_as_solid_as_a_dense_one() -> None:
    rng, ball = np.random.default_rng(2), made_gaussians(BALL, 30_000)
    inwards = ball.means * rng.uniform(0.85, 1.0, (len(ball), 1)).astype(np.float32)
    mist = replace(ball, means=inwards, opacities=np.full(len(ball), 0.25, np.float32))
    mesh = proxy_of(mist, ProxyConfig())
    assert mesh.is_closed() and pieces(mesh) == 1
    assert mesh.volume() > 0.7 * np.pi / 6


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_gaussians(count) -> None:
    g = made_gaussians(BALL, count)
    mesh = proxy_of(replace(g, scales=np.full((count, 3), 0.2, np.float32)), ProxyConfig(faces=100))
    assert mesh.is_closed() and 4 <= len(mesh.faces) <= 100


def test_nothing_to_see_has_no_proxy() -> None:
    ball = made_gaussians(BALL, 100)
    for empty in (replace(ball, opacities=np.zeros(100, np.float32)), replace(ball, valid=np.zeros(100, bool)),
                  ball.take(np.zeros(0, int))):  # fmt: skip
        with pytest.raises(UsageError, match="too thin or too transparent"):
            proxy_of(empty, ProxyConfig())


def test_every_pattern_of_eight_nodes_becomes_a_manifold() -> None:
    for pattern in itertools.product((False, True), repeat=8):
        inside = np.zeros((6, 6, 6), bool)
        inside[2:4, 2:4, 2:4] = np.reshape(pattern, (2, 2, 2))
        if inside.any():
            nodes = manifold(inside)
            assert (nodes | ~inside).all()  # nodes are only added
            value = nodes.astype(np.float32)
            mesh = surface_of(Solid(nodes, value, value, np.zeros(3), 1.0))
            assert mesh.is_closed()
            assert len(mesh.vertices) - len(mesh.edges()) + len(mesh.faces) == 2


def test_random_nodes_become_a_manifold_that_can_be_simplified() -> None:
    rng = np.random.default_rng(3)
    inside = np.zeros((24, 24, 24), bool)
    inside[2:-2, 2:-2, 2:-2] = rng.random((20, 20, 20)) < 0.5
    nodes = manifold(inside)
    value = nodes.astype(np.float32)
    mesh = surface_of(Solid(nodes, value, value, np.zeros(3), 1.0))
    assert mesh.is_closed()
    few = simplified(mesh, 500)
    assert few.is_closed() and len(few.faces) < len(mesh.faces) / 2
    holes = len(mesh.vertices) - len(mesh.edges()) + len(mesh.faces)
    assert len(few.vertices) - len(few.edges()) + len(few.faces) == holes  # no handle is lost, no piece split


def test_simplifying_keeps_flat_sides_and_corners() -> None:
    inside = np.zeros((30, 30, 30), bool)
    inside[5:25, 5:25, 5:25] = True
    value = inside.astype(np.float32)
    mesh = surface_of(Solid(inside, value, value, np.zeros(3), 1.0))
    few = simplified(mesh, 100)
    assert len(few.faces) <= 100 and few.volume() == pytest.approx(mesh.volume(), rel=0.01)
    assert simplified(few, 100) is not few and len(simplified(few, 10_000).faces) == len(few.faces)


def test_the_grid_has_the_chosen_number_of_cells() -> None:
    for detail in (20, 50):
        found = solid_of(made_gaussians(BOX, 5000), detail)
        assert found is not None
        assert 1 / found.cell == pytest.approx(detail, rel=0.15)  # the discs reach a little beyond the box
