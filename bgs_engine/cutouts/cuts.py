"""Cuts a Gaussian by a plane into two that together look like it.

A Gaussian of standard deviation 1 along the plane's normal is multiplied by a soft step of width w at place t, once by
P((t - x) / w) and once by the rest, P being the normal distribution function. Each product is a skew-normal function.
A Gaussian with its mass, mean and variance stands for it (Azzalini 1985):
    u = t / sqrt(1 + w^2),  d = 1 / sqrt(1 + w^2),  r = p(u) / P(u),
    mass P(u),  mean -r d,  variance 1 - d^2 (u r + r^2).
With w = 0 these are the moments of a truncated Gaussian. A soft step keeps the picture of both together nearer to the
original; a hard one keeps each part on its side.
"""

from dataclasses import dataclass

import numpy as np

_LEAST_MASS = 1e-6
_FURTHEST = 8.0  # standard deviations: nothing is left beyond


@dataclass(frozen=True)
class HalfMoments:
    """What is left of a unit Gaussian on one side of a cut; arrays [N]: its mass, mean and variance."""

    mass: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def below(at: np.ndarray, width: float) -> HalfMoments:
    """The part below the cut; `at` [N] and `width` in standard deviations. The part above is `below(-at)`, mirrored."""
    at = at.clip(-_FURTHEST, _FURTHEST)
    d = 1 / np.sqrt(1 + width * width)
    u = at * d
    mass = np.maximum(normal_distribution(u), _LEAST_MASS)
    r = np.exp(-u * u / 2) / np.sqrt(2 * np.pi) / mass
    return HalfMoments(mass, -r * d, np.maximum(1 - d * d * (u * r + r * r), 1e-4))


def normal_distribution(x: np.ndarray) -> np.ndarray:
    """P(X <= x) of a standard normal variable. Absolute error below 1e-7 (Abramowitz and Stegun 1964, 26.2.17)."""
    k = 1 / (1 + 0.2316419 * np.abs(x))
    powers = k * (0.319381530 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))))
    tail = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * powers
    return np.where(x >= 0, 1 - tail, tail)
