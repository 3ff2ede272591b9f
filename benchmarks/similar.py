"""How well copies of a thing are found among all things of made rooms, and how long a million Gaussians take.

    python benchmarks/similar.py [--seeds 3] [--gaussians 60000] [--save]

Some objects of each made room are placed again: once to four times, moved, turned about the vertical, and made of
Gaussians of their own. A third of the copies lies on its side. Two more are decoys: half as large again, or in another
colour. Labels are the true objects, or ("spoilt") 1.5 % of the Gaussians have the label of another one. Every object
that has copies is asked for in turn. precision, recall = means over the asked objects of the shares of found copies
and of copies found, at the likeness that counts as alike. Objects that a room itself has twice are copies too. Those of
one form in slightly other colours count for nothing. Floors and walls are not asked for; finding one is wrong.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bgs_engine.likeness.copies import copies
from bgs_engine.likeness.likeness import ALIKE, likeness
from bgs_engine.likeness.signature import Signatures, signatures
from bgs_engine.made_scenes.builder import Piece
from bgs_engine.made_scenes.rooms import Rooms
from bgs_engine.made_scenes.scene import KINDS
from bgs_engine.made_scenes.shapes import Primitive
from bgs_engine.made_scenes.splat import Splat, make_splat

RESULTS = Path(__file__).parent / "results" / "similar.txt"
CASES = ("room", "crowded", "repeated", "apart", "thin", "see_through")
SPOILT = 0.015
COPIED = 6  # objects of each room
OBJECT = 1  # column of the true labels
SAME_SIZE, NEAR_SIZE = 1e-6, 0.25  # differences of copies, and of what counts for nothing; see `_differences`
SAME_COLOR, NEAR_COLOR = 0.03, 0.3
HEAD = f"{'':22}{'objects':>9}{'asked':>7}{'precision':>11}{'recall':>8}"


@dataclass(frozen=True)
class Case:
    """A splat, its labels from 0, and what is true: [K, K] 1 = copies, 0 = not, -1 = counts for nothing."""

    name: str
    splat: Splat
    labels: np.ndarray
    truth: np.ndarray
    asked: np.ndarray


def with_copies(rooms: Rooms, rng: np.random.Generator) -> tuple[Rooms, list[int], list[int]]:
    """The room with copies of some objects, the copies that lie on their side, and the decoys by their place from 0."""
    pieces, on_side, decoys = list(rooms.pieces), [], []
    objects: dict[int, list[Piece]] = {}
    for piece in pieces:
        if not piece.shell:
            objects.setdefault(piece.labels[OBJECT], []).append(piece)
    last = max(piece.labels[OBJECT] for piece in pieces)
    for number in rng.permutation(sorted(objects))[:COPIED].tolist():
        for k in range(int(rng.integers(1, 5)) + 2):
            last += 1
            decoy = ("larger", "recoloured")[k] if k < 2 else ""
            turn, move = rng.uniform(0, 2 * np.pi), (*rng.uniform(-2, 2, 2), rng.uniform(0, 0.4))
            pieces += [_placed(piece, objects[number], turn, move, last, decoy) for piece in objects[number]]
            if decoy:
                decoys.append(last - 1)
            elif rng.random() < 1 / 3:
                on_side.append(last)
    return Rooms(pieces, rooms.room, rooms.centers), on_side, decoys


def _placed(piece: Piece, thing: list[Piece], turn: float, move: tuple[float, ...], number: int, decoy: str) -> Piece:
    middle = np.mean([one.primitive.center for one in thing], 0)
    old, grow = piece.primitive, 1.5 if decoy == "larger" else 1.0
    c, s = np.cos(turn), np.sin(turn)
    x, y, z = (np.array(old.center) - middle) * grow
    center = np.array([c * x - s * y, s * x + c * y, z]) + middle * (0, 0, 1) + move
    change: dict = {"center": tuple(center.tolist()), "yaw": old.yaw + turn}
    change |= {"size": tuple(grow * v for v in old.size), "cell": grow * old.cell}
    if decoy == "recoloured":
        change["color"] = (old.color[1], old.color[2], old.color[0])
        if old.color_2 is not None:
            change["color_2"] = (old.color_2[1], old.color_2[2], old.color_2[0])
    labels = (piece.labels[0], number, piece.labels[2])
    return Piece(replace(old, **change), labels, False)


def made(kind: str, seed: int, count: int, spoil: float) -> Case:
    """A made room with copies and its true labels, of which a share is spoilt."""
    rng = np.random.default_rng(seed)
    rooms, on_side, decoys = with_copies(KINDS[kind](rng), rng)
    splat = make_splat(rooms, count, rng)
    labels = splat.labels[:, OBJECT].copy()
    means = splat.means.copy()
    for number in on_side:
        rows = labels == number
        means[rows] = means[rows][:, [1, 2, 0]]
    floaters = labels == 0
    wrong = floaters | (rng.random(count) < spoil)
    labels[wrong] = rng.choice(labels[~floaters], int(wrong.sum()))
    truth = _truth(rooms.pieces, decoys)
    shell = np.zeros(len(truth), bool)
    shell[[piece.labels[OBJECT] - 1 for piece in rooms.pieces if piece.shell]] = True
    asked = np.flatnonzero(~shell & ((truth == 1).sum(1) > 1))
    name = f"{kind}-{seed} {'spoilt' if spoil else 'true'}"
    return Case(name, replace(splat, means=means), labels - 1, truth, asked)


def _truth(pieces: list[Piece], decoys: list[int]) -> np.ndarray:
    """What counts as a copy, from the forms and colours of the pieces alone."""
    count = max(piece.labels[OBJECT] for piece in pieces)
    things: list[list[Primitive]] = [[] for _ in range(count)]
    for piece in pieces:
        things[piece.labels[OBJECT] - 1].append(piece.primitive)
    for thing in things:
        thing.sort(key=lambda one: (one.kind, one.texture, *np.round(one.size, 3), *one.color))
    out = np.zeros((count, count), int)
    for a in range(count):
        for b in range(a + 1):
            size, color = _differences(things[a], things[b])
            if size < SAME_SIZE and color < SAME_COLOR and (a == b or not {a, b} & set(decoys)):
                out[a, b] = out[b, a] = 1
            elif size < NEAR_SIZE and color < NEAR_COLOR:
                out[a, b] = out[b, a] = -1
    return out


def _differences(one: list[Primitive], other: list[Primitive]) -> tuple[float, float]:
    """Of two things: the largest difference of an extent, relative to the largest extent, and that of the colours.

    The colour's is the mean over the pieces, by their areas, of the channel that differs most.
    """
    if [(p.kind, p.texture) for p in one] != [(p.kind, p.texture) for p in other]:
        return np.inf, np.inf
    sizes = np.array([p.size for p in one]) - np.array([p.size for p in other])
    colors = np.array([p.color for p in one]) - np.array([p.color for p in other])
    areas = np.array([p.area for p in one])
    relative = np.abs(sizes).max() / max(max(p.size) for p in one)
    return float(relative), float(np.average(np.abs(colors).max(1), weights=areas))


def signatures_of(case: Case) -> Signatures:
    """The signatures of the objects."""
    splat = case.splat
    columns = (splat.means, splat.scales, splat.opacities, splat.colors)
    means, scales, opacities, colors = (column.astype(np.float32) for column in columns)
    return signatures(means, scales, opacities, colors, case.labels, len(case.truth))


def scores(case: Case) -> tuple[float, float]:
    """Mean precision and recall."""
    found, precision, recall = signatures_of(case), [], []
    for one in case.asked.tolist():
        alike = likeness(found, np.array([one])) >= ALIKE
        truth = case.truth[one].copy()
        truth[one], alike[one] = -1, False
        right = (alike & (truth == 1)).sum()
        precision.append(right / max(1, (alike & (truth >= 0)).sum()) if alike.any() else 1.0)
        recall.append(right / (truth == 1).sum())
    return float(np.mean(precision)), float(np.mean(recall))


def group_scores(case: Case) -> tuple[float, float]:
    """Means over the objects that have copies: shares of right members of their group, and of copies in it."""
    groups, precision, recall = copies(signatures_of(case)), [], []
    for one in case.asked.tolist():
        same = (groups == groups[one]) & (groups[one] >= 0)
        truth = case.truth[one].copy()
        truth[one], same[one] = -1, False
        right = int((same & (truth == 1)).sum())
        precision.append(right / max(1, int((same & (truth >= 0)).sum())) if same.any() else 1.0)
        recall.append(right / int((truth == 1).sum()))
    return float(np.mean(precision)), float(np.mean(recall))


def table(seeds: int, count: int) -> Iterator[str]:
    """A head, the cases, their means, and the times of a million Gaussians."""
    yield HEAD
    every, grouped = [], []
    for kind in CASES:
        for spoil in (0.0, SPOILT):
            for seed in range(1, seeds + 1):
                case = made(kind, seed, count, spoil)
                precision, recall = scores(case)
                every.append((precision, recall))
                grouped.append(group_scores(case))
                yield f"{case.name:<22}{len(case.truth):>9}{len(case.asked):>7}{precision:>11.3f}{recall:>8.3f}"
    precision, recall = np.mean(every, 0)
    yield f"{'mean':<38}{precision:>11.3f}{recall:>8.3f}"
    precision, recall = np.mean(grouped, 0)
    yield f"{'mean of groups of copies':<38}{precision:>11.3f}{recall:>8.3f}"
    yield timing()


def timing() -> str:
    """How long a million Gaussians in 500 labels take."""
    rng, count, labels = np.random.default_rng(0), 1_000_000, 500
    of = rng.integers(0, labels, count)
    means = (rng.normal(0, 1, (count, 3)) + 10 * of[:, None]).astype(np.float32)
    scales, opacities = rng.uniform(0.01, 0.1, (count, 3)).astype(np.float32), rng.random(count).astype(np.float32)
    colors, made_in, asked_in = rng.random((count, 3)).astype(np.float32), [], []
    for _ in range(5):
        started = time.perf_counter()
        found = signatures(means, scales, opacities, colors, of, labels)
        middle = time.perf_counter()
        likeness(found, np.array([7]))
        made_in.append(1000 * (middle - started))
        asked_in.append(1000 * (time.perf_counter() - middle))
    times = f"signatures {min(made_in):.0f} ms, a question {min(asked_in):.1f} ms"
    return f"1,000,000 Gaussians, 500 labels, best of 5: {times}"


def main() -> None:
    """Print the table, and with --save keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gaussians", type=int, default=60_000)
    parser.add_argument("--save", action="store_true", help=f"keep the table in results/{RESULTS.name}")
    options = parser.parse_args()
    lines = []
    for line in table(options.seeds, options.gaussians):
        sys.stdout.write(line + "\n")
        lines.append(line)
    if options.save:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
