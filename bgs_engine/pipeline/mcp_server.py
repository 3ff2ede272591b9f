"""`bgs mcp`: lets an assistant work on runs, over standard input and output (the Model Context Protocol).

The tools are verbs of `bgs`: list, find, similar, select, export, render. Every path lies inside the folder that the
command line names. Without leave to change things, nothing is written.
"""

import io
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pictures

from bgs_engine.core.errors import BgsError, EnvironmentLacksError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.input_files import is_folder
from bgs_engine.devices.choice import resolve
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.output_place import is_run_folder
from bgs_engine.io.pictures import overlay, to_bytes
from bgs_engine.io.run_folder import Run, open_run
from bgs_engine.output.export import export_run
from bgs_engine.output.graph import graph_of_run
from bgs_engine.output.label_pictures import LabelColors
from bgs_engine.output.orbit import orbit_cameras
from bgs_engine.output.run_up import run_up
from bgs_engine.output.similar import similar_labels
from bgs_engine.pipeline.finding import find_by_name, find_by_picture
from bgs_engine.pipeline.word_vectors import WordVectors, vectors_key, word_vectors
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.label_maps import label_renderer
from bgs_engine.raster.scene import RasterScene
from bgs_engine.words.model import ImageTextModel

MOST_RUNS, MOST_LISTED = 200, 500
SIZE = (640, 480)  # pixels of a picture
SIDES = 8  # directions from which a picture can be rendered
RELATIONS = ("touching", "above", "below", "inside")


class RunTools:
    """The tools. `root`: the folder that holds all runs, or is one. `changes`: whether files may be written.

    `model`: what finds by words.
    """

    def __init__(self, root: Path, changes: bool, model: ImageTextModel | None = None) -> None:
        if not is_folder(root):
            raise UsageError(f"There is no folder {root}.", "Name a run folder, or a folder with runs.")
        self.root, self.changes, self.model = Path(os.path.realpath(root)), changes, model
        self._vectors: dict[str, dict[int, WordVectors]] = {}  # of the runs that were looked at, if none may be written

    def inside(self, path: str) -> Path:
        """A path below the root, with links resolved.

        Raises:
            UsageError: it leads out of the root.
        """
        if "\0" in path:
            raise UsageError("A path cannot hold the character 0.", "list_runs names all runs.")
        found = Path(os.path.realpath(self.root / path))
        if not found.is_relative_to(self.root):
            raise UsageError(f"{path} lies outside the folder that this server serves.", "Name a path below it.")
        return found

    def _run(self, run: str) -> Run:
        folder = self.inside(run)
        if not is_run_folder(folder):
            raise UsageError(f"There is no run {run}.", "list_runs names all of them.")
        return open_run(folder)

    def list_runs(self) -> list[str]:
        """The run folders, as paths relative to the served folder; "." is the folder itself."""
        found = ["."] if is_run_folder(self.root) else []
        for where, folders, _ in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in list(folders):
                if is_run_folder(Path(where) / name):
                    found.append((Path(where) / name).relative_to(self.root).as_posix())
                    folders.remove(name)
            if len(found) >= MOST_RUNS:
                break
        return found[:MOST_RUNS]

    def list_labels(self, run: str, level: int = 1) -> list[dict[str, Any]]:
        """The labels of a level of a run, the largest first: number, name, Gaussians, parent, middle. Level 1 is the
        coarsest."""
        rows = self._run(run).labels().of(level)[:MOST_LISTED]
        return [
            {"label": row.label, "name": row.name, "count": row.count, "parent": row.parent, "center": list(row.center)}
            for row in rows
        ]

    def find(self, run: str, text: str, level: int | None = None) -> list[dict[str, Any]]:
        """The labels whose names hold all words of a text, at one level or at all."""
        hits = find_by_name(self._run(run), text, level)[:MOST_LISTED]
        return [{"level": hit.level, "label": hit.label, "name": hit.name} for hit in hits]

    def find_by_words(
        self, run: str, text: str, unwanted: list[str] | None = None, level: int | None = None, top: int = 10
    ) -> list[dict[str, Any]]:
        """The labels whose pictures fit a text, such as "a mug", best first, at one level or at all. unwanted: texts
        that they must not fit. found: whether the text fits better than everything else. The first call takes long."""
        if self.model is None:
            raise UsageError("This server has no image-text model.", "Start it with a model.")
        opened = self._run(run)
        if level is not None:
            opened.layout.bits_to(level)
        key = vectors_key(opened, self.model)
        if key not in self._vectors:
            self._vectors = {key: word_vectors(opened, self.model, Reporter(), keep=self.changes)}
        hits = find_by_picture(opened, self.model, self._vectors[key], text, unwanted or [], level)
        return [asdict(hit) | {"score": round(hit.score, 3)} for hit in hits[: max(1, top)]]

    def similar(self, run: str, label: str, level: int | None = None, top: int = 10) -> list[dict[str, Any]]:
        """The labels of a level that look like one of them, given by number or name, with their likeness 0 to 1."""
        found = similar_labels(self._run(run), label, level)[: max(1, top)]
        return [{"label": row.label, "name": row.name, "likeness": round(alike, 3)} for row, alike in found]

    def select(
        self,
        run: str,
        level: int,
        least_count: int = 0,
        most_count: int | None = None,
        relation: str | None = None,
        of_label: int | None = None,
    ) -> list[dict[str, Any]]:
        """The labels of a level that meet all conditions: number of Gaussians, and their relation (touching, above,
        below or inside) to another label."""
        opened = self._run(run)
        rows = opened.labels().of(level)
        if (relation is None) != (of_label is None):
            raise UsageError("relation and of_label go together.", "Give both of them, or none.")
        if relation is not None:
            if relation not in RELATIONS:
                raise UsageError(f"There is no relation {relation}.", f"Choose from {', '.join(RELATIONS)}.")
            ids, graph = graph_of_run(opened, level)
            if of_label not in ids:
                raise UsageError(f"Level {level} has no label {of_label}.", "list_labels names all of them.")
            ask = {"touching": graph.touching, "above": graph.above, "below": graph.below, "inside": graph.inside_of}
            related = set(np.array(ids)[ask[relation](np.array(ids) == of_label)].tolist())
            rows = [row for row in rows if row.label in related]
        most = float("inf") if most_count is None else most_count
        return [
            {"label": row.label, "name": row.name, "count": row.count}
            for row in rows
            if least_count <= row.count <= most
        ][:MOST_LISTED]

    def picture(self, run: str, level: int | None = None, side: int = 0) -> bytes:
        """A PNG of a run from outside: colours, or with a level its labels over them. side: 0 to 7, round the scene."""
        opened = self._run(run)
        gaussians = load_gaussians(opened.ply)
        scene = RasterScene.from_gaussians(gaussians)
        camera = orbit_cameras(gaussians, run_up(opened, gaussians), SIDES, *SIZE)[side % SIDES]
        frame = to_bytes(render_color(scene, camera))
        if level is not None:
            opened.layout.bits_to(level)
            columns = (scene.from_file_order(opened.codes), scene.from_file_order(opened.opacities))
            found = label_renderer(resolve("cpu"), scene, *columns, opened.layout.total)(camera)
            frame = overlay(frame, LabelColors(opened.codes, opened.layout).picture(found, level))
        out = io.BytesIO()
        Pictures.fromarray(frame).save(out, format="PNG")
        return out.getvalue()

    def export(self, run: str, level: int, labels: list[int], folder: str) -> list[str]:
        """Write one PLY file for each label into a folder below the served one. Returns their paths."""
        if not self.changes:
            raise UsageError("This server may not write files.", "Start it with leave to change things.")
        paths = export_run(self._run(run), self.inside(folder), level, labels, False, Reporter())
        return [path.relative_to(self.root).as_posix() for path in paths]


def serve(root: Path, changes: bool, model: ImageTextModel | None = None) -> None:
    """Answer an assistant on standard input and output, until it hangs up.

    Raises:
        UsageError: there is no such folder.
        EnvironmentLacksError: the package mcp is missing.
    """
    tools = RunTools(root, changes, model)
    try:
        from mcp.server.mcpserver import Image, MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise EnvironmentLacksError(
            f"The server needs the package {error.name or 'mcp'}.", "Run: pip install 'bgs-engine[mcp]'"
        ) from None
    server = MCPServer("bgs", instructions="Runs of Binary Gaussian Segmentation: labels of 3D Gaussian splats.")

    def render(run: str, level: int | None = None, side: int = 0) -> Image:
        return Image(data=tools.picture(run, level, side), format="png")

    render.__doc__ = tools.picture.__doc__
    reading: list[Callable[..., Any]] = [
        tools.list_runs,
        tools.list_labels,
        tools.find,
        tools.similar,
        tools.select,
        render,
    ]
    reading += [tools.find_by_words] if model is not None else []
    for tool in reading:
        hint = ToolAnnotations(read_only_hint=True)
        server.add_tool(
            _plain(tool, ToolError), annotations=hint, structured_output=None if tool is not render else False
        )
    if changes:
        server.add_tool(
            _plain(tools.export, ToolError), annotations=ToolAnnotations(read_only_hint=False, destructive_hint=True)
        )
    server.run("stdio")


def _plain(tool: Callable[..., Any], kind: type[Exception]) -> Callable[..., Any]:
    """The tool with its errors as sentences for the assistant: `kind` is what the library passes on."""

    @wraps(tool)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return tool(*arguments, **named)
        except BgsError as error:
            raise kind(f"{error.message} {error.hint}".strip()) from None

    return call
