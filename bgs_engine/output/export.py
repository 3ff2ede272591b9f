"""`bgs export`: writes labels of a run as PLY files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bgs_engine.core.errors import UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.file_names import safe_name, safe_names
from bgs_engine.io.output_folder import only_writer_into
from bgs_engine.io.ply import CHUNK_ROWS, SplatPly, write_ply
from bgs_engine.io.ply_rows import convert_rows, plain_dtype
from bgs_engine.io.run_folder import Run
from bgs_engine.output.filled import FILE as FILLED
from bgs_engine.output.filled import write_filled
from bgs_engine.output.proxies import ProxyWriter


def export_run(
    run: Run,
    out: Path,
    level: int | None,
    labels: Sequence[int] | None,
    plain: bool,
    reporter: Reporter,
    proxies: bool = False,
    filled: bool = False,
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

    Raises:
        UsageError: the run has no such level or label, or `filled` is wanted without labels.
        InputError: the folder cannot be written.
    """
    if filled and not labels:
        raise UsageError("--fill needs --label: it closes the holes that these labels leave.", "Name labels.")
    level = run.layout.levels if level is None else level
    of_row = run.layout.labels(run.codes, level)
    order = np.argsort(of_row, kind="stable")
    ids, starts = np.unique(of_row[order], return_index=True)
    rows = dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True))
    chosen = list(rows) if labels is None else list(labels)
    missing = [label for label in chosen if label not in rows]
    if missing:
        raise UsageError(f"Level {level} has no label {missing[0]}.", "labels.json lists the labels of every level.")
    names = {label.label: label.name for label in run.labels().of(level)}
    # The number tells labels of one name apart; without a name it stands alone.
    files = safe_names([f"{safe_name(names[label])}_{label}" if names.get(label) else str(label) for label in chosen])
    ply = run.ply
    if plain and ply.offset.any():
        step = float(np.spacing(np.float32(np.abs(ply.offset).max())))
        reporter.warning(
            f"The plain layout has 32-bit positions, which are {step:.3g} units apart so far from the origin. Export "
            "without --plain to keep them exact."
        )
    reporter.stage("Exporting")
    paths = []
    meshes = ProxyWriter(ply) if proxies else None
    with only_writer_into(out):
        for label, name in reporter.track(list(zip(chosen, files, strict=True)), len(chosen)):
            path = out / f"{name}.ply"
            write_rows(path, ply, rows[label], plain)
            paths.append(path)
            if meshes is not None:
                meshes.write(path, rows[label])
        if filled:
            paths.append(out / FILLED)
            write_filled(paths[-1], run, level, chosen, plain, reporter)
    if meshes is not None:
        meshes.tell(reporter)
    reporter.artifact("export", out)
    return paths


def write_rows(path: Path, ply: SplatPly, rows: np.ndarray, plain: bool) -> None:
    """Write some rows of a splat as a PLY; rows int [K], kept in that order."""
    dtype = plain_dtype() if plain else ply.dtype

    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, len(rows), CHUNK_ROWS):
            part = ply.take(rows[start : start + CHUNK_ROWS])
            yield convert_rows(part, dtype) if plain else part

    write_ply(path, dtype, chunks(), len(rows), () if plain else ply.comments)
