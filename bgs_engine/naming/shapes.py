"""Words for shapes. They claim what the places of the Gaussians show, and otherwise say "thing"."""

from dataclasses import dataclass

import numpy as np

FLAT = 0.12  # standard deviations: of the shortest axis to the middle one
LONG = 0.22  # of the middle axis to the longest one
LYING, UPRIGHT = np.cos(np.radians(15)), np.sin(np.radians(15))  # of the normal of something flat to up
AXIS = np.cos(np.radians(20))  # of the longest axis of something long to up, if it stands
FLOOR_SHARE = 0.2  # of the area on which the scene stands, for a floor or a ceiling
END = 0.15  # of the scene's height: floors lie in the lowest part, ceilings in the highest
WALL = (0.4, 0.25)  # of the scene's height, and of its width, that a wall has at least
EVEN = 0.12  # how much the distance of a ball's Gaussians from its middle may vary, relative to it
ROUND = 0.85  # longest axes of a ball differ by less
FACE = 0.1  # of half the extent: how near to a face of its box a Gaussian of a box lies
SHARE = 0.8  # of the Gaussians that must lie so
CUT = 0.03  # of the Gaussians at each end of each axis that count for no extent
TURNS = 18  # of a quarter turn, tried for the box


@dataclass(frozen=True)
class Scene:
    """Extents in a frame whose third axis points upwards: low, high [3]; scene units."""

    low: np.ndarray
    high: np.ndarray

    @property
    def extent(self) -> np.ndarray:
        """Width, depth and height, never 0."""
        return np.maximum(self.high - self.low, 1e-30)


@dataclass(frozen=True)
class Shape:
    """word: what it is. place: its middle [3]. length: the diagonal of its extents, scene units."""

    word: str
    place: np.ndarray
    length: float


def shape_of(points: np.ndarray, weights: np.ndarray, scene: Scene) -> Shape:
    """The shape of a set of Gaussians, from places [M, 3] in the frame of the scene and weights [M]."""
    share = weights / max(float(weights.sum()), 1e-30)
    low, high = np.quantile(points, (CUT, 1 - CUT), axis=0)
    near = ((points >= low - (high - low)) & (points <= high + (high - low))).all(1)  # without crumbs far away
    share = np.where(near, share, 0)
    share /= max(float(share.sum()), 1e-30)
    middle = share @ points
    offset = np.where(near[:, None], points - middle, 0)
    values, axes = np.linalg.eigh((offset * share[:, None]).T @ offset)
    spread = np.sqrt(np.maximum(values, 0)) + 1e-30
    length = float(np.linalg.norm(high - low))
    return Shape(_word(offset, share, spread, axes, low, high, scene), middle, length)


def _word(
    offset: np.ndarray,
    share: np.ndarray,
    spread: np.ndarray,
    axes: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    scene: Scene,
) -> str:
    if spread[1] <= LONG * spread[2]:
        return "post" if abs(axes[2, 2]) >= AXIS else "bar"
    if spread[0] <= FLAT * spread[1]:
        return _flat_word(abs(float(axes[2, 0])), low, high, scene)
    distance = np.linalg.norm(offset, axis=1)
    mean = float(share @ distance)
    uneven = float(np.sqrt(share @ (distance - mean) ** 2)) / max(mean, 1e-30)
    if spread[0] >= ROUND * spread[2] and uneven <= EVEN:
        return "ball"
    if _box_share(offset, share) >= SHARE:
        return "box"
    return "cylinder" if _cylinder_share(offset, share) >= SHARE else "thing"


def _flat_word(up: float, low: np.ndarray, high: np.ndarray, scene: Scene) -> str:
    size, whole = high - low, scene.extent
    if up >= LYING:
        wide = size[0] * size[1] >= FLOOR_SHARE * whole[0] * whole[1]
        height = ((low + high)[2] / 2 - scene.low[2]) / whole[2]
        if wide and height <= END:
            return "floor"
        return "ceiling" if wide and height >= 1 - END else "flat thing"
    wide = float(np.linalg.norm(size[:2])) >= WALL[1] * float(np.linalg.norm(whole[:2]))
    return "wall" if up <= UPRIGHT and wide and size[2] >= WALL[0] * whole[2] else "panel"


def _box_share(offset: np.ndarray, share: np.ndarray) -> float:
    """The share of the Gaussians that lie near a face of the upright box round them, in the turn that fits best."""
    angles = np.arange(TURNS) * (np.pi / 2 / TURNS)
    c, s = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y = offset[:, 0], offset[:, 1]
    near = _near_ends(np.concatenate([c * x + s * y, c * y - s * x])) | _near_ends(offset[:, 2])
    return float(((near[:TURNS] | near[TURNS:]) @ share).max())


def _cylinder_share(offset: np.ndarray, share: np.ndarray) -> float:
    """The share of the Gaussians that lie near the surface of the upright cylinder round them."""
    low, high = np.quantile(offset, (CUT, 1 - CUT), axis=0)
    across = offset[:, :2] - (low + high)[:2] / 2
    radius = np.linalg.norm(across, axis=1)
    wide = float(np.quantile(radius, 1 - CUT))
    return float(share @ ((np.abs(radius - wide) <= 1.5 * FACE * wide) | _near_ends(offset[:, 2])))


def _near_ends(values: np.ndarray) -> np.ndarray:
    """Which of the values [..., M] lie near an end of their extent along the last axis, bool [..., M]."""
    low, high = np.quantile(values, (CUT, 1 - CUT), axis=-1, keepdims=True)
    return np.minimum(values - low, high - values) <= FACE * (high - low) / 2
