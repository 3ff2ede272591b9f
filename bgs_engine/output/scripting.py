"""A run for scripts: `bgs_engine.open_run(path)`. Everything is a NumPy array, a number or a text.

>>> import bgs_engine
>>> run = bgs_engine.open_run(RUN)
>>> run.levels, len(run)
(2, 40000)
>>> run.codes.dtype, run.labels(1).shape
(dtype('int32'), (40000,))
>>> box = run.find("red box", level=1)[0]
>>> box.name, box.count == run.rows(box).size
('red box, left', True)
>>> [child.parent == box.label for child in run.children(box)]
[True, True]
>>> run.positions(box).shape == (box.count, 3)
True
>>> [path.name for path in run.export(box, OUT)]
['red box, left_6.ply']
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.label_table import Label, LabelTable
from bgs_engine.io.gaussians import Gaussians, load_gaussians
from bgs_engine.io.run_folder import Run
from bgs_engine.io.run_folder import open_run as open_run_folder
from bgs_engine.output.export import export_run


@dataclass(frozen=True)
class NamedLabel:
    """A label of a run. name: its name. parent: the label one level coarser that contains it, 0 at level 1."""

    level: int
    label: int
    name: str
    count: int
    parent: int
    center: tuple[float, float, float]


class ScriptedRun:
    """An open run folder. Nothing here changes it; N is the number of its Gaussians, in the order of scene.ply."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __len__(self) -> int:
        return len(self.run.codes)

    @property
    def codes(self) -> np.ndarray:
        """The codes, int32 [N]."""
        return self.run.codes

    @property
    def layout(self) -> BitLayout:
        """Which bits of a code belong to which level."""
        return self.run.layout

    @property
    def levels(self) -> int:
        """The number of levels; 1 is the coarsest."""
        return self.run.layout.levels

    def labels(self, level: int) -> np.ndarray:
        """The label of each Gaussian at a level, uint32 [N].

        Raises:
            UsageError: there is no such level.
        """
        return self.run.layout.labels(self.run.codes, level)

    @cached_property
    def table(self) -> LabelTable:
        """The label table, as it was when it was first asked for."""
        return self.run.labels()

    @cached_property
    def gaussians(self) -> Gaussians:
        """The splat as arrays: means (less `offset`), scales, quats, opacities, sh."""
        return load_gaussians(self.run.ply)

    def names(self, level: int) -> list[NamedLabel]:
        """The labels of a level, the largest first.

        Raises:
            UsageError: there is no such level.
        """
        return [_named(level, row) for row in self.table.of(level)]

    def find(self, text: str, level: int | None = None) -> list[NamedLabel]:
        """The labels whose names hold all words of a text, at a level or at all.

        Raises:
            UsageError: there is no such level.
        """
        words = text.casefold().split()
        levels = range(1, self.levels + 1) if level is None else [level]
        every = [label for own in levels for label in self.names(own)]
        return [label for label in every if words and all(word in label.name.casefold() for word in words)]

    def parent(self, label: NamedLabel) -> NamedLabel | None:
        """The label one level coarser that contains it; None at level 1."""
        coarser = self.names(label.level - 1) if label.level > 1 else []
        return next((one for one in coarser if one.label == label.parent), None)

    def children(self, label: NamedLabel) -> list[NamedLabel]:
        """The labels one level finer that it contains, the largest first."""
        finer = self.names(label.level + 1) if label.level < self.levels else []
        return [one for one in finer if one.parent == label.label]

    def rows(self, *labels: NamedLabel) -> np.ndarray:
        """The rows of the Gaussians in any of the labels, int64 [M], ascending."""
        inside = np.zeros(len(self), bool)
        for label in labels:
            inside |= self.labels(label.level) == label.label
        return np.flatnonzero(inside)

    def positions(self, *labels: NamedLabel) -> np.ndarray:
        """Positions of the Gaussians in any of the labels, float64 [M, 3], scene units; none without a label."""
        return self.gaussians.means[self.rows(*labels)].astype(np.float64) + self.gaussians.offset

    def export(self, labels: NamedLabel | Sequence[NamedLabel], out: str | Path, plain: bool = False) -> list[Path]:
        """Write one PLY file for each of the labels, which are of one level. Returns the paths.

        Raises:
            UsageError: there is no label, or they are of several levels.
            OutputError: the folder cannot be written.
        """
        chosen = [labels] if isinstance(labels, NamedLabel) else list(labels)
        if not chosen:
            raise UsageError("There is no label to export.", "Give at least one label, as names and find return them.")
        levels = {label.level for label in chosen}
        if len(levels) != 1:
            raise UsageError(f"These labels are of {len(levels)} levels.", "Export labels of one level at a time.")
        return export_run(self.run, Path(out), levels.pop(), [one.label for one in chosen], plain, Reporter())


def open_run(folder: str | Path) -> ScriptedRun:
    """Open a run folder for a script.

    Raises:
        InputError: there is no run, or it is damaged.
    """
    return ScriptedRun(open_run_folder(Path(folder)))


def _named(level: int, row: Label) -> NamedLabel:
    return NamedLabel(level, row.label, row.name, row.count, row.parent, row.center)
