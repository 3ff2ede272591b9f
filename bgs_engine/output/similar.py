"""`bgs similar`: lists the labels of a run that look like one of them and are about as large."""

import numpy as np

from bgs_engine.core.errors import UsageError
from bgs_engine.core.label_table import Label
from bgs_engine.core.printable import printable
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.run_folder import Run
from bgs_engine.likeness.likeness import likeness
from bgs_engine.likeness.signature import signatures


def similar_labels(run: Run, label: str, level: int | None) -> list[tuple[Label, float]]:
    """The other labels of a level with their likeness to one, 0 to 1, the most similar first.

    Args:
        run: an open run.
        label: its number or its name.
        level: 1 = coarsest; None = the finest.

    Raises:
        UsageError: the run has no such level or label, or the label has too few Gaussians.
        InputError: the table of labels does not fit the codes.
    """
    level = run.layout.levels if level is None else level
    ids, of = np.unique(run.layout.labels(run.codes, level), return_inverse=True)
    rows = run.labels().of_codes(level, ids.tolist())
    asked = _find(rows, label, level)
    splat = load_gaussians(run.ply)
    columns = (splat.means, splat.scales, splat.opacities, splat.base_colors)
    found = signatures(*columns, of.reshape(-1), len(ids))
    one = int(np.searchsorted(ids, asked.label))
    if not found.usable[one]:
        raise UsageError(f"{asked.name} has too few Gaussians to be compared.", "Choose a larger label.")
    alike = dict(zip(ids.tolist(), likeness(found, np.array([one])).tolist(), strict=True))
    others = [(row, alike.get(row.label, 0.0)) for row in rows if row.label != asked.label]
    return sorted(others, key=lambda pair: -pair[1])


def as_table(found: list[tuple[Label, float]], least: float) -> str:
    """The labels of at least this likeness, one a line: likeness, number, Gaussians, name."""
    lines = [
        f"{alike:>8.2f} {row.label:>10} {row.count:>10,}  {printable(row.name)}"
        for row, alike in found
        if alike >= least
    ]
    return "\n".join([f"{'likeness':>8} {'label':>10} {'Gaussians':>10}  name", *lines])


def _find(rows: list[Label], label: str, level: int) -> Label:
    found = [row for row in rows if row.name == label] or [row for row in rows if str(row.label) == label]
    if not found:
        raise UsageError(f"Level {level} has no label {label}.", "labels.json lists the labels of every level.")
    return found[0]
