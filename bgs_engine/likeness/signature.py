"""A signature of each of many sets of Gaussians: what its colours, size and shape are, whatever its pose.

- Colours: a histogram in Oklab (Ottosson 2020), where equal distances look alike. Neighbouring bins share their mass.
- Size: the root mean square distance of its surface from its middle, in scene units.
- Shape: the standard deviations along its principal axes, and the distribution of the distances between two of its
  points (D2 of Osada et al. 2002), both relative to its size.

Each Gaussian counts by its opacity times its area, so the density of the Gaussians matters little. Large sets are
sampled, so a million Gaussians take a moment.
"""

import functools
from dataclasses import dataclass

import numpy as np

MOST = 320  # Gaussians of a set that are looked at
AT_ONCE = 1024  # sets; bounds the memory
FEWEST = 12  # a set of fewer Gaussians has no signature
NEAR_SHARE = 0.9  # of the Gaussians of a set; the distance that they keep to the middle is its reach
FAR = 1.8  # a Gaussian farther from the middle than this many times the reach does not count: crumbs, wrong labels
LARGE = 4.0  # a Gaussian counts for at most this many times the geometric mean area of its set
COLOR_BINS = (8, 16, 16)  # of lightness 0..1, and of green-red and blue-yellow, both in -0.4..0.4
CHROMA = 0.4
STEPS = 64  # of each colour channel; a table has the bin of each colour
DISTANCE_BINS = 16
LONGEST = 3.6  # of the distances between two points, in sizes; farther pairs go to the last bin
SHIFTS = (122, 37, 86)  # places by which the Gaussians of a set are shifted to make pairs of them

# Linear sRGB to cone responses, and their cube roots to Oklab.
_CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]], np.float32
)  # fmt: skip
_OKLAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]], np.float32
)  # fmt: skip


@dataclass(frozen=True)
class Signatures:
    """The signatures of K sets.

    colors: float32 [K, C], histograms of sum 1. sizes: float64 [K], scene units; 0 where a set has no signature.
    axes: float64 [K, 3], relative to the size, ascending. distances: float64 [K, D], histograms of sum 1.
    """

    colors: np.ndarray
    sizes: np.ndarray
    axes: np.ndarray
    distances: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """Which sets have a signature, bool [K]."""
        return self.sizes > 0


def signatures(
    means: np.ndarray, scales: np.ndarray, opacities: np.ndarray, colors: np.ndarray, labels: np.ndarray, count: int
) -> Signatures:
    """The signatures of `count` sets.

    Args:
        means: float [N, 3], scene units.
        scales: float [N, 3], scene units.
        opacities: float [N] in 0..1.
        colors: float [N, 3], sRGB; values outside 0..1 are cut.
        labels: int [N], the set of each Gaussian, below `count`.
        count: K.
    """
    sizes = np.bincount(labels, minlength=count)
    small = labels.astype(np.uint16 if count <= 1 << 16 else np.uint32)  # 16 bits are sorted by radix
    order, start = np.argsort(small, kind="stable"), np.cumsum(sizes) - sizes
    found = Signatures(
        np.zeros((count, int(np.prod(COLOR_BINS))), np.float32),
        np.zeros(count), np.zeros((count, 3)), np.zeros((count, DISTANCE_BINS)),
    )  # fmt: skip
    usable = np.flatnonzero(sizes >= FEWEST)
    for block in np.split(usable, range(AT_ONCE, len(usable), AT_ONCE)) if len(usable) else ():
        # Gaussians spread over the file, [B, M]; a set of fewer than M has some of them more than once.
        some = (np.arange(MOST) * (sizes[block] / MOST)[:, None]).astype(np.int64)
        rows = order[start[block][:, None] + some]
        points = means.take(rows, 0).astype(np.float32)
        weights = _weights(points, scales.take(rows, 0), opacities.take(rows))
        finite = np.isfinite(points).all(2).argmax(1)  # the first that has a place
        points -= points[np.arange(len(points)), finite][:, None]  # near zero, so that 32 bits do for large places
        offset, size = _around_middle(np.nan_to_num(points, copy=False, posinf=0, neginf=0), weights)
        for _ in range(2):  # the first middle is that of all Gaussians, and those that are far have moved it
            squares = np.einsum("kmc,kmc->km", offset, offset)
            reach = np.partition(squares, int(NEAR_SHARE * MOST), axis=1)[:, int(NEAR_SHARE * MOST)]
            near = np.where(squares > FAR * FAR * reach[:, None], 0, weights)
            offset, size = _around_middle(offset, near)
        share = near / np.maximum(near.sum(1, keepdims=True), 1e-30)
        offset /= np.maximum(size, 1e-30)[:, None, None]
        covariance = np.einsum("km,kmi,kmj->kij", share, offset, offset, optimize=True)
        found.sizes[block] = size
        found.axes[block] = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), 0))
        found.colors[block] = _color_histograms(colors.take(rows, 0), share)
        found.distances[block] = _d2(offset, share)
    return found


def _weights(means: np.ndarray, scales: np.ndarray, opacities: np.ndarray) -> np.ndarray:
    """Opacity times area, float32 [B, M], without outliers; 0 for Gaussians without a finite place or shape."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        a, b, c = scales[..., 0], scales[..., 1], scales[..., 2]
        area = np.log(np.maximum(np.maximum(a * b, a * c), b * c))  # of its two longest axes
    area = np.where(np.isfinite(means.sum(2)) & np.isfinite(area), area, -np.inf)
    usual = np.median(area, 1, keepdims=True)
    usual = np.where(np.isfinite(usual), usual, 0)
    return np.asarray(np.nan_to_num(opacities) * np.exp(np.minimum(area - usual, np.log(LARGE))), np.float32)


def _around_middle(points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [B, M, 3] relative to the middle of their set, and the size of each set [B]."""
    total = np.maximum(weights.sum(1), 1e-30)
    middle = np.einsum("km,kmc->kc", weights, points) / total[:, None]
    offset = points - middle[:, None].astype(np.float32)
    return offset, np.sqrt(np.einsum("km,km->k", weights, np.einsum("kmc,kmc->km", offset, offset)) / total)


def _color_histograms(colors: np.ndarray, share: np.ndarray) -> np.ndarray:
    size = int(np.prod(COLOR_BINS))
    steps = (np.nan_to_num(colors).clip(0, 1) * (STEPS - 1) + 0.5).astype(np.int32)
    place = _bins()[(steps[..., 0] * STEPS + steps[..., 1]) * STEPS + steps[..., 2]]
    place = place + size * np.arange(len(colors))[:, None]
    out = np.bincount(place.ravel(), share.ravel(), minlength=len(colors) * size).astype(np.float32)
    out = out.reshape(-1, *COLOR_BINS)
    for axis in (1, 2, 3, 2, 3):
        out = _blurred(out, axis)
    return out.reshape(len(out), -1)


@functools.cache
def _bins() -> np.ndarray:
    """The bin of the colour histogram for each sRGB colour in `STEPS` steps a channel, int32 [STEPS³]."""
    colors = np.stack(np.meshgrid(*[np.linspace(0, 1, STEPS, dtype=np.float32)] * 3, indexing="ij"), -1).reshape(-1, 3)
    low, high = np.array([0, -CHROMA, -CHROMA]), np.array([1, CHROMA, CHROMA])
    bins = np.array(COLOR_BINS)
    cell = ((oklab(colors) - low) / (high - low) * bins).astype(np.int32).clip(0, bins - 1)
    return np.asarray((cell[:, 0] * bins[1] + cell[:, 1]) * bins[2] + cell[:, 2], np.int32)


def oklab(colors: np.ndarray) -> np.ndarray:
    """Oklab values float32 [..., 3] of sRGB colours [..., 3]."""
    values = np.nan_to_num(colors.astype(np.float32)).clip(0, 1)
    linear = np.where(values <= 0.04045, values / np.float32(12.92), ((values + 0.055) / 1.055) ** np.float32(2.4))
    return np.cbrt(linear @ _CONES.T) @ _OKLAB.T


def _blurred(values: np.ndarray, axis: int) -> np.ndarray:
    """Each bin gives a quarter to either neighbour; at the ends it keeps that quarter."""
    moved = np.moveaxis(values, axis, -1)
    out = 0.5 * moved
    out[..., 1:] += 0.25 * moved[..., :-1]
    out[..., :-1] += 0.25 * moved[..., 1:]
    out[..., 0] += 0.25 * moved[..., 0]
    out[..., -1] += 0.25 * moved[..., -1]
    return np.moveaxis(out, -1, axis)


def _d2(offset: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Histograms of the distances between two points, float64 [B, D], of offsets in sizes."""
    first = np.arange(len(offset))[:, None] * DISTANCE_BINS
    out = np.zeros(len(offset) * DISTANCE_BINS)
    for shift in SHIFTS:
        other, weights = np.roll(offset, shift, 1), share * np.roll(share, shift, 1)
        between = offset - other
        distance = np.sqrt(np.einsum("kmc,kmc->km", between, between))
        # Of points in one place the size is 0, and distances to the others are no numbers; these weigh nothing.
        where = np.fmin(distance * (DISTANCE_BINS / LONGEST), DISTANCE_BINS - 1).astype(np.int32)
        out += np.bincount((first + where).ravel(), weights.ravel(), minlength=len(out))
    rows = _blurred(out.reshape(len(offset), DISTANCE_BINS), 1)
    return rows / np.maximum(rows.sum(1, keepdims=True), 1e-30)
