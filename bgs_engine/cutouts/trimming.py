"""Trims the Gaussians of labels that reach into the air, so that objects are clean when seen alone.

A capture hides what sticks out of an object: behind it there is a wall or a floor of the same colour. Cut out, the
object has a halo of spikes and faint discs. A Gaussian is trimmed if its neighbours of the same label are solid over
too small a share of it. It is cut by a plane (`cuts.py`); the solid side stays, and the other side is cut off.

Giving what lies in another label to that label was tried. It made the objects of made rooms worse (docs/lab-book.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bgs_engine.core.principal_axes import principal_axes
from bgs_engine.core.quaternions import column_quaternions, quaternion_matrices
from bgs_engine.cutouts.around import OPAQUEST, POINTS, WEIGHTS, Around, look_around, relative_opacities
from bgs_engine.cutouts.cuts import below
from bgs_engine.io.gaussians import Gaussians

SOLID = 0.5  # of the light: where the neighbours stop as much, there is a surface
MOST_OPEN = 0.5  # of a faint Gaussian's mass must be solid at strength 0.5, twice this at strength 1
FAINT = 0.4  # opacity; more opaque Gaussians are solid themselves, so less of them must be
MOST_TRUST = 0.95  # limit of how little a point in the air counts
CUT_WIDTH = 0.6  # of the soft cut, standard deviations: a sharper cut changes the picture of both sides more
LEAST_SHARE = 0.03  # of a Gaussian's mass: if less lies beyond the plane, the Gaussian stays as it is


@dataclass(frozen=True)
class Halves:
    """One side of cut Gaussians: means, quats (w, x, y, z), scales and opacities as in `Gaussians`, M rows each."""

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray


@dataclass(frozen=True)
class Trimmed:
    """What `trim` found.

    rows: int [M], ascending; the trimmed Gaussians. gone: bool [M]; nothing of them stays. stays: what stays of each;
    where `gone`, its opacity is 0. cut_off: what was cut off; where `gone`, it is the whole Gaussian.
    """

    rows: np.ndarray
    gone: np.ndarray
    stays: Halves
    cut_off: Halves


def trim(
    gaussians: Gaussians, labels: np.ndarray, strength: float = 0.5, looked: Iterable[Around] | None = None
) -> Trimmed:
    """Cut what reaches out of its label.

    Args:
        gaussians: N Gaussians; colours are not needed. Those that are not valid are left alone.
        labels: int [N], the labels of one level.
        strength: 0 to 1; 0 trims nothing.
        looked: what `look_around` found, if it is known: it takes most of the time.
    """
    looked = look_around(gaussians, labels) if looked is None else looked
    opacities = relative_opacities(gaussians.opacities, labels)
    needed = 2 * strength * MOST_OPEN * np.minimum(1, (1 - opacities) / (1 - FAINT))
    cuts = [_cuts(around, opacities[around.rows], needed[around.rows], strength) for around in looked]
    rows, normals, at = (
        np.concatenate(column)
        for column in zip((np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0)), *cuts, strict=True)
    )
    order = np.argsort(rows)
    order = order[~_last_ones(labels, rows[order], np.isneginf(at[order]))]
    rows, normals, at = rows[order], normals[order], at[order]
    gone = np.isneginf(at)
    at = np.where(gone, 0, at)
    stays = _half(gaussians, rows, normals, at)
    cut_off = _half(gaussians, rows, -normals, -at)
    stays.opacities[gone] = 0
    whole = rows[gone]
    for half, own in zip(
        (cut_off.means, cut_off.quats, cut_off.scales, cut_off.opacities),
        (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities),
        strict=True,
    ):
        half[gone] = own[whole]
    return Trimmed(rows, gone, stays, cut_off)


def _last_ones(labels: np.ndarray, rows: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Which of `rows` [M] would go although nothing else of their label stays, bool [M]. No label vanishes."""
    _, label, counts = np.unique(labels, return_inverse=True, return_counts=True)
    label = label.reshape(-1)[rows]
    return np.asarray(gone & (np.bincount(label, gone, minlength=len(counts)) == counts)[label])


def _cuts(
    around: Around, opacities: np.ndarray, needed: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(Rows [M], unit normals [M, 3] in the ball's coordinates, place of the plane [M], -inf where nothing stays).

    opacities, needed: [K], of the Gaussians of `around`; `needed` is the share that must be solid.
    """
    solid = WEIGHTS * np.minimum(1, around.own / SOLID)
    some = np.flatnonzero(solid.sum(1) < needed)
    solid = solid[some]
    # A solid point is worth its mass, an open one costs so much that a Gaussian with just the needed share is worth 0.
    trust = (2 * strength * (1 - opacities[some])).clip(0, MOST_TRUST)
    open_ = WEIGHTS - solid
    worth = solid - (trust / (1 - trust))[:, None] * open_
    direction = _centre(open_) - _centre(solid)
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    direction = np.where(length > 1e-3, direction / np.maximum(length, 1e-3), (1.0, 0.0))
    at = _best_plane(direction @ POINTS.T, worth)
    beyond = below(-at, CUT_WIDTH).mass
    fine = np.isneginf(at) | (beyond >= LEAST_SHARE)
    normals = np.zeros((len(some), 3))
    np.put_along_axis(normals, around.axes[some][:, :2], direction, 1)
    return around.rows[some][fine], normals[fine], at[fine]


def _centre(weights: np.ndarray) -> np.ndarray:
    return weights @ POINTS / np.maximum(weights.sum(1), 1e-6)[:, None]


def _best_plane(along: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """The place below which the points are worth most, [K]; +-inf where that is all of them, or none."""
    order = np.argsort(along, axis=1)
    place = np.take_along_axis(along, order, 1)
    total = np.cumsum(np.take_along_axis(worth, order, 1), 1)
    best = total.argmax(1)
    k, last = np.arange(len(place)), along.shape[1] - 1
    at = (place[k, best] + place[k, np.minimum(best + 1, last)]) / 2
    return np.where(total[k, best] <= 0, -np.inf, np.where(best == last, np.inf, at))


def _half(gaussians: Gaussians, rows: np.ndarray, normals: np.ndarray, at: np.ndarray) -> Halves:
    """The sides of `rows` [M] below their planes. The widths and axes of a cut ellipsoid come from its root."""
    kept = below(at, CUT_WIDTH)
    turn = quaternion_matrices(gaussians.quats[rows])
    scales = gaussians.scales[rows].astype(np.float64)
    means = gaussians.means[rows] + np.einsum("kij,kj->ki", turn, scales * normals * kept.mean[:, None])
    # I - (1 - s) n n^T is the root of the covariance of the cut ball; s is its standard deviation along the normal n.
    deviation = np.sqrt(kept.variance)
    root = np.eye(3) - (1 - deviation)[:, None, None] * normals[:, :, None] * normals[:, None, :]
    matrices = turn @ (scales[:, :, None] * root)
    lengths, axes = principal_axes([matrices[:, :, k].T for k in range(3)])
    opacities = np.minimum(gaussians.opacities[rows] * kept.mass / deviation, OPAQUEST)
    columns = (means, column_quaternions(axes), lengths.T, opacities)
    return Halves(*(column.astype(np.float32) for column in columns))
