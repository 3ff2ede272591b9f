"""Gives true masks the usual faults of an automatic mask generator.

Every view gets faults of its own. Masks are missed, objects split, siblings merged, parts not found and borders shaken,
and ids mean nothing in another view. Maps stay nested: a fine id lies in one coarse id.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class FaultRates:
    """Probability of each fault per mask and view; borders in pixels of a 640 px wide picture."""

    missed: tuple[float, float, float]  # unlabelled, at this level and finer
    split: tuple[float, float]  # cut in two by a line, groups and objects
    merged: tuple[float, float, float]  # one mask together with a sibling
    undivided: float  # an object found, its parts not
    border: float  # how far borders wander
    fewest_pixels: float  # smaller masks are not found (of a 640 x 480 picture)


NOISE_STRENGTH = (
    FaultRates((0, 0, 0), (0, 0), (0, 0, 0), 0, 0, 0),
    FaultRates((0.02, 0.03, 0.05), (0.02, 0.04), (0.0, 0.04, 0.06), 0.08, 1.0, 30),
    FaultRates((0.03, 0.06, 0.10), (0.04, 0.08), (0.02, 0.08, 0.12), 0.15, 2.0, 60),
    FaultRates((0.06, 0.12, 0.20), (0.08, 0.16), (0.05, 0.16, 0.24), 0.30, 3.5, 120),
)


def with_faults(truth: np.ndarray, noise: int, rng: np.random.Generator) -> np.ndarray:
    """Nested maps with ids local to the view, int32 [3, H, W], from truth int32 [3, H, W]; noise 0 to 3."""
    rates = NOISE_STRENGTH[noise]
    scale = truth.shape[2] / 640
    shaken = _shake(truth, rates.border * scale, rng)
    maps: list[np.ndarray] = []
    for level in range(3):
        ids = shaken[level]
        if level == 2:
            ids = _undivided(ids, shaken[1], rates.undivided, rng)
        ids = _merge(ids, shaken[level - 1] if level else np.zeros_like(ids), rates.merged[level], rng)
        if level < 2:
            ids = _split(ids, rates.split[level], rng)
        coarse = maps[-1] if maps else (ids > 0).astype(np.int64)
        ids = _number(np.where(coarse > 0, ids, 0), coarse)
        ids = _drop(ids, rates.missed[level], rates.fewest_pixels * scale * scale, rng)
        maps.append(_renumbered(ids, rng))
    return np.stack(maps).astype(np.int32)


def _shake(truth: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray:
    """Look every pixel up at a place nearby: smooth wander plus a pixel of roughness, the same for all levels."""
    if reach <= 0:
        return truth
    shape = truth.shape[1:]
    wander = [ndimage.gaussian_filter(rng.normal(size=shape), 6 * max(1.0, reach)) for _ in range(2)]
    step = [w / max(float(w.std()), 1e-9) * reach * 0.6 + rng.normal(0, 0.35 * reach, shape) for w in wander]
    ys, xs = np.mgrid[0 : shape[0], 0 : shape[1]]
    ys = (ys + step[0]).round().astype(int).clip(0, shape[0] - 1)
    xs = (xs + step[1]).round().astype(int).clip(0, shape[1] - 1)
    return truth[:, ys, xs]


def _present(ids: np.ndarray) -> np.ndarray:
    found = np.unique(ids)
    return found[found > 0]


def _undivided(parts: np.ndarray, objects: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """All parts of an object become its first one, or nothing at all."""
    out = parts.copy()
    for number in _present(objects):
        if rng.random() < rate:
            inside = objects == number
            out[inside] = parts[inside].max() if rng.random() < 0.6 else 0
    return out


def _merge(ids: np.ndarray, parent: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Some masks take the id of a sibling that they touch."""
    out = ids.copy()
    for number in _present(ids):
        if rng.random() >= rate:
            continue
        inside = ids == number
        around = ndimage.binary_dilation(inside, iterations=2) & ~inside & (ids > 0)
        above = parent[inside].max()
        beside = ids[around & (parent == above)]
        if len(beside):
            out[out == number] = np.bincount(beside).argmax()
    return out


def _split(ids: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Some masks are cut by a straight line near their middle."""
    out, spare = ids.copy(), int(ids.max()) + 1
    for number in _present(ids):
        if rng.random() < rate:
            ys, xs = np.nonzero(ids == number)
            angle = rng.uniform(0, np.pi)
            along = xs * np.cos(angle) + ys * np.sin(angle)
            far = along > np.quantile(along, rng.uniform(0.3, 0.7))
            out[ys[far], xs[far]] = spare
            spare += 1
    return out


def _number(ids: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """One id for each pair of id and coarser mask, so that the result nests; 0 stays."""
    _, pairs = np.unique(coarse.astype(np.int64) * (int(ids.max()) + 1) + ids, return_inverse=True)
    return np.where(ids > 0, pairs.reshape(ids.shape) + 1, 0)


def _drop(ids: np.ndarray, rate: float, fewest: float, rng: np.random.Generator) -> np.ndarray:
    """Masks missed by chance or for their size become unlabelled."""
    counts = np.bincount(ids.ravel())
    gone = (rng.random(len(counts)) < rate) | (counts < fewest)
    return np.where(gone[ids], 0, ids)


def _renumbered(ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ids 1..K in random order."""
    found = _present(ids)
    table = np.zeros(int(ids.max()) + 1, np.int64)
    table[found] = rng.permutation(len(found)) + 1
    return table[ids]
