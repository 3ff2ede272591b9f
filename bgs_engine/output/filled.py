"""`bgs export --fill`: the splat without the exported labels, with the holes closed that they leave."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bgs_engine.core.codes import CODE_BYTE_NAMES, code_bytes
from bgs_engine.core.events import Reporter
from bgs_engine.cutouts.fill import Fill, fill
from bgs_engine.cutouts.fill_label import code_of_label, label_of_fill
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import SplatPly, write_ply
from bgs_engine.io.ply_rows import chunks_of, convert_rows, plain_dtype
from bgs_engine.io.run_folder import Run
from bgs_engine.output.cleaned import CleanLabels

FILE = "filled.ply"


def write_filled(
    path: Path,
    run: Run,
    level: int,
    labels: Sequence[int],
    plain: bool,
    reporter: Reporter,
    cleaned: CleanLabels | None = None,
) -> None:
    """Write all rows that are in none of the labels, byte for byte, and behind them the fills.

    The fill of each label has a free label of `level` beside the surface that it continues. The reporter is told which
    label of the file that is. cleaned: the labels, if strays went to the labels around them.

    Raises:
        UsageError: no label is free.
        InputError: the file cannot be written.
    """
    ply, layout = run.ply, run.layout
    gaussians, of_row = load_gaussians(ply), layout.labels(run.codes, level) if cleaned is None else cleaned.labels
    kept = ~np.isin(of_row, labels)
    used, fills = set(np.unique(of_row).tolist()), []
    for label in labels:
        scene = np.flatnonzero(kept | (of_row == label))
        made = fill(gaussians.take(scene), of_row[scene] == label, of_row[scene])
        sentence = made.sentence
        if len(made):
            sources = scene[made.sources]
            new = label_of_fill(run.codes[sources], layout, level, used)
            used.add(new)
            fills.append(filled_rows(ply, made, sources, code_of_label(new, layout, level)))
            sentence += f" They have label {new} of level {level}."
        reporter.metric(f"fill_{label}", sentence)
    dtype, rows = plain_dtype() if plain else ply.dtype, np.flatnonzero(kept)

    def chunks() -> Iterator[np.ndarray]:
        rest = (ply.take(some) for some in chunks_of(rows)) if cleaned is None else cleaned.untrimmed_parts(rows)
        for part in itertools.chain(rest, fills):
            yield convert_rows(part, dtype) if plain else part

    write_ply(path, dtype, chunks(), len(rows) + sum(map(len, fills)), () if plain else ply.comments)


def filled_rows(ply: SplatPly, made: Fill, sources: np.ndarray, code: np.int32) -> np.ndarray:
    """The copies as rows of the PLY: those of their sources, int [K], with new places, rotations, colours and code."""
    rows, copies = ply.take(sources).copy(), made.gaussians
    for k, name in enumerate("xyz"):
        rows[name] = copies.means[:, k] + ply.offset[k]
    for k in range(4):
        rows[f"rot_{k}"] = copies.quats[:, k]
    assert copies.sh is not None  # loaded with colours
    rest = copies.sh.shape[1] - 1
    for channel in range(3):
        rows[f"f_dc_{channel}"] = copies.sh[:, 0, channel]
        for k in range(rest):
            rows[f"f_rest_{channel * rest + k}"] = copies.sh[:, 1 + k, channel]
    for name, value in zip(CODE_BYTE_NAMES, code_bytes(np.array([code], np.int32))[0], strict=True):
        if name in ply.names:
            rows[name] = value
    return rows
