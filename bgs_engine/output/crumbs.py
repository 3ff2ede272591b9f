"""`bgs crumbs`: lists the crumbs of a run, and gives them a label of their own."""

from pathlib import Path

import numpy as np

from bgs_engine.core.errors import UsageError
from bgs_engine.core.label_table import LabelTable, build_label_table
from bgs_engine.cutouts.accept import accept, crumbs_label
from bgs_engine.cutouts.crumbs import Crumbs, find_crumbs, in_words
from bgs_engine.io.gaussians import Gaussians, load_gaussians
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.run_folder import Run, open_run, read_confidence, save_labels
from bgs_engine.io.run_update import finish_update


def crumbs_of_run(folder: Path, level: int, strength: float, apply: bool) -> list[str]:
    """Lines that say what was found, in all and for each label.

    Args:
        folder: the run folder.
        level: the level whose labels are searched, 1 = coarsest.
        strength: how much is proposed, in 0..1.
        apply: whether to give crumbs the label "Crumbs", and strays the label around them, and save that to the run.

    Raises:
        UsageError: the strength is not in 0..1, the run has no such level or no free label of level 1, or another job
            writes there.
        InputError: the run is damaged.
        OutputError: the folder cannot be written. The run is as it was.
    """
    if not 0 <= strength <= 1:
        raise UsageError(f"There is no strength {strength:g}.", "Choose one from 0 to 1.")
    if not apply:
        return _crumbs(open_run(folder), level, strength, False)
    with only_writer(folder):
        finish_update(folder)
        return _crumbs(open_run(folder), level, strength, True)


def found_in_run(run: Run, level: int, gaussians: Gaussians, confidence: np.ndarray | None) -> Crumbs:
    """The crumbs of the labels of a level. Those that have the label "Crumbs" already count for nothing."""
    label = crumbs_label(run.codes, run.layout, _names(run.labels()))
    apart = None if label is None else run.layout.labels(run.codes, 1) == label
    return find_crumbs(gaussians, run.layout.labels(run.codes, level), confidence, apart)


def _names(table: LabelTable) -> dict[tuple[int, int], str]:
    return {(depth, row.label): row.name for depth, rows in enumerate(table.levels, 1) for row in rows}


def _crumbs(run: Run, level: int, strength: float, apply: bool) -> list[str]:
    labels, old = run.layout.labels(run.codes, level), run.labels()
    names = _names(old)
    gaussians, confidence = load_gaussians(run.ply), read_confidence(run.folder, len(labels))
    found = found_in_run(run, level, gaussians, confidence)
    kinds = found.at(strength)
    lines = [f"Level {level}, strength {strength:g}: {in_words(kinds)}."]
    for row in old.of(level):
        mine = kinds[labels == np.uint32(row.label)]
        if mine.any():
            lines.append(f"  {row.name} ({row.label}): {in_words(mine)}")
    if apply and kinds.any():
        accepted = accept(run.codes, run.layout, kinds, found.hosts, names)
        columns = (gaussians.means, gaussians.opacities, gaussians.base_colors)
        table = build_label_table(run.layout, accepted.codes, *columns, confidence, gaussians.offset)
        _keep_names(table, old, accepted.names)
        save_labels(run, accepted.codes, table)
        lines.append(f"Saved to {run.folder}. Nothing was deleted; codes_engine.npy keeps the engine's own labels.")
    return lines


def _keep_names(table: LabelTable, old: LabelTable, new: dict[tuple[int, int], str]) -> None:
    """Give labels the names and shown colours that they had, and new labels the names `new`, by (level, label)."""
    for level, (rows, old_rows) in enumerate(zip(table.levels, old.levels, strict=True), 1):
        known = {row.label: row for row in old_rows}
        used = {row.name for row in old_rows}
        for row in rows:
            if row.label in known:
                before = known[row.label]
                row.name, row.shown_color, row.automatic = before.name, before.shown_color, before.automatic
                continue
            name = row.name = new.get((level, row.label), row.name)
            number = 1
            while row.name in used:
                number += 1
                row.name = f"{name}_{number}"
            used.add(row.name)
