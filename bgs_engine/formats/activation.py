"""Raw values and activated ones, for formats that store scales as lengths and opacities as shares.

A float32 keeps both to its last digits: the logarithm comes back to 6e-8, and the opacity itself to 6e-8.
"""

import numpy as np

from bgs_engine.io.gaussians import SH_C0

_LEAST, _MOST = 1e-38, 1 - 2.0**-25  # shares that a float32 tells from 0 and 1; their logits are -87.5 and 17.3


def opacities_of(logits: np.ndarray) -> np.ndarray:
    """Shares float32 [N] from logits of any size; NaN counts as transparent."""
    with np.errstate(over="ignore"):
        return np.nan_to_num(1 / (1 + np.exp(-logits.astype(np.float64))), nan=0.0).astype(np.float32)


def logits_of(opacities: np.ndarray) -> np.ndarray:
    """Logits float32 [N], all finite, from shares; what lies outside 0..1 is cut off, and NaN counts as 0."""
    shares = np.nan_to_num(opacities.astype(np.float64), nan=0.0).clip(_LEAST, _MOST)
    return (np.log(shares) - np.log1p(-shares)).astype(np.float32)


def lengths_of(scales: np.ndarray) -> np.ndarray:
    """Lengths, float32, from their logarithms; infinite where they are too large."""
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(scales.astype(np.float64)).astype(np.float32)


def logarithms_of(lengths: np.ndarray) -> np.ndarray:
    """Logarithms, float32, of lengths; -inf for 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.abs(lengths.astype(np.float64))).astype(np.float32)


def unit_quats(quats: np.ndarray) -> np.ndarray:
    """The quaternions [N, 4] with length 1, float32. Those whose length is 1 already keep their bits."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        lengths = np.sqrt((quats.astype(np.float64) ** 2).sum(1, keepdims=True))
        return np.where(np.abs(lengths - 1) < 1e-6, quats, quats / lengths).astype(np.float32)


def drawable(means: np.ndarray, scales: np.ndarray, quats: np.ndarray) -> np.ndarray:
    """Which Gaussians have a finite position, size and rotation, bool [N]. Only those can stand in a scene."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = (quats.astype(np.float64) ** 2).sum(1)
    usable = np.isfinite(means).all(1) & np.isfinite(lengths) & (lengths > 0)
    return usable & (scales.max(1) < 88.7)  # of which the exponential is a float32; NaN fails as well


def encode_colors(sh: np.ndarray) -> None:
    """Turn linear colours into sRGB, in place, [N, K, 3]. The view-dependent part is small: it takes the slope."""
    linear = (sh[:, 0] * np.float32(SH_C0) + np.float32(0.5)).clip(1e-4, None)
    low = linear <= np.float32(0.0031308)
    encoded = np.where(low, 12.92 * linear, 1.055 * linear ** np.float32(1 / 2.4) - 0.055)
    slope = np.where(low, 12.92, 1.055 / 2.4 * linear ** np.float32(1 / 2.4 - 1))
    sh[:, 1:] *= slope[:, None].astype(np.float32)
    sh[:, 0] = (encoded - 0.5) / SH_C0
