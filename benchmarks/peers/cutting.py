"""Rules of others for the borders of label sets, written anew for comparison on the same labels.

A Gaussian crosses a border if the Gaussian nearest to an end of its longest axis has another label.
- trimmed: such Gaussians are dropped, as GaussianTrimmer does.
- halved: such Gaussians are cut at the border along their longest axis, as SAGD's decomposition does. The border is
  taken to be half-way to the end.
"""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from bgs_engine.core.quaternions import quaternion_matrices
from bgs_engine.cutouts.cuts import below
from bgs_engine.io.gaussians import Gaussians

END = 2.0  # standard deviations along the longest axis


def trimmed(gaussians: Gaussians, labels: np.ndarray) -> tuple[Gaussians, np.ndarray]:
    """The Gaussians that cross no border, and their labels."""
    _, crossing = _crossing(gaussians, labels)
    kept = np.flatnonzero(~crossing.any(0))
    return gaussians.take(kept), labels[kept]


def halved(gaussians: Gaussians, labels: np.ndarray) -> tuple[Gaussians, np.ndarray]:
    """All Gaussians; those that cross a border at one end are cut there."""
    axis, crossing = _crossing(gaussians, labels)
    rows = np.flatnonzero(crossing.sum(0) == 1)
    sign = np.where(crossing[0, rows], 1.0, -1.0)
    kept = below(np.full(len(rows), END / 2), 0.0)
    longest = gaussians.scales[rows].argmax(1)
    means, scales, opacities = (x.copy() for x in (gaussians.means, gaussians.scales, gaussians.opacities))
    means[rows] += axis[rows] * (sign * kept.mean)[:, None]
    scales[rows, longest] *= np.sqrt(kept.variance)
    opacities[rows] = np.minimum(opacities[rows] * kept.mass / np.sqrt(kept.variance), 0.99)
    return replace(gaussians, means=means, scales=scales, opacities=opacities), labels


def _crossing(gaussians: Gaussians, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Longest axes [N, 3], one standard deviation long; whether the + and the - end cross a border, bool [2, N])."""
    longest = gaussians.scales.argmax(1)
    k = np.arange(len(gaussians))
    axis = quaternion_matrices(gaussians.quats)[k, :, longest] * gaussians.scales[k, longest][:, None]
    tree = cKDTree(gaussians.means)
    ends = (gaussians.means + END * axis, gaussians.means - END * axis)
    return axis, np.stack([labels[tree.query(end, workers=-1)[1]] != labels for end in ends])
