"""Made scenes with straddlers, for benchmarks/cutouts.py, and the true objects in them.

A made splat has Gaussians that lie off their surface (`Splat.messy`). An optimiser also explains two things by one
Gaussian where they meet. Here a share of the neighbours of two objects is merged into one Gaussian with their common
mass, mean, covariance and colour. The truth is the splat before that, without messy Gaussians and floaters.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from bgs_engine.core.quaternions import quaternion_matrices
from bgs_engine.io.gaussians import SH_C0, Gaussians
from bgs_engine.made_scenes.scene import KINDS
from bgs_engine.made_scenes.splat import Splat, make_splat

OBJECTS = 1  # column of the true labels
NEIGHBOURS = 8
NEAR = 3.0  # times the larger width of two Gaussians: how far apart merged ones are at most
FEWEST = 100  # Gaussians of an object that is measured


@dataclass(frozen=True)
class Case:
    """A captured splat and the true one, each with the object of each Gaussian; the objects that can be seen alone."""

    name: str
    captured: Gaussians
    labels: np.ndarray
    true: Gaussians
    true_labels: np.ndarray
    objects: list[int]


def make_case(kind: str, seed: int, count: int, merged: float) -> Case:
    """merged: share of the neighbours across borders that are merged."""
    rng = np.random.default_rng(seed)
    rooms = KINDS[kind](rng)
    splat = make_splat(rooms, count, rng)
    labels = splat.labels[:, OBJECTS]
    clean = ~splat.messy & (labels > 0)
    shells = {piece.labels[OBJECTS] for piece in rooms.pieces if piece.shell}
    ids, counts = np.unique(labels[clean], return_counts=True)
    objects = [int(k) for k, n in zip(ids, counts, strict=True) if n >= FEWEST and k not in shells]
    captured, captured_labels = _merged(splat, labels, np.flatnonzero(clean), merged, rng)
    true = _gaussians(*(column[clean] for column in _columns(splat)))
    return Case(f"{kind}-{seed}", captured, captured_labels, true, labels[clean], objects)


def _columns(splat: Splat) -> tuple[np.ndarray, ...]:
    return splat.means, splat.quats, splat.scales, splat.opacities, splat.colors


def _gaussians(
    means: np.ndarray, quats: np.ndarray, scales: np.ndarray, opacities: np.ndarray, colors: np.ndarray
) -> Gaussians:
    sh = ((colors - 0.5) / SH_C0)[:, None]
    m, q, s, o, c = (column.astype(np.float32) for column in (means, quats, scales, opacities, sh))
    return Gaussians(m, q, s, o, c, np.ones(len(means), bool))


def _merged(
    splat: Splat, labels: np.ndarray, clean: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[Gaussians, np.ndarray]:
    a, b = _pairs(splat, labels, clean, share, rng).T
    turn = quaternion_matrices(splat.quats)
    covariances = np.einsum("nij,nj,nkj->nik", turn, splat.scales**2, turn)
    widths = np.sort(splat.scales, 1)[:, 1:].prod(1)
    mass = splat.opacities * widths
    part = mass[a] / (mass[a] + mass[b])
    means = part[:, None] * splat.means[a] + (1 - part)[:, None] * splat.means[b]
    covariance = np.zeros((len(a), 3, 3))
    for rows, weight in ((a, part), (b, 1 - part)):
        d = splat.means[rows] - means
        covariance += weight[:, None, None] * (covariances[rows] + d[:, :, None] * d[:, None, :])
    variances, axes = np.linalg.eigh(covariance)
    axes[np.linalg.det(axes) < 0, :, 0] *= -1
    quats = Rotation.from_matrix(axes).as_quat(scalar_first=True) if len(a) else np.zeros((0, 4))
    scales = np.sqrt(np.maximum(variances, 1e-14))
    opacities = np.minimum(0.99, (mass[a] + mass[b]) / np.sort(scales, 1)[:, 1:].prod(1))
    colors = part[:, None] * splat.colors[a] + (1 - part)[:, None] * splat.colors[b]
    kept = np.ones(len(labels), bool)
    kept[a] = kept[b] = False
    columns = zip(_columns(splat), (means, quats, scales, opacities, colors), strict=True)
    return (
        _gaussians(*(np.concatenate([old[kept], new]) for old, new in columns)),
        np.concatenate([labels[kept], np.where(part >= 0.5, labels[a], labels[b])]),
    )


def _pairs(splat: Splat, labels: np.ndarray, clean: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Row numbers [P, 2] of nearest neighbours with different labels, each row in one pair at most."""
    found = cKDTree(splat.means[clean]).query(splat.means[clean], k=[*range(1, NEIGHBOURS + 2)])
    distance, near = np.asarray(found[0]), np.asarray(found[1])
    different = labels[clean[near]] != labels[clean][:, None]
    first, k = different.argmax(1), np.arange(len(clean))
    partner, distance = clean[near[k, first]], distance[k, first]
    width = np.sort(splat.scales, 1)[:, 1]
    fine = different.any(1) & (distance < NEAR * np.maximum(width[clean], width[partner]))
    fine &= rng.random(len(clean)) < share
    used, pairs = set[int](), []
    for at in np.flatnonzero(fine)[np.argsort(distance[fine])]:
        one, other = int(clean[at]), int(partner[at])
        if one not in used and other not in used:
            used.update((one, other))
            pairs.append((one, other))
    return np.array(pairs, int).reshape(-1, 2)
