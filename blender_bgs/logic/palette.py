"""Colours of labels. Siblings differ, and a child has a shade of its parent's colour.

A colour depends only on the parent's colour and the child's place among its siblings, never on the level shown or on
how many labels exist, and a label keeps the colour it was once given.
"""

import colorsys

import numpy as np

CONFIDENCE_STOPS = ((0.80, 0.15, 0.12), (0.95, 0.80, 0.20), (0.15, 0.60, 0.35))  # sRGB at 0, 1/2 and 1
GOLDEN = 0.6180339887498949  # steps of the golden ratio never come back close to an earlier hue
HUE_SPREAD = (0.0, 0.05, 0.035, 0.025)  # how far children stray from the parent's hue, by level


def color_at(level: int, rank: int, parent: tuple[float, float, float] | None) -> tuple[float, float, float]:
    """sRGB colour of the `rank`-th child (0 = largest) of a label with colour `parent`; None at level 1."""
    if parent is None:
        hue = (0.58 + rank * GOLDEN) % 1.0
        saturation = (0.62, 0.45, 0.78)[rank % 3]
        value = (0.92, 0.80, 0.68)[(rank // 3) % 3]
        return colorsys.hsv_to_rgb(hue, saturation, value)
    hue, saturation, value = colorsys.rgb_to_hsv(*parent)
    if rank == 0:
        return parent
    spread = HUE_SPREAD[min(level, len(HUE_SPREAD)) - 1]
    swing = ((rank * GOLDEN) % 1.0) * 2 - 1
    # Brightness and saturation walk through distinct steps, because hue alone must stay near the parent's.
    value = min(1.0, max(0.25, value * (1.0, 0.62, 1.22, 0.8, 0.48)[rank % 5]))
    saturation = min(1.0, max(0.18, saturation * (1.0, 0.8, 0.55, 1.25)[rank % 4]))
    return colorsys.hsv_to_rgb((hue + spread * swing) % 1.0, saturation, value)


def confidence_colors(values: np.ndarray) -> np.ndarray:
    """sRGB colours [N, 3] of confidences 0..1 [N]: red, yellow, green."""
    stops = np.array(CONFIDENCE_STOPS)
    return np.stack([np.interp(values, (0, 0.5, 1), stops[:, k]) for k in range(3)], 1)


def srgb_to_linear(value: float) -> float:
    """Scene-linear value of an sRGB component (IEC 61966-2-1)."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
