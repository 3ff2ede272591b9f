"""Names of labels, from the colours, sizes, shapes and places of their Gaussians: "small red box, left".

Copies of one thing are numbered: "red chair 1" to "red chair 6". Different things that the words do not tell apart get
letters: "small red box, left", "small red box, left B". The same Gaussians always get the same names.

Left, right, front and back are those of Blender's front view, in which x points to the right and up points upwards.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from bgs_engine.graph.nodes import upright
from bgs_engine.likeness.copies import copies
from bgs_engine.likeness.signature import signatures
from bgs_engine.naming.colors import color_word
from bgs_engine.naming.shapes import Scene, Shape, shape_of

SAMPLED = 400  # Gaussians of a label that are looked at
ALL_SAMPLED = 50_000  # of the scene
SOLID_OPACITY = 0.1  # fainter Gaussians are haze
TAIL = 0.02  # of the Gaussians at each end of each axis that the scene does not count
MOST = 2000  # labels of a level that get names; a list of more is nobody's, and names of copies compare them in pairs
FEWEST = 8  # Gaussians of a label that has a shape
# Diagonal of a label, relative to that of the scene, up to which a word holds.
SIZES = ((0.03, "tiny "), (0.09, "small "), (0.35, ""), (9e9, "large "))
SHELL = ("floor", "ceiling", "wall")  # never copies of each other: their place tells them apart
MIDDLE = 1 / 3  # of the half extent of the scene, which is "middle"


@dataclass(frozen=True)
class _Described:
    """stem: the words for size, colour and shape. where: the word for the place. place: the middle, upright, [3]."""

    stem: str
    where: str
    place: np.ndarray
    shape: str


def label_names(
    means: np.ndarray,
    scales: np.ndarray,
    opacities: np.ndarray,
    colors: np.ndarray,
    labels: np.ndarray,
    count: int,
    up: np.ndarray,
    taken: Collection[str] = (),
) -> list[str]:
    """The names of `count` labels of one level, all different.

    Beyond `MOST` labels, those of the fewest Gaussians get no name: "".

    Args:
        means: float [N, 3], scene units.
        scales: float [N, 3], scene units.
        opacities: float [N] in 0..1.
        colors: float [N, 3], sRGB; values outside 0..1 are cut.
        labels: int [N], from 0, below `count`.
        count: K.
        up: float [3], the direction upwards.
        taken: names that people gave to labels of the level; no label gets one of them.
    """
    if count > MOST:
        largest = np.argsort(-np.bincount(labels, minlength=count), kind="stable")[:MOST]
        number = np.full(count, -1)
        number[largest] = np.arange(MOST)
        rows = np.flatnonzero(number[labels] >= 0)
        columns = means[rows], scales[rows], opacities[rows], colors[rows], number[labels[rows]]
        names = np.full(count, "", object)
        names[largest] = label_names(*columns, MOST, up, taken)
        return list(names)
    turn = upright(up).T
    scene = _scene(means, opacities, turn)
    found = [
        _described(means[rows].astype(np.float64) @ turn, opacities[rows], colors[rows], scene)
        for rows in _samples(means, opacities, labels, count)
    ]
    groups = copies(signatures(means, scales, opacities, colors, labels, count))
    groups[[one.shape in SHELL for one in found]] = -1
    return _told_apart(found, groups, set(taken))


def _scene(means: np.ndarray, opacities: np.ndarray, turn: np.ndarray) -> Scene:
    with np.errstate(invalid="ignore"):
        solid = np.flatnonzero((opacities >= SOLID_OPACITY) & np.isfinite(means.sum(1)))
    if not len(solid):
        return Scene(np.zeros(3), np.ones(3))
    points = means[solid[:: max(1, len(solid) // ALL_SAMPLED)]].astype(np.float64) @ turn
    return Scene(*np.quantile(points, (TAIL, 1 - TAIL), axis=0))


def _samples(means: np.ndarray, opacities: np.ndarray, labels: np.ndarray, count: int) -> list[np.ndarray]:
    """Rows of each label, at most `SAMPLED` of its solid ones, spread over the file."""
    with np.errstate(invalid="ignore"):
        solid = np.flatnonzero((opacities >= SOLID_OPACITY) & np.isfinite(means.sum(1)))
    mine = labels[solid]
    order = solid[np.argsort(mine.astype(np.uint16 if count <= 1 << 16 else np.uint32), kind="stable")]
    ends = np.cumsum(np.bincount(mine, minlength=count))
    parts = np.split(order, ends[:-1]) if count else []
    return [part[np.linspace(0, len(part) - 1, min(len(part), SAMPLED)).astype(np.int64)] for part in parts]


def _described(points: np.ndarray, opacities: np.ndarray, colors: np.ndarray, scene: Scene) -> _Described:
    if not len(points):
        return _Described("empty label", "", np.zeros(3), "")
    weights = opacities.astype(np.float64)
    if len(points) < FEWEST:
        shape = Shape("speck", points.mean(0), float(np.linalg.norm(points.max(0) - points.min(0))))
    else:
        shape = shape_of(points, weights, scene)
    relative = shape.length / float(np.linalg.norm(scene.extent))
    size = next(word for most, word in SIZES if relative <= most)
    stem = f"{size}{color_word(colors, weights)} {shape.word}"
    return _Described(stem, _where(shape.place, scene), shape.place, shape.word)


def _where(place: np.ndarray, scene: Scene) -> str:
    """The word for a place: "front left", "back", "middle"."""
    x, y, _ = (place - (scene.low + scene.high) / 2) / (scene.extent / 2)
    words = ["front" if y < -MIDDLE else "back" if y > MIDDLE else "", "left" if x < -MIDDLE else ""]
    words.append("right" if x > MIDDLE else "")
    return " ".join(word for word in words if word) or "middle"


def _told_apart(found: list[_Described], groups: np.ndarray, people: set[str]) -> list[str]:
    names, taken = [""] * len(found), _Taken(people)
    for group in range(int(groups.max(initial=-1)) + 1):
        members = np.flatnonzero(groups == group).tolist()
        if len(members) < 2:  # the others are parts of the shell
            continue
        # Words of most of them; of equally many, the first in the alphabet.
        stems = [found[k].stem for k in members]
        usual = min(set(stems), key=lambda stem: (-stems.count(stem), stem))
        stem = taken.lettered(usual, tuple(f" {number}" for number in range(1, len(members) + 1)))
        members.sort(key=lambda k: (*np.round(found[k].place, 3).tolist(), k))  # from left to right
        for number, k in enumerate(members, 1):
            names[k] = f"{stem} {number}"
    single = [k for k in range(len(found)) if not names[k]]
    stems = [found[k].stem for k in single]
    for k in single:
        one = found[k]
        alone = not one.where or (one.shape in ("floor", "ceiling") and stems.count(one.stem) == 1)
        names[k] = taken.lettered(one.stem if alone else f"{one.stem}, {one.where}")
    return names


class _Taken:
    """The names in use. New ones get a letter where they are among them."""

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._tried: dict[tuple[str, tuple[str, ...]], int] = {}  # the last letter of a name; earlier ones stay taken

    def lettered(self, name: str, endings: tuple[str, ...] = ("",)) -> str:
        """The name, with a letter after it if it is taken with one of the endings. From then on it is taken."""
        number = self._tried.get((name, endings), 1)
        wanted = name if number == 1 else f"{name} {_letters(number)}"
        while any(wanted + ending in self._names for ending in endings):
            number += 1
            wanted = f"{name} {_letters(number)}"
        self._tried[name, endings] = number
        self._names.update(wanted + ending for ending in endings)
        return wanted


def _letters(number: int) -> str:
    """A to Z for 1 to 26, then AA, AB and so on."""
    out = ""
    while number:
        number, rest = divmod(number - 1, 26)
        out = chr(ord("A") + rest) + out
    return out
