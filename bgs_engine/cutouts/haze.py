"""Finds haze: Gaussians that are large and faint compared with their label, and reach out of it."""

import numpy as np

from bgs_engine.core.quaternions import quaternion_columns
from bgs_engine.cutouts.loose_parts import SOLID
from bgs_engine.cutouts.touching import Touching
from bgs_engine.io.gaussians import Gaussians

LARGE, LARGEST = 4.0, 32.0  # times the typical size of the label: proposed at strength 1, and at strength 0
FAINT = 0.25  # of the mean opacity of the label: what is less faint needs more strength
TIP = 2.0  # standard deviations from the centre: where a Gaussian is asked whether its label is there too


def haze_strengths(gaussians: Gaussians, label: np.ndarray, weights: np.ndarray, touch: Touching) -> np.ndarray:
    """The strength from which each Gaussian is proposed as haze, float64 [N]; 1 and more means never.

    Haze inside its own label is part of how the label looks. So a Gaussian needs more strength the more of the four
    ends of its two longer axes lie in its label.

    Args:
        gaussians: N Gaussians, all of them valid.
        label: int [N] in 0..touch.labels-1.
        weights: [N], opacities above 0.
        touch: what touches what.
    """
    largest = gaussians.scales.max(1).astype(np.float64)
    ratio = largest / typical(label, weights, largest)[label]
    mean = np.bincount(label, weights) / np.bincount(label)
    strength = (1 - np.log(ratio / LARGE) / np.log(LARGEST / LARGE)).clip(0, 2)
    strength += np.maximum(0, weights / mean[label] / FAINT - 1)
    rows = np.flatnonzero(strength < 1)
    columns = np.stack(quaternion_columns(gaussians.quats[rows]))  # [axis, 3, M]
    longer = np.argsort(-gaussians.scales[rows], axis=1)
    octaves = touch.cells.octaves(largest[rows] / 2, len(touch.grids))
    for axis in longer[:, :2].T:
        reach = TIP * gaussians.scales[rows, axis]
        tip = columns[axis, :, np.arange(len(rows))] * reach[:, None]
        for point in (gaussians.means[rows] + tip, gaussians.means[rows] - tip):
            strength[rows] += (touch.held_at(point, octaves, label[rows]) >= SOLID) / 4
    return strength


def typical(label: np.ndarray, weights: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The geometric mean of the sizes in each label by weight, [L]."""
    return np.exp(np.bincount(label, weights * np.log(sizes)) / np.bincount(label, weights))
