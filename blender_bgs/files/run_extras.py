"""Reads the files of a run that the codes do not need: confidence and names. A damaged one does not stop an import."""

from dataclasses import dataclass, field

import numpy as np
from bgs_engine.core.errors import BgsError
from bgs_engine.io.run_folder import Run, read_confidence

from ..logic.label_tree import Key


@dataclass(frozen=True)
class RunExtras:
    """What a run holds beside its codes.

    `confidence` is float32 [N] in 0..1, or None. `names` are the names that people gave, by (level, label). `notes`
    has a sentence for each file that cannot be used.
    """

    confidence: np.ndarray | None = None
    names: dict[Key, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


NO_EXTRAS = RunExtras()


def read_extras(run: Run) -> RunExtras:
    """The confidence and the names of a run."""
    notes = []
    confidence, names = None, {}
    try:
        confidence = read_confidence(run.folder, len(run.codes))
    except BgsError as error:
        notes.append(f"The labels have no confidence. {error.message}")
    try:
        levels = run.labels().levels
        names = {(level, row.label): row.name for level, rows in enumerate(levels, 1) for row in rows}
    except BgsError as error:
        notes.append(f"The labels have automatic names. {error.message}")
    return RunExtras(confidence, names, tuple(notes))
