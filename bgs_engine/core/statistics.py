"""Numbers about many Gaussians that few far ones cannot move."""

import numpy as np


def weighted_percentiles(values: np.ndarray, weights: np.ndarray, percentiles: tuple[float, ...]) -> np.ndarray:
    """Percentiles 0..100 of each column of values [N, C] by weights [N], float64 [len(percentiles), C]."""
    out = np.empty((len(percentiles), values.shape[1]))
    for column in range(values.shape[1]):
        order = np.argsort(values[:, column])
        mass = np.cumsum(weights[order], dtype=np.float64)
        at = np.searchsorted(mass, np.array(percentiles) / 100 * mass[-1]).clip(0, len(order) - 1)
        out[:, column] = values[order[at], column]
    return out
