"""The engine's own answer in a run folder whose labels a person has changed since."""

import os
from pathlib import Path

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.core.mended_labels import MendedLabels, find_mended
from bgs_engine.io.run_folder import ENGINE_ANSWER, Run, load_column


def has_engine_answer(folder: Path) -> bool:
    """Whether labels were changed since the engine wrote the run."""
    return os.path.lexists(folder / ENGINE_ANSWER[0][1])


def engine_codes(folder: Path, count: int) -> np.ndarray:
    """The codes that the engine gave, int32 [count], whatever a person changed since.

    Raises:
        InputError: the file is missing or damaged, or has another number of codes.
    """
    now, kept = ENGINE_ANSWER[0]
    path = folder / (kept if has_engine_answer(folder) else now)
    codes = load_column(path, np.int32)
    if len(codes) != count:
        raise InputError(f"{path} has {len(codes):,} codes for {count:,} Gaussians.", "Run the segmentation again.")
    return codes


def mended_in(run: Run) -> MendedLabels:
    """The labels of a run that a person mended.

    Raises:
        InputError: the engine's own codes are damaged.
    """
    return find_mended(engine_codes(run.folder, len(run.codes)), run.codes, run.layout)
