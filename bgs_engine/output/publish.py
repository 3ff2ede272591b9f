"""`bgs publish`: writes a run as a web page that opens from its folder, with no server and no network."""

import gzip
import hashlib
import html
import json
import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core import disk
from bgs_engine.core.errors import EnvironmentLacksError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.file_names import safe_name, safe_names
from bgs_engine.core.file_set import files_below
from bgs_engine.core.files import cannot_write, write_json, write_text, writing
from bgs_engine.core.label_table import Label
from bgs_engine.core.palette import TINT_SHARE, Color, label_colors
from bgs_engine.io.gaussians import Gaussians, load_gaussians
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.output_place import FolderKind, checked_place, partial_folder, recover
from bgs_engine.io.run_folder import Run, deliver
from bgs_engine.output.publish_columns import MOST_SH_DEGREE, Column, columns_of
from bgs_engine.output.publish_view import first_view

MARKER = "page.json"
FORMAT = 1
PAGE_FILES = ("page.css", "data.js", "labels.js", "orbit.js", "picking.js", "ply.js", "scene.js", "panel.js", "main.js")
RENDERER = "PlayCanvas Engine 2.23.3"
RENDERER_FILE = "playcanvas-2.23.3.min.js"  # from the npm package playcanvas 2.23.3; it lies packed in page/
RENDERER_SHA256 = "fea87830de8d74b71fe3ef6c7ce1e04a5aa60c5e9976da06b866774ea9ae9711"
RENDERER_LICENCE = "playcanvas-LICENSE.txt"
BACKGROUND = (0.0, 0.0, 0.0)  # as in the pictures of `bgs render`
HIGHLIGHT, HIGHLIGHT_SHARE = (1.0, 0.77, 0.25), 0.6  # sRGB of the selected label, and its share in the colour


def _known(name: str) -> bool:
    """Whether a page without a list of its files has written one of this name."""
    own = {"index.html", RENDERER_LICENCE, *PAGE_FILES}
    return name in own or re.fullmatch(r"playcanvas-[0-9.]+min[.]js|data/[a-z]+(_[0-9]+)?[.]js", name) is not None


PAGE = FolderKind("web page", MARKER, ("index.html",), _known)


def publish_run(run: Run, out: Path, title: str | None, sh_degree: int, reporter: Reporter) -> None:
    """Write the page of a run into `out`. An earlier page there is replaced once the new one stands.

    Args:
        run: an open run.
        out: folder to write. It may hold an earlier page, of which only its own files are replaced.
        title: heading of the page; None = the name of the run folder.
        sh_degree: the highest degree of spherical harmonics that is kept, 0 to 3.

    Raises:
        UsageError: there is no such degree, the folder holds files of others, or another job writes there.
        InputError: the run is damaged.
        OutputError: the folder cannot be written.
    """
    if not 0 <= sh_degree <= MOST_SH_DEGREE:
        raise UsageError(
            f"A page keeps no harmonics of degree {sh_degree}.", f"Choose a degree from 0 to {MOST_SH_DEGREE}."
        )
    place = checked_place(out, (run.folder,), PAGE)
    partial = partial_folder(place)
    with only_writer(place):
        try:
            recover(place, PAGE)
            disk.remove_tree(partial)
        except OSError as error:
            raise cannot_write(partial, error) from None
        try:
            _write(partial, run, title or run.folder.resolve().name, sh_degree, reporter)
            deliver(place, PAGE)
        except BaseException:
            disk.discard(partial)
            raise
    reporter.artifact("page", place / "index.html")


def _write(folder: Path, run: Run, title: str, sh_degree: int, reporter: Reporter) -> None:
    reporter.stage("Publishing")
    gaussians = load_gaussians(run.ply)
    columns = columns_of(gaussians, run.codes, sh_degree)
    scripts = []
    for column in reporter.track(columns, len(columns)):
        for number, text in enumerate(column.scripts()):
            scripts.append(f"data/{column.name}_{number}.js")
            write_text(folder / scripts[-1], text)
    facts = json.dumps(_head(run, gaussians, columns), allow_nan=False)
    write_text(folder / "data" / "head.js", f"pageHead({facts});\n")
    source = resources.files(__package__) / "page"
    for name in (*PAGE_FILES, RENDERER_LICENCE):
        write_text(folder / name, (source / name).read_text(encoding="utf-8"))
    _write_renderer(folder / RENDERER_FILE, source)
    write_text(folder / "index.html", _index(source, title, ["data/head.js", *scripts]))
    info = {"format": FORMAT, "title": title, "gaussians": len(gaussians), "renderer": RENDERER}
    write_json(folder / MARKER, {**info, "files": [*files_below(folder), MARKER]})


def _write_renderer(path: Path, source: Traversable) -> None:
    script = gzip.decompress((source / f"{RENDERER_FILE}.gz").read_bytes())
    if hashlib.sha256(script).hexdigest() != RENDERER_SHA256:
        raise EnvironmentLacksError("The engine's copy of PlayCanvas is damaged.", "Install the engine again.")
    with writing(path) as stream:
        stream.write(script)


def _index(source: Traversable, title: str, scripts: list[str]) -> str:
    text = (source / "index.html").read_text(encoding="utf-8")
    printed = title.encode("utf-8", "replace").decode("utf-8")  # names of folders may hold half a character
    values = {
        "title": html.escape(printed),
        "renderer": RENDERER_FILE,
        "data": "\n".join(f'<script src="{name}"></script>' for name in scripts),
    }
    return re.sub(r"{{(\w+)}}", lambda found: values[found[1]], text)


def _head(run: Run, gaussians: Gaussians, columns: list[Column]) -> dict[str, Any]:
    """The facts that the page has beside the columns."""
    return {
        "count": len(gaussians),
        "offset": gaussians.offset.tolist(),
        "level_bits": run.layout.level_bits,
        "levels": _levels(run),
        "columns": [column.facts() for column in columns],
        "camera": first_view(run, gaussians),
        "background": BACKGROUND,
        "highlight": HIGHLIGHT,
        "highlight_share": HIGHLIGHT_SHARE,
        "tint_share": TINT_SHARE,
        "renderer": RENDERER,
    }


def _levels(run: Run) -> list[list[dict[str, Any]]]:
    """The labels of each level, largest first, with the colours and file names that an export gives them."""
    table = run.labels()
    used, counts = np.unique(run.codes.view(np.uint32), return_counts=True)
    rows_of = [
        table.of_codes(level, np.unique(run.layout.labels(used, level)).tolist())
        for level in range(1, run.layout.levels + 1)
    ]
    given = {
        (level, row.label): row.shown_color for level, rows in enumerate(rows_of, 1) for row in rows if row.shown_color
    }
    colors = label_colors(run.layout, used, counts, given)
    levels = []
    for level, rows in enumerate(rows_of, 1):
        names = [f"{safe_name(row.name)}_{row.label}" if row.name else str(row.label) for row in rows]
        files = safe_names(names)
        levels.append([_label(row, colors[level, row.label], file) for row, file in zip(rows, files, strict=True)])
    return levels


def _label(row: Label, color: Color, file: str) -> dict[str, Any]:
    box = {"low": row.box_min, "high": row.box_max}
    return {"label": row.label, "name": row.name, "count": row.count, "color": color, "file": file, **box}
