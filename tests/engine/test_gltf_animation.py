"""Animated splats in GLB: nodes say where each splat is in every frame. The first one is the file without them."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.errors import InputError
from bgs_engine.formats import gltf
from bgs_engine.formats.gltf_animation import Actor, write_animation
from tests.helpers.glb_player import table, world_in
from tests.helpers.made_gltf import parts_of
from tests.helpers.made_raw_splat import raw_splat

SECONDS = np.array([0.0, 0.5, 1.0, 2.5])


def turn(angle: float, axis: str = "z") -> np.ndarray:
    out, (i, j) = np.eye(4), {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    out[i, i] = out[j, j] = np.cos(angle)
    out[i, j], out[j, i] = -np.sin(angle), np.sin(angle)
    return out


def shift(*by: float) -> np.ndarray:
    out = np.eye(4)
    out[:3, 3] = by
    return out


MOVES = np.array([
    np.eye(4), shift(1, 2, 3) @ turn(0.4), shift(2, 0, 1) @ turn(2.9, "x"), turn(4.0) @ np.diag((2, 2, 2, 1)),
])  # fmt: skip


@pytest.mark.parametrize("offset", [(0, 0, 0), (500_000, 0, -4_000_000)])
def test_nodes_are_where_the_splats_are_in_every_frame(tmp_path: Path, offset: tuple[float, float, float]) -> None:
    there, back = shift(*offset), shift(*np.negative(offset))
    moves = there @ MOVES @ back
    splat, other = raw_splat(40, 2, offset), raw_splat(7, 0)
    pivot = np.array(offset) + np.array((0.5, -0.3, 2))
    actors = [Actor("ball", splat, pivot, moves), Actor("floor", other, np.zeros(3), np.tile(np.eye(4), (4, 1, 1)))]
    write_animation(tmp_path / "walk.glb", actors, SECONDS)
    points = splat.means.astype(float) + splat.offset
    for frame in range(4):
        found = world_in(tmp_path / "walk.glb", "ball", frame)
        stored = splat.means.astype(float) @ found[:3, :3].T + found[:3, 3]
        want = points @ moves[frame][:3, :3].T + moves[frame][:3, 3]
        assert np.abs(stored - want).max() < 2e-6 * 8  # float32 of numbers up to 8
        assert np.array_equal(world_in(tmp_path / "walk.glb", "floor", frame), np.eye(4))


def test_a_reader_without_animation_sees_the_first_frame(tmp_path: Path) -> None:
    splat = raw_splat(40, 3)
    write_animation(tmp_path / "a.glb", [Actor("ball", splat, np.array([0.1, 0.2, 0.7]), MOVES)], SECONDS)
    gltf.write(tmp_path / "b.glb", splat)
    found, plain = gltf.read(tmp_path / "a.glb"), gltf.read(tmp_path / "b.glb")
    for name in ("means", "scales", "quats", "opacities", "sh"):
        assert np.array_equal(getattr(found, name), getattr(plain, name)), name


def test_what_does_not_move_has_no_animation(tmp_path: Path) -> None:
    still = np.tile(np.eye(4), (4, 1, 1))
    write_animation(tmp_path / "a.glb", [Actor("ball", raw_splat(9), np.ones(3), still)], SECONDS)
    made, _ = parts_of(tmp_path / "a.glb")
    assert "animations" not in made
    moves = still.copy()
    moves[2, 0, 3] = 1
    write_animation(tmp_path / "b.glb", [Actor("ball", raw_splat(9), np.ones(3), moves)], SECONDS)
    made, data = parts_of(tmp_path / "b.glb")
    assert [channel["target"]["path"] for channel in made["animations"][0]["channels"]] == ["translation"]
    clock = made["accessors"][made["animations"][0]["samplers"][0]["input"]]
    assert np.array_equal(table(made, data, made["animations"][0]["samplers"][0]["input"])[:, 0], SECONDS)
    assert clock["min"] == [0.0] and clock["max"] == [2.5]  # glTF asks for them


def test_a_full_turn_never_takes_the_long_way(tmp_path: Path) -> None:
    """Quaternions of neighbours lie on the same side, so that interpolation goes by the shorter arc."""
    seconds = np.arange(33) / 8
    moves = np.array([turn(angle, "y") for angle in np.linspace(0, 4 * np.pi, 33)])
    write_animation(tmp_path / "a.glb", [Actor("ball", raw_splat(9), np.zeros(3), moves)], seconds)
    made, data = parts_of(tmp_path / "a.glb")
    quats = table(made, data, made["animations"][0]["samplers"][0]["output"])
    assert quats.shape == (33, 4) and ((quats[1:] * quats[:-1]).sum(1) > 0.9).all()


@pytest.mark.parametrize(("matrix", "word"), [
    (turn(0.5) @ np.diag((1, 2, 1, 1)) @ turn(-0.5), "sheared"), (np.diag((-1.0, 1, 1, 1)), "mirrored"),
    (np.diag((0.0, 1, 1, 1)), "sheared"),
])  # fmt: skip
def test_what_nodes_cannot_say_is_refused_by_name(tmp_path: Path, matrix: np.ndarray, word: str) -> None:
    actor = Actor("ball", raw_splat(9), np.zeros(3), np.array([np.eye(4), matrix]))
    with pytest.raises(InputError, match=f"ball is {word} .* sequence"):
        write_animation(tmp_path / "a.glb", [actor], np.arange(2))
    assert not list(tmp_path.iterdir())


def test_uneven_scale_in_time_is_kept(tmp_path: Path) -> None:
    moves = np.array([np.eye(4), turn(0.5) @ np.diag((1, 2, 0.5, 1)), np.eye(4), np.eye(4)])
    write_animation(tmp_path / "a.glb", [Actor("ball", raw_splat(9), np.zeros(3), moves)], SECONDS)
    assert np.allclose(world_in(tmp_path / "a.glb", "ball", 1), moves[1], atol=1e-6)


def test_a_splat_without_drawable_gaussians_is_refused_by_name(tmp_path: Path) -> None:
    splat = raw_splat(3)
    splat.means[:] = np.nan
    with pytest.raises(InputError, match="ball has no Gaussian"):
        write_animation(tmp_path / "a.glb", [Actor("ball", splat, np.zeros(3), MOVES)], SECONDS)
