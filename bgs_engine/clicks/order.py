"""Which of several things a person most likely means: the order in which they are suggested.

The measures are those of `benchmarks/clicks.py`: the thing that is shown first, over objects and their parts.
"""

from collections.abc import Sequence

import numpy as np

from bgs_engine.clicks.seen_scene import SeenScene
from bgs_engine.clicks.things import Thing

STRUCTURE = 0.6  # of the scene's extent along two axes: so large a flat surface is a wall or a floor, and meant
OUTER = 5.0  # per cent of the Gaussians at either end of an axis do not count for the scene's extent
MOST_SEEN = 5.0  # pixels of the grid: a Gaussian that fills the picture counts as much as one that is seen well


def confirmed(seen: SeenScene, place: np.ndarray, things: Sequence[Thing], groups: Sequence[Thing]) -> list[float]:
    """How well each thing is confirmed by masks of the views around a place [3]: 0..1.

    It is the largest product of a group's support and of how alike the thing is to it (intersection over union, of what
    the group knows).

    Args:
        seen: the scene.
        place: the place.
        things: what may be meant.
        groups: what the masks of several views show, lifted.
    """
    rows, stands_for = seen.sample_around(place)
    weight = stands_for * seen.scene.opacities[rows] * np.minimum(seen.most[rows], MOST_SEEN)
    out = []
    for thing in things:
        inside, best = thing.inside[rows], 0.0
        for group in groups:
            said, known = group.inside[rows], group.known[rows]
            shared = float(weight[inside & said].sum())
            either = float(weight[(inside & known) | said].sum())
            best = max(best, group.support * shared / max(either, 1e-9))
        out.append(best)
    return out


def is_structure(seen: SeenScene, gaussians: np.ndarray) -> bool:
    """Whether a flat surface, bool [N], is so large that it is a wall or a floor and no side of a thing."""
    low, high = np.percentile(seen.scene.means[seen.sample], [OUTER, 100 - OUTER], axis=0)
    means = seen.scene.means[gaussians]
    shares = (means.max(0) - means.min(0)) / np.maximum(high - low, 1e-9)
    return bool(np.sort(shares)[-2] > STRUCTURE)
