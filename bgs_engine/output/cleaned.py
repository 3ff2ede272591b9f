"""`bgs export --clean`: labels without crumbs and without what reaches out of them into the air."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bgs_engine.core.codes import CODE_BYTE_NAMES, code_bytes
from bgs_engine.core.errors import UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.cutouts.crumbs import STRAY
from bgs_engine.cutouts.trimming import Halves, trim
from bgs_engine.io.gaussians import Gaussians, load_gaussians, logit
from bgs_engine.io.ply import SplatPly
from bgs_engine.io.ply_rows import chunks_of
from bgs_engine.io.run_folder import Run, read_confidence
from bgs_engine.output.crumbs import found_in_run

FILE = "crumbs.ply"  # what was taken from the labels


class CleanLabels:
    """The labels of one level as `--clean` writes them. The source file is not changed."""

    def __init__(self, run: Run, level: int, strength: float) -> None:
        """strength: 0 to 1; 0 changes nothing.

        Raises:
            UsageError: the strength is out of range.
        """
        if not 0 <= strength <= 1:
            raise UsageError(f"There is no strength {strength:g}.", "Choose one from 0 to 1, such as 0.5.")
        gaussians = load_gaussians(run.ply)
        of_row = run.layout.labels(run.codes, level)
        found = found_in_run(run, level, gaussians, read_confidence(run.folder, len(of_row)))
        kinds = found.at(strength)
        strays = kinds == STRAY
        self._ply, self._strays = run.ply, strays
        self._codes = np.where(strays, run.codes[np.where(strays, found.hosts, 0)], run.codes)
        self.labels = np.where(strays, of_row[np.where(strays, found.hosts, 0)], of_row)
        self.crumbs = (kinds > 0) & ~strays
        # Crumbs are transparent here, so they are no surface that something could belong to.
        opacities = np.where(self.crumbs, np.float32(0), gaussians.opacities)
        self.trimmed = trim(replace(gaussians, opacities=opacities), self.labels, strength)
        self._gaussians = gaussians
        self._at = np.full(len(of_row), -1)
        self._at[self.trimmed.rows] = np.arange(len(self.trimmed.rows))

    def kept(self) -> np.ndarray:
        """Which rows stay in their label, whole or trimmed, bool [N]."""
        kept = ~self.crumbs
        kept[self.trimmed.rows[self.trimmed.gone]] = False
        return kept

    def parts(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """What stays of `rows` int [K], as rows of the file, some at a time."""
        return (self._shaped(some, self.trimmed.stays) for some in chunks_of(rows))

    def gaussians(self) -> Gaussians:
        """The Gaussians with the shapes that stay."""
        gaussians, found = self._gaussians, self.trimmed
        columns = []
        for name in ("means", "quats", "scales", "opacities"):
            column = getattr(gaussians, name).copy()
            column[found.rows] = getattr(found.stays, name)
            columns.append(column)
        return replace(gaussians, **dict(zip(("means", "quats", "scales", "opacities"), columns, strict=True)))

    def untrimmed_parts(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """`rows` as the file has them, some at a time, but strays have the code of the label around them."""
        return (self._coded(self._ply.take(some), some) for some in chunks_of(rows))

    def taken(self, labels: np.ndarray) -> np.ndarray:
        """The rows of these labels of which something was taken, int [K]."""
        taken = self.crumbs | (self._at >= 0)
        return np.flatnonzero(taken & np.isin(self.labels, labels))

    def taken_parts(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """What was taken of `rows`, as rows of the file, some at a time."""
        return (self._shaped(some, self.trimmed.cut_off) for some in chunks_of(rows))

    def tell(self, labels: np.ndarray, reporter: Reporter) -> None:
        """Tell the reporter how much was taken of these labels."""
        inside = np.isin(self.labels, labels)
        reporter.metric("crumbs", int((self.crumbs & inside).sum()))
        reporter.metric("trimmed", int(inside[self.trimmed.rows].sum()))

    def _shaped(self, rows: np.ndarray, halves: Halves) -> np.ndarray:
        """Rows of the file. Trimmed ones have the shapes of `halves`, and strays the code of the label around them."""
        part = self._ply.take(rows)
        at = self._at[rows]
        some = np.flatnonzero(at >= 0)
        if len(some):
            part = part.copy()
            _put(part, some, halves, at[some], self._ply)
        return self._coded(part, rows)

    def _coded(self, part: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The same rows of the file; strays have the code of the label around them."""
        strays = np.flatnonzero(self._strays[rows])
        if len(strays):
            part = part.copy()
            for name, values in zip(CODE_BYTE_NAMES, code_bytes(self._codes[rows[strays]]).T, strict=True):
                if name in self._ply.names:
                    part[name][strays] = values
        return part


def _put(part: np.ndarray, some: np.ndarray, halves: Halves, at: np.ndarray, ply: SplatPly) -> None:
    """Write shapes into structured rows: `some` int [K] of them, from the rows `at` int [K] of the halves."""
    for k, axis in enumerate("xyz"):
        part[axis][some] = halves.means[at, k] + ply.offset[k]
        part[f"scale_{k}"][some] = np.log(halves.scales[at, k])
    for k in range(4):
        part[f"rot_{k}"][some] = halves.quats[at, k]
    part["opacity"][some] = logit(halves.opacities[at])
