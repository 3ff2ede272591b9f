# mypy: disable-error-code="attr-defined, arg-type"
"""Writes a scene as a shot and starts the engine, which renders its frames.

Every visible splat object becomes one PLY in its own space. A frame consists of a camera and the objects' matrices.
Animated objects therefore need only one PLY.
"""

import filecmp
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bgs_engine.core.errors import UsageError
from bgs_engine.io.ply import CHUNK_ROWS, write_ply

from ..cloud import appearance, code_tables, evaluated, light, point_clouds
from ..cloud.evaluated_splat import shown
from ..cloud.properties import BGS_Splat
from ..cloud.scene_frames import go_to, kept_frame
from ..cloud.typed import SplatObject, SplatScene
from ..engine import segmenting
from ..engine.job import Job
from ..engine.locate import command
from ..logic.attribute_rows import rows_from
from ..logic.attributes import CODE
from ..logic.lens import lens_of, viewmat_of

PASSES = ("color", "label", "mask", "depth")


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """The options of a render."""

    passes: tuple[str, ...] = ("color",)  # of `PASSES`
    exr: bool = False  # write OpenEXR instead of PNG
    frames: tuple[int, ...] = ()  # frame numbers; empty means the current frame


def renderable(scene: SplatScene) -> list[SplatObject]:
    """The splat objects that a render of the scene shows, sorted by name."""
    view_layer = bpy.context.view_layer
    splats = [o for o in view_layer.objects if point_clouds.is_splat(o) and not o.hide_render]
    rendered = {o.name for c in _rendered_collections(scene.collection) for o in c.objects}
    return sorted((o for o in splats if o.name in rendered), key=lambda o: o.name)


def _rendered_collections(top: bpy.types.Collection) -> Iterator[bpy.types.Collection]:
    if not top.hide_render:
        yield top
        for child in top.children:
            yield from _rendered_collections(child)


def write_shot(scene: SplatScene, folder: Path, config: RenderConfig) -> Path:
    """Write the shot and its PLY files to `folder`. Returns the path of shot.json. The current frame does not change.

    Raises:
        UsageError: there is no camera or no visible splat, the camera is panoramic, or labels are asked for and the
            splats have none or different level bits.
    """
    objects = renderable(scene)
    if not objects:
        raise UsageError("No splat is visible in renders.", "Switch the camera symbol on in the outliner.")
    if scene.camera is None:
        raise UsageError("The scene has no camera.", "Add a camera. Ctrl Alt 0 then moves it to your present view.")
    wholes = [obj.bgs.whole or obj for obj in objects]
    wanted = {"label", "mask"} & set(config.passes)
    bits = {whole.bgs.level_bits for whole in wholes}
    if wanted and (len(bits) != 1 or "" in bits):
        raise UsageError(
            "Labels and Masks need splats with labels of the same level bits.",
            "Segment the splats, or switch both passes off.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    numbers = config.frames or (scene.frame_current,)
    names = _write_parts(scene, objects, folder, numbers)
    kept = [(obj, name) for obj, name in zip(objects, names, strict=True) if name]
    if not kept:
        raise UsageError("All Gaussians are hidden.", "Press Show All.")
    width, height = picture_size(scene)
    frames = list(_frames(scene, [obj for obj, _ in kept], numbers, width, height))
    level = wholes[0].bgs.shown_level
    shot = {
        "format": 1,
        "size": [width, height],
        "pixel_aspect": scene.render.pixel_aspect_x / scene.render.pixel_aspect_y,
        "parts": [name for _, name in kept],
        "level": level,
        "level_bits": wholes[0].bgs.level_bits if len(bits) == 1 else "",
        "labels": _label_rows(wholes, level) if wanted else [],
        "depth_far": float(scene.camera.data.clip_end),
        "frames": frames,
    }
    path = folder / "shot.json"
    path.write_text(json.dumps(shot), encoding="utf-8")
    return path


def _write_parts(scene: SplatScene, objects: Sequence[SplatObject], folder: Path, numbers: Sequence[int]) -> list[str]:
    """Write the objects. One PLY serves all frames, so modifiers must make the same Gaussians in each.

    Raises:
        UsageError: they do not.
    """
    changed = [obj for obj in objects if evaluated.modifiers_of(obj, render=True)]
    if not changed:
        return [write_part(obj, folder / f"part_{n}.ply") for n, obj in enumerate(objects)]
    with kept_frame(scene):
        go_to(scene, numbers[0])
        names = [write_part(obj, folder / f"part_{n}.ply") for n, obj in enumerate(objects)]
        for number in numbers[1:]:
            go_to(scene, number)
            for obj in changed:
                first = folder / f"part_{objects.index(obj)}.ply"
                again = folder / "again.ply"
                there = write_part(obj, again)
                same = bool(there) == first.is_file() and (not there or filecmp.cmp(first, again, shallow=False))
                again.unlink(missing_ok=True)
                if not same:
                    raise UsageError(
                        f"{evaluated.named(obj, render=True)} makes other Gaussians in frame {number} than in frame "
                        f"{numbers[0]}, and a render of several frames has one shape of each object.",
                        "Render one frame at a time, or remove the animation of the modifier.",
                    )
    return names


def write_part(obj: SplatObject, path: Path) -> str:
    """Write the visible Gaussians of one object in its own space. Returns the file's name, or "" if all are hidden.

    Raises:
        InputError: the shapes cannot follow an edit of the points or a modifier.
    """
    with shown(obj, render=True) as now:
        rows = _shown_rows(now.obj, (obj.bgs.whole or obj).bgs)
    if not len(rows):
        return ""
    pieces = (rows[start : start + CHUNK_ROWS] for start in range(0, len(rows), CHUNK_ROWS))
    write_ply(path, rows.dtype, pieces, len(rows), ())
    return path.name


def _shown_rows(obj: SplatObject, splat: BGS_Splat) -> np.ndarray:
    """The PLY rows of the visible Gaussians of an object in its own space. `splat` has its labels."""
    layout = obj.bgs.ply_layout.in_object_space()
    if obj.data.attributes.get(CODE):
        layout = layout.with_codes()
    rows = rows_from(lambda name: point_clouds.get_column(obj.data, name), layout, len(obj.data.points))
    rows = light.with_light(obj, rows)
    if splat.level_bits and obj.data.attributes.get(CODE):
        table = code_tables.table_of(obj)
        hidden = appearance.hidden_codes(splat, table)
        if hidden.any():
            rows = rows[~hidden[table.inverse]]
    return rows


def _label_rows(wholes: Sequence[SplatObject], level: int) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for whole in wholes:
        for row in whole.bgs.labels:
            if row.level == level and not row.hidden:
                color = [row.color[k] for k in range(3)]
                found.setdefault(row.label, {"label": row.label, "name": row.name, "color": color})
    return list(found.values())


def picture_size(scene: SplatScene) -> tuple[int, int]:
    """Width and height of a render in pixels, rounded as in Blender."""
    settings = scene.render
    return (
        max(1, settings.resolution_x * settings.resolution_percentage // 100),
        max(1, settings.resolution_y * settings.resolution_percentage // 100),
    )


def _frames(
    scene: SplatScene, objects: Sequence[SplatObject], numbers: Sequence[int], width: int, height: int
) -> Iterator[dict[str, Any]]:
    with kept_frame(scene):
        for number in numbers:
            go_to(scene, number)
            yield {
                "name": f"{number:04d}",
                "camera": camera_entry(scene, width, height),
                "transforms": [_listed(_world(obj)) for obj in objects],
            }


def camera_entry(scene: SplatScene, width: int, height: int) -> dict[str, Any]:
    """The scene camera at the current frame, in the format of a shot.

    Raises:
        UsageError: the camera is panoramic. The engine cannot render it.
    """
    camera = scene.camera
    assert camera is not None
    if camera.data.type == "PANO":
        raise UsageError(f"{camera.name} is panoramic.", "Splats are drawn with perspective or orthographic cameras.")
    depsgraph = bpy.context.evaluated_depsgraph_get()
    evaluated = camera.evaluated_get(depsgraph)
    settings = scene.render
    projection = np.array(
        evaluated.calc_matrix_camera(
            depsgraph, x=width, y=height, scale_x=settings.pixel_aspect_x, scale_y=settings.pixel_aspect_y
        ),
        np.float64,
    )
    lens = lens_of(projection, width, height)
    # Blender ignores the scale of a camera, so it is removed from the matrix.
    viewmat = viewmat_of(np.array(evaluated.matrix_world.normalized().inverted(), np.float64))
    return {**vars(lens), "viewmat": _listed(viewmat)}


def _world(obj: SplatObject) -> np.ndarray:
    if not obj.visible_get():
        return evaluated.world_of(obj)  # hidden in the viewport but shown in renders
    return np.array(obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world, np.float64)


def _listed(matrix: np.ndarray) -> list[float]:
    return [float(value) for value in matrix.ravel()]


def start_render(shot: Path, out: Path, config: RenderConfig, python: Path | None, log: Path) -> Job:
    """Start the engine on a shot.

    Raises:
        EnvironmentLacksError: no engine is installed.
        UsageError: the engine cannot be started.
    """
    python = python or segmenting.engine_python()
    arguments = ["frames", str(shot), "-o", str(out), "--events", "--passes", ",".join(config.passes)]
    if config.exr:
        arguments.append("--exr")
    try:
        return Job(command(python, arguments), log=log)
    except OSError as error:
        raise UsageError(f"{python} cannot be started: {error.strerror}.", "Check the engine.") from None
