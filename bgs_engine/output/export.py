"""`bgs export`: writes labels of a run as PLY files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bgs_engine.core.errors import UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.file_names import safe_name, safe_names
from bgs_engine.io.output_folder import only_writer_into
from bgs_engine.io.ply import SplatPly, write_ply
from bgs_engine.io.ply_rows import chunks_of, convert_rows, plain_dtype, row_dtype
from bgs_engine.io.run_folder import Run
from bgs_engine.output.cleaned import FILE as CRUMBS
from bgs_engine.output.cleaned import CleanLabels
from bgs_engine.output.filled import FILE as FILLED
from bgs_engine.output.filled import write_filled
from bgs_engine.output.proxies import ProxyWriter

NO_LABEL = -1  # of rows that are written to no label's file


def export_run(
    run: Run,
    out: Path,
    level: int | None,
    labels: Sequence[int] | None,
    plain: bool,
    reporter: Reporter,
    proxies: bool = False,
    filled: bool = False,
    clean: float = 0,
) -> list[Path]:
    """Write one PLY per label of `level`, for all labels or the chosen ones. Returns the paths.

    Rows keep their bytes and order. `plain` writes the 62 floats of the first 3DGS release instead, for viewers that
    read nothing else.

    Args:
        run: an open run.
        out: folder to write to.
        level: 1 = coarsest; None = the finest.
        labels: label numbers as in labels.json; None = all.
        plain: convert to 62 floats.
        reporter: told after each file.
        proxies: write the proxy of each label beside its file.
        filled: also write filled.ply: what is in none of the labels, with the holes closed that they leave.
        clean: 0 to 1; above 0, crumbs and what reaches into the air go to crumbs.ply, see `cleaned.py`.

    Raises:
        UsageError: the run has no such level or label, or `filled` is wanted without labels.
        InputError: the folder cannot be written.
    """
    if filled and not labels:
        raise UsageError("--fill needs --label: it closes the holes that these labels leave.", "Name labels.")
    level = run.layout.levels if level is None else level
    rows = _rows_of_labels(run.layout.labels(run.codes, level))
    chosen = list(rows) if labels is None else list(dict.fromkeys(labels))
    missing = [label for label in chosen if label not in rows]
    if missing:
        raise UsageError(f"Level {level} has no label {missing[0]}.", "labels.json lists the labels of every level.")
    cleaned = CleanLabels(run, level, clean) if clean else None
    if cleaned is not None:
        kept = _rows_of_labels(np.where(cleaned.kept(), cleaned.labels.astype(np.int64), NO_LABEL))
        rows = kept
    there = [label for label in chosen if label in rows]
    for label in chosen:
        if label not in rows:
            reporter.warning(
                f"Label {label} is all crumbs and strays, so it gets no file. A smaller strength keeps it."
            )
    names = {label.label: label.name for label in run.labels().of(level)}
    # The number tells labels of one name apart; without a name it stands alone.
    files = safe_names([f"{safe_name(names[label])}_{label}" if names.get(label) else str(label) for label in there])
    ply = run.ply
    if plain and ply.offset.any():
        step = float(np.spacing(np.float32(np.abs(ply.offset).max())))
        reporter.warning(
            f"The plain layout has 32-bit positions, which are {step:.3g} units apart so far from the origin. Export "
            "without --plain to keep them exact."
        )
    reporter.stage("Exporting")
    paths = []
    meshes = ProxyWriter(ply, cleaned.gaussians() if cleaned else None) if proxies else None
    with only_writer_into(out):
        for label, name in reporter.track(list(zip(there, files, strict=True)), len(there)):
            path = out / f"{name}.ply"
            write_rows(path, ply, rows[label], plain, cleaned.parts(rows[label]) if cleaned else None)
            paths.append(path)
            if meshes is not None:
                meshes.write(path, rows[label])
        if cleaned is not None:
            paths += _write_crumbs(out / CRUMBS, ply, cleaned, chosen, plain, reporter)
        if filled:
            paths.append(out / FILLED)
            write_filled(paths[-1], run, level, chosen, plain, reporter, cleaned)
    if meshes is not None:
        meshes.tell(reporter)
    reporter.artifact("export", out)
    return paths


def _rows_of_labels(of_row: np.ndarray) -> dict[int, np.ndarray]:
    """The rows of each label, ascending; of_row int [N]."""
    order = np.argsort(of_row, kind="stable")
    ids, starts = np.unique(of_row[order], return_index=True)
    return dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True))


def _write_crumbs(
    path: Path, ply: SplatPly, cleaned: CleanLabels, labels: Sequence[int], plain: bool, reporter: Reporter
) -> list[Path]:
    """Write what was taken from these labels, if anything was."""
    cleaned.tell(np.array(labels), reporter)
    taken = cleaned.taken(np.array(labels))
    if not len(taken):
        return []
    write_rows(path, ply, taken, plain, cleaned.taken_parts(taken))
    return [path]


def write_rows(
    path: Path, ply: SplatPly, rows: np.ndarray, plain: bool, parts: Iterator[np.ndarray] | None = None
) -> None:
    """Write some rows of a splat as a PLY; rows int [K], kept in that order. parts: what to write for them instead."""
    dtype = plain_dtype() if plain else ply.dtype
    if parts is None:
        parts = (ply.take(some) for some in chunks_of(rows))
        dtype = dtype if plain else row_dtype(ply, ())
    chunks = (part if part.dtype == dtype else convert_rows(part, dtype) for part in parts)
    write_ply(path, dtype, chunks, len(rows), () if plain else ply.comments)
