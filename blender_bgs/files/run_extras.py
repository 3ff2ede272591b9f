"""Reads what the codes of a splat do not need: confidence, names and colours. A damaged one does not stop an import."""

from dataclasses import dataclass, field, replace

import numpy as np
from bgs_engine.core.errors import BgsError
from bgs_engine.core.label_table import LabelTable
from bgs_engine.io.run_folder import Run, read_confidence

from ..logic.label_tree import Color, Key


@dataclass(frozen=True)
class RunExtras:
    """What a run holds beside its codes.

    `confidence` is float32 [N] in 0..1, or None. `names` are the names of labels by (level, label), `automatic` those
    that the engine gave; `colors` are those of labels that have not the palette's colour. `notes` has a sentence for
    each file that cannot be used.
    """

    confidence: np.ndarray | None = None
    names: dict[Key, str] = field(default_factory=dict)
    colors: dict[Key, Color] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    automatic: dict[Key, str] = field(default_factory=dict)


NO_EXTRAS = RunExtras()


def extras_of(table: LabelTable) -> RunExtras:
    """The names and the colours of a label table."""
    found = {(level, row.label): row for level, rows in enumerate(table.levels, 1) for row in rows}
    return RunExtras(
        names={key: row.name for key, row in found.items()},
        automatic={key: row.automatic for key, row in found.items() if row.automatic},
        colors={key: row.shown_color for key, row in found.items() if row.shown_color is not None},
    )


def read_extras(run: Run) -> RunExtras:
    """The confidence, the names and the colours of a run."""
    notes = []
    confidence, named = None, NO_EXTRAS
    try:
        confidence = read_confidence(run.folder, len(run.codes))
    except BgsError as error:
        notes.append(f"The labels have no confidence. {error.message}")
    try:
        named = extras_of(run.labels())
    except BgsError as error:
        notes.append(f"The labels have automatic names. {error.message}")
    return replace(named, confidence=confidence, notes=tuple(notes))
