"""`--keep-labels`: the labels that a person mended in an earlier run are fixed in the new one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.label_table import Label, LabelTable, is_automatic
from bgs_engine.core.mended_labels import LaidOver, MendedLabels, check_levels, lay_over
from bgs_engine.core.palette import Key
from bgs_engine.io.engine_answer import mended_in
from bgs_engine.io.ply import SplatPly
from bgs_engine.io.run_folder import open_run, positions_sha256


@dataclass(frozen=True)
class KeptLabels:
    """Mended labels of the run in `folder`. rows: theirs in its label table. mark: of its positions."""

    folder: Path
    mended: MendedLabels
    rows: dict[Key, Label]
    mark: str

    def refuse_other_splat(self, ply: SplatPly) -> None:
        """Raise `InputError` where a splat does not have the Gaussians of the run, in its order."""
        if positions_sha256(ply) != self.mark:
            raise InputError(
                f"{self.folder} has labels of another splat, or of the same one in another order.",
                "Leave out --keep-labels, or name a run of this splat.",
            )

    def over(self, codes: np.ndarray, layout: BitLayout) -> LaidOver:
        """The codes of the new run, int32 [N], with the mended labels in them.

        Raises:
            UsageError: a free child number is lacking.
        """
        return lay_over(codes, layout, self.mended)

    def name(self, table: LabelTable, keys: dict[Key, Key]) -> None:
        """Give the mended labels the names and colours that they had. `keys` is that of `LaidOver`.

        Automatic names are new, because they tell the rank by size.
        """
        old = {now: self.rows[key] for key, now in keys.items() if key in self.rows}
        for level, rows in enumerate(table.levels, 1):
            for row in rows:
                before = old.get((level, row.label))
                if before is not None:
                    row.shown_color = before.shown_color
                    if not is_automatic(before.name, before.automatic):
                        row.name = before.name


def labels_to_keep(folder: Path | None, layout: BitLayout | None, reporter: Reporter) -> KeptLabels | None:
    """The mended labels of an earlier run; None if none are wanted, or there are none, with a warning.

    Args:
        folder: the earlier run.
        layout: the bits of each level that the new run was asked for; None: those of the earlier one will do.
        reporter: told if there are none.

    Raises:
        InputError: there is no run, or it is damaged.
        UsageError: the layout lacks a level of a mended label.
    """
    if folder is None:
        return None
    run = open_run(folder)
    mended = mended_in(run)
    if not mended.keys:
        reporter.warning(f"No label of {folder} was mended, so there is none to keep.")
        return None
    check_levels(layout or run.layout, mended)
    rows = {(level, row.label): row for level, found in enumerate(run.labels().levels, 1) for row in found}
    return KeptLabels(folder, mended, rows, positions_sha256(run.ply))
