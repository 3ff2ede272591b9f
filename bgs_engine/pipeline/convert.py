"""`bgs convert`: a splat of any format, with its labels, as a file of another format."""

from pathlib import Path

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import check_writable
from bgs_engine.formats.raw_splat import SplatLabels
from bgs_engine.formats.read import PLY, file_of, open_splat
from bgs_engine.formats.write import Written, format_to_write, losses, refuse_target, write_splat
from bgs_engine.io.ply import SplatPly
from bgs_engine.io.run_folder import open_run, positions_sha256


def convert(
    source: Path, out: Path, reporter: Reporter, run: Path | None = None, layout: BitLayout | None = None
) -> str:
    """Write the splat `source` to `out`, in the format of its ending. Returns what was written and lost, in sentences.

    Args:
        source: a file of any format, or a run folder.
        out: the new file. An earlier one is replaced when the new one is whole.
        reporter: told of the stages, of labels that cannot be used, and of the file.
        run: a run of this splat, whose labels it gets.
        layout: the bits of codes that come without a label table; None: the usual ones.

    Raises:
        InputError: the source cannot be read, the run is one of another splat, or the file cannot be written.
        UsageError: the ending is that of no format that can be written, or the file would replace its source.
        EnvironmentLacksError: a format needs a package that is missing.
        CancelledError: the user stopped it. Nothing is written.
    """
    out = Path(out)
    file = file_of(source)
    refuse_target(out, file)
    format_to_write(out)  # before the source is read, which may take a minute
    check_writable(out.parent)
    reporter.plan((("Reading scene", 1.0), ("Writing", 1.0)))
    reporter.stage("Reading scene")
    opened = open_splat(source, layout)
    for note in opened.notes:
        reporter.warning(note)
    labels = labels_of_run(opened.ply, run) if run else opened.labels
    reporter.metric("gaussians", opened.ply.count)
    reporter.check()
    reporter.stage("Writing")
    named = run is not None or opened.known_labels is not None
    written = write_splat(out, opened.ply, labels, named)
    reporter.artifact("splat", out)
    return f"{_what(out, labels, written)} {losses(written.format, opened.ply)}"


def labels_of_run(ply: SplatPly, folder: Path) -> SplatLabels:
    """The labels of a run for the rows of a splat.

    Raises:
        InputError: the run cannot be opened, or has other Gaussians than the splat.
    """
    run = open_run(folder)
    if len(run.codes) != ply.count or positions_sha256(run.ply) != positions_sha256(ply):
        raise InputError(
            f"{Path(folder).name} is the run of another splat than {ply.path.name}.",
            "Convert the run folder itself: it holds its splat.",
        )
    return SplatLabels(run.codes, run.layout, run.labels())


def _what(out: Path, labels: SplatLabels | None, written: Written) -> str:
    said = f"{out.name} has {written.gaussians:,} Gaussians as {written.format.name}."
    if labels is None:
        return f"{said} The splat has no labels."
    counts = ", ".join(str(len(level)) for level in labels.table.levels)
    where = "in the file"
    if written.labels_file:
        where = f"in {written.labels_file.name} beside it"
        where = f"in the file as codes, and with names {where}" if written.format is PLY else where
    return f"{said} Its labels ({counts} at levels 1 to {labels.layout.levels}) are {where}."
