"""The graph of labels: who touches whom, who stands on whom, who lies inside whom, in rooms where that is known."""

import time

import numpy as np
import pytest

from bgs_engine.graph.label_graph import LabelGraph, label_graph
from bgs_engine.graph.nodes import upright
from bgs_engine.made_scenes.builder import Builder
from bgs_engine.made_scenes.rooms import Rooms, furnished_room, shell
from bgs_engine.made_scenes.splat import Splat, make_splat

GREY = (0.5, 0.5, 0.5)
UP = np.array([0.0, 0, 1])
NAMES = ("floor", "back", "left", "front", "right", "table", "cup", "book", "mug", "crate", "ball", "lamp", "pillar")


def made_room(seed: int) -> Splat:
    """A room with a table. On it are a cup, a book, and a mug on the book. A ball is in a crate. A lamp hangs."""
    b = Builder(np.random.default_rng(seed))
    shell(b, 4.0, 4.0)
    b.group()
    for pieces in (
        [("box", (0, 0, 0.7), (1.2, 0.8, 0.06)), ("box", (0, 0, 0.335), (0.3, 0.3, 0.67))],  # table
        [("cylinder", (-0.3, 0.1, 0.83), (0.16, 0.16, 0.2))],  # cup
        [("box", (0.3, 0, 0.81), (0.4, 0.3, 0.16))],  # book
        [("cylinder", (0.3, 0, 0.99), (0.16, 0.16, 0.2))],  # mug
        [  # an open crate, the ball does not reach its sides
            ("box", (-1.4, 1.2, 0.08), (0.7, 0.7, 0.16)),
            *(("box", (-1.4 + dx, 1.2 + dy, 0.3), (0.06 if dx else 0.7, 0.06 if dy else 0.7, 0.6))
              for dx, dy in ((-0.35, 0), (0.35, 0), (0, -0.35), (0, 0.35))),
        ],
        [("sphere", (-1.4, 1.2, 0.33), (0.34, 0.34, 0.34))],  # ball
        [("sphere", (0, 0, 1.6), (0.4, 0.4, 0.4))],  # lamp, 0.5 above the table
        [("box", (1.3, -1.2, 0.6), (0.3, 0.3, 1.2))],  # pillar, 0.55 from the walls
    ):  # fmt: skip
        b.thing()
        for number, (kind, center, size) in enumerate(pieces):
            b.part(kind, center, size, GREY, same=number > 0)  # type: ignore[arg-type]
    return make_splat(Rooms(b.pieces, (4.0, 4.0)), 40_000, np.random.default_rng(seed))


def graph_of(splat: Splat, labels: np.ndarray, turn: np.ndarray | None = None, unit: float = 1.0) -> LabelGraph:
    turn = np.eye(3) if turn is None else turn
    rows = splat.labels[:, 1] > 0
    means, scales = unit * splat.means @ turn.T + 100 * unit, unit * splat.scales
    columns = (means[rows].astype(np.float32), scales[rows].astype(np.float32), splat.opacities[rows])
    return label_graph(*columns, labels[rows] - 1, int(labels.max()), turn @ UP)


def named(pairs: np.ndarray) -> set[tuple[str, str]]:
    return {(NAMES[a], NAMES[b]) for a, b in pairs.tolist()}


STANDING = {
    ("back", "floor"), ("left", "floor"), ("front", "floor"), ("right", "floor"), ("table", "floor"),
    ("crate", "floor"), ("pillar", "floor"), ("cup", "table"), ("book", "table"), ("mug", "book"), ("ball", "crate"),
}  # fmt: skip
CORNERS = {("back", "left"), ("back", "right"), ("left", "front"), ("front", "right")}


@pytest.mark.parametrize(("seed", "unit"), [(0, 1.0), (1, 1.0), (2, 0.02), (3, 40.0)])
def test_what_touches_what_is_known(seed: int, unit: float) -> None:
    splat = made_room(seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0] if seed else np.eye(3)
    turn *= np.linalg.det(turn)
    graph = graph_of(splat, splat.labels[:, 1], turn, unit)
    assert named(graph.standing) == STANDING
    touching = {tuple(sorted(pair)) for pair in named(graph.pairs)}
    assert touching == {tuple(sorted(pair)) for pair in STANDING | CORNERS}
    assert ("ball", "crate") in named(graph.inside)
    walls = {("back"), ("left"), ("front"), ("right")}
    assert {pair for pair in named(graph.inside) if pair[1] not in walls} == {("ball", "crate")}
    areas = dict(zip(map(tuple, graph.pairs.tolist()), graph.areas, strict=True))
    edge = areas[(0, 1)]  # of the floor and a wall, 4 metres: about one cell wide
    assert 0.6 < edge / (4 * unit * graph.width) < 1.7
    book = areas[(5, 7)]  # 0.4 x 0.3, and the cells of its edge
    assert 0.08 < book / unit**2 < 0.3


def test_wrong_labels_hardly_change_the_graph() -> None:
    splat = made_room(4)
    labels, rng = splat.labels[:, 1].copy(), np.random.default_rng(4)
    wrong = rng.random(len(labels)) < 0.015
    labels[wrong] = rng.integers(1, labels.max() + 1, int(wrong.sum()))
    graph = graph_of(splat, labels)
    found = named(graph.standing)
    assert found >= STANDING
    assert len(found - STANDING) <= 2


def test_a_furnished_room_stands_on_its_floor() -> None:
    splat = make_splat(furnished_room(np.random.default_rng(1)), 60_000, np.random.default_rng(1))
    graph = graph_of(splat, splat.labels[:, 1])
    floor = np.arange(graph.count) == 0
    pillow = 29  # it is pressed into the bed, so the bed is beside it as much as below
    assert set(np.flatnonzero(~graph.above(floor)).tolist()) <= {0, pillow}
    assert {15, 16, 17} <= set(np.flatnonzero(graph.inside_of(np.arange(graph.count) == 14)).tolist())


def test_questions_to_a_graph() -> None:
    pairs = np.array([(0, 1), (1, 2), (2, 3)])
    graph = LabelGraph(4, pairs, np.ones(3), pairs[:, ::-1], np.array([(3, 2)]), np.ones(1), 0.1)

    def these(*numbers: int) -> np.ndarray:
        return np.isin(np.arange(4), numbers)

    assert graph.touching(these(1)).tolist() == these(0, 2).tolist()
    assert graph.above(these(1)).tolist() == these(2, 3).tolist()
    assert graph.below(these(2)).tolist() == these(0, 1).tolist()
    assert graph.inside_of(these(2)).tolist() == these(3).tolist()
    assert graph.grown(these(0)).tolist() == these(0, 1).tolist()
    assert graph.shrunk(these(0, 1, 2)).tolist() == these(0, 1).tolist()
    assert graph.shrunk(these(0, 1, 2, 3)).all() and not graph.grown(these()).any()


def test_odd_gaussians() -> None:
    rng = np.random.default_rng(0)
    means, scales, opacities = rng.normal(size=(50, 3)), np.full((50, 3), 0.1), np.ones(50)
    means[:5], scales[5:10], opacities[10:15] = np.nan, np.inf, 0
    means[15] = 1e30
    with np.errstate(all="raise", under="ignore"):
        graph = label_graph(means, scales, opacities, np.arange(50) % 3, 5, -UP)
        same = label_graph(np.ones((9, 3)), np.zeros((9, 3)), np.ones(9), np.arange(9) % 3, 3, UP)
        none = label_graph(means[:5], scales[:5], opacities[:5], np.zeros(5, int), 1, UP)
    assert graph.count == 5 and np.isfinite(graph.areas).all()
    assert len(none.pairs) == 0 and len(same.inside) == 0


def test_upright_turns_up_to_the_third_axis() -> None:
    for up in (UP, np.array([0, -1, 0]), np.array([0.3, 0.5, -2])):
        rotation = upright(up)
        np.testing.assert_allclose(rotation @ (up / np.linalg.norm(up)), UP, atol=1e-12)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


@pytest.mark.slow
def test_time_grows_about_linearly() -> None:
    rng, times = np.random.default_rng(0), []
    for count in (125_000, 500_000):
        of = rng.integers(0, 400, count)
        points = rng.uniform(-0.5, 0.5, (count, 3))
        points[np.arange(count), rng.integers(0, 3, count)] = rng.choice([-0.5, 0.5], count)
        places = points + np.stack([of % 20, of // 20, np.zeros(count)], 1) * 1.02
        scales = np.sqrt(2400 / count) * np.array([0.6, 0.8, 0.12]) * rng.lognormal(0, 0.6, (count, 1))
        best = np.inf
        for _ in range(3):
            started = time.process_time()
            label_graph(places, scales, np.ones(count), of, 400, UP)
            best = min(best, time.process_time() - started)
        times.append(best)
    assert times[1] < 8 * times[0]  # four times as many Gaussians
