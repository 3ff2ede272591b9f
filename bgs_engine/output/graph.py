"""`bgs graph`: writes which labels of a run touch, stand on and lie inside which, as JSON and as a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from bgs_engine.core.events import Reporter
from bgs_engine.core.files import write_json
from bgs_engine.graph.label_graph import LabelGraph, label_graph
from bgs_engine.graph.nodes import upright
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.output_folder import only_writer_into
from bgs_engine.io.pictures import save_png
from bgs_engine.io.run_folder import Run
from bgs_engine.output.label_pictures import LabelColors
from bgs_engine.output.run_up import run_up

FORMAT = 1
SIZE, MARGIN = 1200, 90  # pixels
DOTS = (5, 26)  # radii, pixels, of the smallest and the largest label
INK, PAPER, STANDING = (40, 40, 40), (255, 255, 255), (200, 60, 40)


def graph_of_run(run: Run, level: int | None) -> tuple[list[int], LabelGraph]:
    """The labels of a level, ascending, and their graph, which numbers them in that order.

    Raises:
        UsageError: the run has no such level.
    """
    splat = load_gaussians(run.ply, colors=False)
    ids, of = np.unique(
        run.layout.labels(run.codes, run.layout.levels if level is None else level), return_inverse=True
    )
    columns = (splat.means, splat.scales, splat.opacities)
    return ids.tolist(), label_graph(*columns, of.reshape(-1), len(ids), run_up(run, splat))


def as_json(run: Run, level: int | None) -> dict[str, Any]:
    """The content of graph.json; docs/reference/formats.md describes it.

    Raises:
        UsageError: the run has no such level.
    """
    level = run.layout.levels if level is None else level
    ids, graph = graph_of_run(run, level)
    rows = run.labels().of_codes(level, ids)
    return {
        "format": FORMAT,
        "level": level,
        "width": graph.width,
        "labels": [{"label": row.label, "name": row.name} for row in rows],
        "touching": [
            {"labels": [ids[a], ids[b]], "area": area}
            for (a, b), area in zip(graph.pairs.tolist(), graph.areas.tolist(), strict=True)
        ],
        "standing": [{"upper": ids[a], "lower": ids[b]} for a, b in graph.standing.tolist()],
        "inside": [
            {"inner": ids[a], "outer": ids[b], "share": share}
            for (a, b), share in zip(graph.inside.tolist(), graph.shares.tolist(), strict=True)
        ],
    }


def write_graph(run: Run, level: int | None, out: Path, reporter: Reporter) -> None:
    """Write out/graph.json and out/graph.png.

    Raises:
        UsageError: the run has no such level.
        OutputError: the folder cannot be written.
    """
    found = as_json(run, level)
    picture = _picture(run, found)
    with only_writer_into(out):
        write_json(out / "graph.json", found)
        save_png(out / "graph.png", picture)
    reporter.artifact("graph", out / "graph.json")


def _picture(run: Run, found: dict[str, Any]) -> np.ndarray:
    """The labels as dots where they are, seen from the front and a little from above; a red line leads upwards."""
    rows = run.labels().of(found["level"])
    centers = np.array([row.center for row in rows]) @ upright(run_up(run, load_gaussians(run.ply, colors=False))).T
    flat = np.stack([centers[:, 0] + 0.35 * centers[:, 1], -(centers[:, 2] + 0.55 * centers[:, 1])], 1)
    low, high = flat.min(0), flat.max(0)
    scale = (SIZE - 2 * MARGIN) / max(float((high - low).max()), 1e-30)
    places = (flat - (low + high) / 2) * scale + SIZE / 2
    at = {row.label: place for row, place in zip(rows, places.tolist(), strict=True)}
    image = Image.new("RGB", (SIZE, SIZE), PAPER)
    draw = ImageDraw.Draw(image)
    standing = {frozenset((one["upper"], one["lower"])) for one in found["standing"]}
    widest = max((one["area"] for one in found["touching"]), default=1.0)
    for one in found["touching"]:
        a, b = one["labels"]
        upwards = frozenset((a, b)) in standing
        width = 1 + round(5 * (one["area"] / widest) ** 0.5)
        draw.line([*at[a], *at[b]], STANDING if upwards else INK, width)
    colors, most = LabelColors(run.codes, run.layout).of(found["level"]), max(row.count for row in rows)
    for row in rows:
        (x, y), radius = at[row.label], DOTS[0] + (DOTS[1] - DOTS[0]) * (row.count / most) ** 0.5
        fill = tuple(round(255 * value) for value in colors[row.label])
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill, INK)
        draw.text((x + radius + 3, y - 6), row.name.encode("latin-1", "replace").decode("latin-1"), INK)
    return np.asarray(image)
