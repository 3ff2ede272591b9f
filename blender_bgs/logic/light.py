"""The light of labels: a tint and an exposure that multiply the captured light of their Gaussians.

A splat keeps display values, not light. For a display of gamma `GAMMA`, light times g is the display value times
g^(1/GAMMA). A factor of the display values scales spherical harmonics exactly, so the exported splat looks the same in
every viewer. It brightens and tints what the cameras saw. It casts no shadow and moves no highlight.
"""

import numpy as np
from bgs_engine.io.gaussians import SH_C0

GAMMA = 2.2  # that of the viewport's shader, see `viewport.shaders.DISPLAY_GAMMA`


def display_factor(tint: tuple[float, float, float], exposure: float) -> np.ndarray:
    """The factor of the display values, float64 [3]. tint: factors of the light, linear; exposure: stops."""
    return (np.array(tint, np.float64).clip(0) * 2.0**exposure) ** (1 / GAMMA)


def lit_rows(rows: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """PLY rows [N] whose colours are multiplied by `factors` [N, 3] from every direction.

    The colour of a Gaussian is 0.5 + SH_C0 f_dc + (the other harmonics), so f_dc also gets (factor - 1) 0.5 / SH_C0.
    Rows whose factor is 1 keep their bytes.
    """
    changed = (factors != 1).any(1)
    if not changed.any() or rows.dtype.names is None:
        return rows
    out = rows.copy()
    factors = factors[changed].astype(np.float64)
    rest = sum(name.startswith("f_rest_") for name in rows.dtype.names) // 3
    for channel in range(3):
        factor = factors[:, channel]
        name = f"f_dc_{channel}"
        if name in rows.dtype.names:
            out[name][changed] = rows[name][changed] * factor + (factor - 1) * 0.5 / SH_C0
        for k in range(rest):
            name = f"f_rest_{channel * rest + k}"
            out[name][changed] = rows[name][changed] * factor
    return out
