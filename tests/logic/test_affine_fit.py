"""Which maps moved points: found where they are proven, and None where they are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgs_engine.core.quaternions import quaternion_matrices
from blender_bgs.logic.affine_fit import Hints, Move, find_moves
from blender_bgs.logic.transforms import transform_points

ROTATION = quaternion_matrices(np.array([[0.3, -0.7, 0.5, 0.4]]))[0]
LINEARS = {
    "turned": ROTATION,
    "even": 2.5 * ROTATION,
    "uneven": ROTATION @ np.diag((1.0, 2.0, 0.3)),
    "sheared": np.array([[1, 0.7, 0], [0, 1, 0], [0.2, 0, 1.5]]),
    "mirrored": np.diag((-1.0, 1, 1)),
}


def map_of(linear: np.ndarray, shift=(1.0, -2.0, 3.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, shift
    return matrix


def cloud(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def moved(points: np.ndarray, matrix: np.ndarray, rows=slice(None)) -> np.ndarray:
    """As Blender does it, in float32."""
    out = points.copy()
    out[rows] = points[rows] @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
    return out


def only(moves: list[Move] | None) -> Move:
    assert moves is not None and len(moves) == 1
    return moves[0]


def rows_of(move: Move) -> list[int]:
    assert move.rows is not None
    return sorted(move.rows.tolist())


@pytest.mark.parametrize("count", [5, 300, 20_000])
@pytest.mark.parametrize("kind", LINEARS)
def test_all_points_moved_by_any_map(kind: str, count: int) -> None:
    before, matrix = cloud(count), map_of(LINEARS[kind])
    move = only(find_moves(before, moved(before, matrix), Hints()))
    assert move.rows is None
    # rounding of float32, times the spread of five points that happen to be nearly flat
    assert np.abs(move.matrix - matrix).max() < 2e-5


@pytest.mark.parametrize("kind", LINEARS)
def test_a_selection_moved(kind: str) -> None:
    before, rows, matrix = cloud(1000), np.arange(300, 420), map_of(LINEARS[kind])
    move = only(find_moves(before, moved(before, matrix, rows), Hints()))
    assert rows_of(move) == rows.tolist()
    assert np.abs(move.matrix - matrix).max() < 1e-5


def test_nothing_moved() -> None:
    assert find_moves(cloud(10), cloud(10), Hints()) == []


def test_points_that_stayed_on_a_mirror_plane_belong_to_the_map_of_all() -> None:
    before = cloud(500)
    before[:200, 0] = 0
    mirror = map_of(np.diag((-1.0, 1, 1)), (0, 0, 0))
    assert only(find_moves(before, moved(before, mirror), Hints())).rows is None
    # Of a selection they belong to it only if they are selected. Without a selection nobody knows.
    after = moved(before, mirror, np.arange(100, 300))
    assert find_moves(before, after, Hints()) is None
    selected = np.zeros(500, bool)
    selected[100:300] = True
    assert rows_of(only(find_moves(before, after, Hints(selected=selected)))) == list(range(100, 300))


def test_far_points_do_not_hide_an_edit_of_near_ones() -> None:
    before = cloud(2000)
    before[:50] *= 1e5  # floaters, as captures have them: their rounding error is larger than the edit below
    rows = np.arange(100, 130)
    before[rows] *= 1e-3
    turn = map_of(ROTATION, (0, 0, 0))
    move = only(find_moves(before, moved(before, turn, rows), Hints()))
    assert rows_of(move) == rows.tolist() and np.abs(move.matrix[:3, :3] - ROTATION).max() < 1e-4


def test_far_points_do_not_spoil_the_map_of_all() -> None:
    before = cloud(2000)
    before[:50] *= 1e5
    matrix = map_of(LINEARS["uneven"])
    assert np.abs(only(find_moves(before, moved(before, matrix), Hints())).matrix - matrix).max() < 1e-5


@pytest.mark.parametrize("edit", ["bent", "one point more", "noise", "not finite", "flattened", "two selections"])
def test_what_no_map_explains(edit: str) -> None:
    before = cloud(1000)
    after = moved(before, map_of(ROTATION))
    if edit == "bent":
        after = before.copy()
        after[:, 2] += 0.01 * before[:, 0] ** 2
    elif edit == "one point more":
        after[500, 1] += 1e-3
    elif edit == "noise":
        after += np.random.default_rng(1).normal(size=after.shape).astype(np.float32) * np.float32(1e-3)
    elif edit == "not finite":
        after[3, 0] = np.nan
    elif edit == "flattened":
        after = moved(before, map_of(np.diag((1.0, 1, 0))))
    else:
        after = moved(before, map_of(ROTATION), slice(None, None, 3))
        after = np.where((np.arange(1000) % 3 == 1)[:, None], moved(before, map_of(2 * np.eye(3))), after)
    assert find_moves(before, after, Hints()) is None


def test_joined_objects_are_blocks_with_maps_of_their_own() -> None:
    sizes, before = (700, 300, 5, 40), cloud(1045)
    ends = np.cumsum(sizes)
    after = before.copy()
    maps = [np.eye(4), map_of(LINEARS["uneven"]), map_of(LINEARS["mirrored"]), map_of(LINEARS["even"], (0, 0, 9))]
    for end, size, matrix in zip(ends, sizes, maps, strict=True):
        after = moved(after, matrix, slice(end - size, end)) if end > 700 else after
    moves = find_moves(before, after, Hints())
    assert moves is not None and [len(rows_of(m)) for m in moves] == [300, 5, 40]
    for move, matrix in zip(moves, maps[1:], strict=True):
        assert np.abs(move.matrix - matrix).max() < 1e-4


def test_known_maps_explain_single_points() -> None:
    """Joined label objects of one Gaussian each: three points with three maps, known from the objects' matrices."""
    before = cloud(3)
    then = [map_of(LINEARS[kind], (k, 0, 5)) for k, kind in enumerate(("uneven", "mirrored", "turned"))]
    now = map_of(LINEARS["even"])
    known = [Move.between(world, now) for world in then]
    after = np.concatenate([moved(before[k : k + 1], known[k].matrix) for k in range(3)])
    assert find_moves(before, after, Hints()) is None
    moves = find_moves(before, after, Hints(moves=known))
    assert moves is not None and [rows_of(m) for m in moves] == [[0], [1], [2]]
    assert all(np.array_equal(m.matrix, k.matrix) for m, k in zip(moves, known, strict=True))


def test_few_points_prove_little() -> None:
    turn, shift = map_of(ROTATION), map_of(np.eye(3))
    one, two, three, four = (cloud(n) for n in (1, 2, 3, 4))
    # One point proves nothing, unless it is known that points were only moved.
    assert find_moves(one, moved(one, shift), Hints()) is None
    assert only(find_moves(one, moved(one, shift), Hints(one_point=True))).rows is None
    assert find_moves(two, moved(two, shift), Hints()) is not None
    assert find_moves(two, moved(two, turn), Hints()) is None  # how far about their line?
    line = np.linspace(0, 1, 50, dtype=np.float32)[:, None] * np.array([[1, 2, 3]], np.float32)
    assert find_moves(line, moved(line, turn), Hints()) is None
    assert find_moves(line, moved(line, shift), Hints()) is not None
    for points in (three, four):
        found = only(find_moves(points, moved(points, turn), Hints())).matrix
        assert np.abs(found - turn).max() < 1e-4
        assert find_moves(points, moved(points, map_of(LINEARS["uneven"])), Hints()) is None
    # Three points look alike turned and mirrored, four do not.
    assert find_moves(three, moved(three, turn), Hints(mirrored=True)) is None
    mirror = map_of(LINEARS["mirrored"])
    assert np.abs(only(find_moves(four, moved(four, mirror), Hints())).matrix - mirror).max() < 1e-4


def test_a_flat_set_of_points() -> None:
    flat = cloud(400)
    flat[:, 2] = 0.5
    turn = map_of(ROTATION)
    assert np.abs(only(find_moves(flat, moved(flat, turn), Hints())).matrix - turn).max() < 1e-5
    # Scaled across the plane nothing is known, so an uneven scale in the plane is not believed.
    assert find_moves(flat, moved(flat, map_of(np.diag((2.0, 1, 1)))), Hints()) is None
    known = Move(None, map_of(np.diag((2.0, 1, 7))))
    assert only(find_moves(flat, moved(flat, known.matrix), Hints(moves=[known]))).matrix is known.matrix


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_whatever_is_found_explains_every_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 200))
    before = (rng.normal(size=(count, 3)) * 10 ** rng.uniform(-3, 3)).astype(np.float32)
    linear = np.array(list(LINEARS.values()))[rng.integers(len(LINEARS))]
    rows = np.flatnonzero(rng.random(count) < rng.choice([0.3, 1.0]))
    after = moved(before, map_of(linear, rng.normal(size=3)), rows)
    moves = find_moves(before, after, Hints())
    if moves is None:
        assert len(rows) < 5  # five points in general position always prove it
        return
    explained = before.astype(np.float64)
    for move in moves:
        where = slice(None) if move.rows is None else move.rows
        explained[where] = transform_points(explained[where], move.matrix)
    sizes = np.abs(before).max() + np.abs(after).max()
    assert np.abs(explained - after).max() <= 1e-5 * sizes


def test_between_two_places_colours_follow_as_in_the_world() -> None:
    then, now = map_of(ROTATION @ np.diag((1.0, 2, 3))), map_of(np.diag((1.0, 2, 3)))
    move = Move.between(then, now)
    assert np.allclose(now @ move.matrix, then)
    assert move.turn is not None and np.allclose(
        move.turn, ROTATION
    )  # the polar part of diag⁻¹ R diag is another rotation
