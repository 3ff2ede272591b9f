"""Words for colours, by lightness, chroma and hue in Oklab (Ottosson 2020)."""

import numpy as np

from bgs_engine.likeness.signature import oklab

GREY_CHROMA = 0.035  # below this a colour is grey
FAINT_CHROMA = 0.07  # below this light reddish and yellowish colours are beige
COLORFUL = (0.08, 2.5)  # mean chroma, and how many times it is that of the mean colour: colours that cancel each other
GREYS = ((0.25, "black"), (0.45, "dark grey"), (0.68, "grey"), (0.88, "light grey"), (9.0, "white"))
# Hue in degrees up to which the word holds. Pure sRGB red has 29, yellow 110, green 142, cyan 195, blue 264.
HUES = ((15.0, "pink"), (42.0, "red"), (72.0, "orange"), (118.0, "yellow"), (165.0, "green"), (215.0, "turquoise"),
        (280.0, "blue"), (325.0, "purple"), (361.0, "pink"))  # fmt: skip
BROWN = (30.0, 95.0, 0.62)  # a dark orange or dark yellow
DARK_RED = (15.0, 30.0)  # hues at which red is still red when dark


def color_word(colors: np.ndarray, weights: np.ndarray) -> str:
    """A word for the colours [M, 3] of a thing, sRGB, which count by their weights [M]."""
    values = oklab(colors).astype(np.float64)
    total = max(float(weights.sum()), 1e-30)
    light, a, b = (weights @ values) / total
    chroma = float(np.hypot(a, b))
    mean_chroma = float(weights @ np.hypot(values[:, 1], values[:, 2])) / total
    if mean_chroma > COLORFUL[0] and mean_chroma > COLORFUL[1] * chroma:
        return "colourful"
    if chroma < GREY_CHROMA:
        return next(word for most, word in GREYS if light < most)
    hue = float(np.degrees(np.arctan2(b, a))) % 360
    if BROWN[0] <= hue <= BROWN[1]:
        if light < BROWN[2]:
            return "brown"
        if chroma < FAINT_CHROMA:
            return "beige"
    word = next(word for most, word in HUES if hue < most)
    if word == "pink" and light < 0.6:
        return "red" if hue < HUES[0][0] else "purple"
    return word
