"""Which way is up in a run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.io.run_folder import Run
from bgs_engine.output.render import up_of_dataset
from bgs_engine.views.bulk import find_bulk
from bgs_engine.views.up import COLMAP_UP, guess_up

UP_KEY = "up"  # of run.json


def run_up(run: Run, gaussians: Gaussians) -> np.ndarray:
    """The up direction, float64 [3] of length 1: as run.json says, else as its dataset says, else guessed."""
    known = _direction(run.info.get(UP_KEY))
    if known is None:
        known = _direction(up_of_dataset(run))
    return guessed_up(gaussians) if known is None else known


def guessed_up(gaussians: Gaussians) -> np.ndarray:
    """The up direction of a splat by its ground, float64 [3]."""
    try:
        return guess_up(find_bulk(gaussians)).direction
    except InputError:  # nothing opaque
        return COLMAP_UP


def _direction(values: Any) -> np.ndarray | None:
    if not isinstance(values, Sequence | np.ndarray) or len(values) != 3:
        return None
    try:
        direction = np.array(values, np.float64)
    except (TypeError, ValueError):
        return None
    length = float(np.linalg.norm(direction))
    return direction / length if np.isfinite(length) and length > 0 else None
