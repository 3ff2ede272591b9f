"""What a person points at, and what the engine suggests for it."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.core.cameras import Camera


@dataclass(frozen=True)
class Prompt:
    """What a person points at. N is the number of rows of the splat's PLY file.

    places: float64 [P, 3], points on surfaces, in the coordinates of the PLY file; the newest one last.
    inside: bool [P]: True where the thing is (+), False where it is not (-).
    marked: bool [N] or None: Gaussians of a box, a lasso or a brush stroke that belong to the thing (+).
    excluded: bool [N] or None: the same for Gaussians that do not (-).
    among: bool [N] or None: the only Gaussians that may be suggested, because the others are hidden.
    so_far: bool [N] or None: the suggestion that the person sees and corrects with the newest place, or with what was
        marked. None at the beginning.
    camera: the view in which the person points, in the coordinates of the PLY file; None where there is none.
    """

    places: np.ndarray
    inside: np.ndarray
    marked: np.ndarray | None = None
    excluded: np.ndarray | None = None
    among: np.ndarray | None = None
    so_far: np.ndarray | None = None
    camera: Camera | None = None


@dataclass(frozen=True)
class Suggestion:
    """A set of Gaussians that may be the thing.

    gaussians: bool [N], in the order of the PLY file.
    confidence: float32 [N] in 0..1: how sure the engine is that a Gaussian belongs to the thing.
    views: the number of views that agree.
    """

    gaussians: np.ndarray
    confidence: np.ndarray
    views: int


@dataclass(frozen=True)
class Answer:
    """Suggestions from small to large (subpart, part, whole), and the number of the most likely one."""

    suggestions: tuple[Suggestion, ...]
    likeliest: int
