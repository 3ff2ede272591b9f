"""The colours of labels, for the extension's viewport and for the engine's pictures alike.

Neighbours differ. A child is a shade of its parent, so a finer level reads as a refinement. The colour of a label
depends only on its parent's colour and on its place among its siblings. It does not depend on the level that is shown
or on the number of labels. A label keeps a colour that it was once given.
"""

import colorsys
from collections.abc import Mapping

import numpy as np

from bgs_engine.core.codes import BitLayout

Color = tuple[float, float, float]  # sRGB, 0..1
Key = tuple[int, int]  # (level, label)

# The share of the label's colour where it is mixed with the captured colour. Both are mixed as display values (sRGB).
TINT_SHARE = 0.6
UNLABELLED = (0.5, 0.5, 0.5)  # sRGB
CONFIDENCE_STOPS = ((0.80, 0.15, 0.12), (0.95, 0.80, 0.20), (0.15, 0.60, 0.35))  # sRGB at 0, 1/2 and 1
GOLDEN = 0.6180339887498949  # steps of the golden ratio never come back close to an earlier hue
HUE_SPREAD = (0.0, 0.05, 0.035, 0.025)  # how far children stray from the parent's hue, by level


def color_at(level: int, rank: int, parent: Color | None) -> Color:
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


def label_colors(
    layout: BitLayout, codes: np.ndarray, counts: np.ndarray, given: Mapping[Key, Color] | None = None
) -> dict[Key, Color]:
    """sRGB colour of every label of every level.

    Args:
        codes: uint32 [U], the different codes in use.
        counts: [U], the number of Gaussians that have each code.
        given: colours that are kept.
    """
    colors = dict(given or {})
    for level in range(1, layout.levels + 1):
        places: dict[int, int] = {}
        taken = {color for key, color in colors.items() if key[0] == level}
        for label, _ in largest_first(layout.labels(codes, level), counts):
            parent = int(layout.parent(label, level)) if level > 1 else 0
            place = places.get(parent, 0)
            places[parent] = place + 1
            if (level, label) not in colors:
                above = colors[(level - 1, parent)] if level > 1 else None
                while (color := color_at(level, place, above)) in taken:  # a label made by hand beside kept ones
                    place += 1
                colors[(level, label)] = color
                taken.add(color)
    return colors


def largest_first(labels: np.ndarray, counts: np.ndarray) -> list[tuple[int, int]]:
    """(label, number of Gaussians) of every different label, largest first; labels uint32 [U], counts [U]."""
    found, index = np.unique(labels, return_inverse=True)
    sums = np.bincount(index.reshape(-1), weights=counts).astype(np.int64)
    order = np.lexsort((found, -sums))
    return list(zip(found[order].tolist(), sums[order].tolist(), strict=True))


def confidence_colors(values: np.ndarray) -> np.ndarray:
    """sRGB colours [N, 3] of confidences 0..1 [N]: red, yellow, green."""
    stops = np.array(CONFIDENCE_STOPS)
    return np.stack([np.interp(values, (0, 0.5, 1), stops[:, k]) for k in range(3)], 1)


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    """Scene-linear values of sRGB values 0..1 of any shape (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
