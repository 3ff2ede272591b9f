"""Warns of splats whose values do not mean what a 3DGS file's values mean."""

import numpy as np

from bgs_engine.io.ply import SplatPly

LEAST_ROWS = 10  # fewer Gaussians say nothing about their file


def odd_values(ply: SplatPly, scales: np.ndarray, opacities: np.ndarray) -> tuple[str, ...]:
    """Sentences about raw scales [N, 3] and opacities [N, 1] that look activated, and about coarse positions."""
    found = []
    if ply.offset.any() and any(ply.dtype[axis] == np.float32 for axis in "xyz"):
        step = float(np.spacing(np.float32(np.abs(ply.offset).max())))
        found.append(
            f"The positions lie {np.abs(ply.offset).max():,.0f} units from the origin as 32-bit numbers, which are "
            f"{step:.3g} units apart there. Finer detail is lost in the file itself. Export it nearer to the origin, "
            "or with positions of type double."
        )
    if ply.count < LEAST_ROWS:
        return tuple(found)
    with np.errstate(invalid="ignore"):
        known = scales[np.isfinite(scales)]
        if known.size and known.min() >= 0 and known.max() > 0:
            found.append(
                "No scale is below 0. A 3DGS file has logarithms of scales, and these look like the scales "
                "themselves: the Gaussians will be far too large. Export them as logarithms."
            )
        known = opacities[np.isfinite(opacities)]
        if known.size and known.min() >= 0 and known.max() <= 1 and known.max() > 0:
            found.append(
                "All opacities are between 0 and 1. A 3DGS file has logits of opacities, and these look like the "
                "opacities themselves: the splat will be half transparent. Export them as logits."
            )
    return tuple(found)
