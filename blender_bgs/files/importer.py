"""Imports a splat file or a run folder as a point cloud. It keeps every property and turns the splat upright."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import bpy
import numpy as np
from bgs_engine.core.codes import DEFAULT_LEVEL_BITS, BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import is_file, is_folder
from bgs_engine.formats.read import INDEX, OpenSplat, file_of, open_splat
from bgs_engine.io.ply import SplatPly
from bgs_engine.io.run_folder import Run, codes_in, is_run_folder, open_run, positions_sha256
from mathutils import Matrix

from ..cloud import appearance, code_tables, geometry_nodes, labels, pivot, point_clouds, shapes
from ..cloud.material import show_colors_as_captured, splat_material
from ..cloud.properties import without_updates
from ..cloud.typed import SplatObject, SplatScene
from ..logic.attributes import BASE, CONFIDENCE, POSITION, Column, PlyLayout, columns_of
from ..logic.framing import core_box
from ..logic.texts import as_text
from ..logic.transforms import up_matrix
from . import source
from .run_extras import NO_EXTRAS, RunExtras, extras_of, read_extras


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """The options of an import."""

    up_axis: str = "NEG_Y"  # the axis of the file that points up: NEG_Y, Z or Y
    level_bits: tuple[int, ...] = DEFAULT_LEVEL_BITS  # of codes that come without a label table
    captured_colors: bool = True  # replace the view transforms AgX and Filmic by Standard, to show the file's colours


def import_splat(
    scene: SplatScene, path: Path, config: ImportConfig, warn: Callable[[str], None] = print,
    collection: bpy.types.Collection | None = None, origin: Path | None = None,
) -> SplatObject:  # fmt: skip
    """Import a splat file, with or without labels, or a run folder into `scene`. Returns the new object, unselected.

    Args:
        scene: the scene that gets the object.
        collection: the collection that gets it; by default that of the scene.
        path: a splat file or a run folder.
        config: the options.
        warn: gets a sentence for each file with labels that cannot be used, though the splat can.
        origin: the user's file, from which the engine has made the file `path`. None: `path` is the user's.

    Raises:
        InputError: the file is not a splat, or the run folder's codes do not fit its PLY. Nothing is imported then.
        EnvironmentLacksError: the format needs a package that Blender lacks.
    """
    found = _found(Path(path), config)
    for note in found.extras.notes:
        warn(note)
    ply, extras, run, user_file = found.ply, found.extras, found.run, origin or found.file
    name = as_text(run.folder.name if run else user_file.parent.name if user_file.name == INDEX else user_file.stem)
    cloud = point_clouds.new_cloud(name, ply.count)
    obj = cast(SplatObject, bpy.data.objects.new(name, cloud))
    try:
        for column in columns_of(ply):
            point_clouds.set_column(cloud, point_clouds.native_column(column))
        shapes.start(obj)
        _describe(obj, user_file, PlyLayout.of(ply), config)
        obj.bgs.source_mark, obj.bgs.source_count = positions_sha256(ply), ply.count
        obj.bgs.source_state = source.state_of(user_file)
        if found.codes is None:
            appearance.refresh(obj)
        else:
            if extras.confidence is not None:
                point_clouds.set_column(cloud, Column(CONFIDENCE, "FLOAT", extras.confidence))
            folder = run.folder if run else None
            labels.attach(obj, found.codes, found.bits, folder, extras.names, extras.colors, extras.automatic)
    except Exception:
        bpy.data.objects.remove(obj)
        bpy.data.pointclouds.remove(cloud)
        raise
    cloud.materials.append(splat_material())
    (collection or scene.collection).objects.link(obj)
    geometry_nodes.attach(obj, scene)
    if config.captured_colors:
        show_colors_as_captured(scene)
    return obj


@dataclass(frozen=True)
class _Found:
    """What lies at a path: the rows, the codes int32 [N] or None with their bits, and the run if it is one."""

    file: Path
    ply: SplatPly
    codes: np.ndarray | None
    bits: BitLayout
    extras: RunExtras
    run: Run | None = None


def _found(path: Path, config: ImportConfig) -> _Found:
    run_folder = next((p for p in (path, path.parent) if is_run_folder(p)), None)
    if is_folder(path) and run_folder is None and not is_file(path / INDEX):
        raise InputError(f"{path.name} is not a run folder.", "Choose a splat file or a run folder.")
    file = file_of(path)
    if run_folder is not None and file.name == "scene.ply":  # else another PLY that happens to be in a run folder
        run = open_run(Path(os.path.realpath(run_folder)))  # the .blend keeps this path
        return _Found(file, run.ply, run.codes, run.layout, read_extras(run), run)
    return _of_file(file, open_splat(file, BitLayout(config.level_bits)))


def _of_file(file: Path, opened: OpenSplat) -> _Found:
    known = opened.known_labels
    if known is not None:
        return _Found(file, opened.ply, known.codes, known.layout, extras_of(known.table))
    notes = replace(NO_EXTRAS, notes=opened.notes)
    return _Found(file, opened.ply, codes_in(opened.ply), opened.layout, notes)


def _describe(obj: SplatObject, path: Path, layout: PlyLayout, config: ImportConfig) -> None:
    splat = obj.bgs
    with without_updates():
        splat.is_splat = True
        splat.source_path = str(path.resolve())
        splat.layout = layout.to_text()
        splat.up_axis = config.up_axis
    _place(obj, up_matrix(config.up_axis))


def _place(obj: SplatObject, matrix: np.ndarray) -> None:
    obj.matrix_world = Matrix(matrix.tolist())
    obj.bgs.import_matrix = matrix.ravel().tolist()


def apply_up_axis(obj: SplatObject) -> None:
    """Apply a changed up axis to a cloud and its label objects. They keep their transforms since import."""
    new = up_matrix(obj.bgs.up_axis)
    for one in (obj, *code_tables.parts_of(obj)):
        local = shapes.local_of(one)  # Apply may have changed the space of the points
        file_to_world = pivot.splat_world_of(one) @ local @ np.linalg.inv(one.bgs.imported_at) @ new
        world = file_to_world @ np.linalg.inv(local)
        one.matrix_world = Matrix((world @ pivot.shift_of(one)).tolist())
        one.bgs.import_matrix = new.ravel().tolist()


def world_box(obj: SplatObject) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner [3] of the splat's core in world space."""
    positions, base = point_clouds.get_column(obj.data, POSITION), point_clouds.get_column(obj.data, BASE)
    if positions is None or base is None or not len(positions):
        return np.zeros(3), np.ones(3)
    low, high = core_box(positions, base[:, 3])
    corners = np.array([[(low, high)[(i >> k) & 1][k] for k in range(3)] for i in range(8)])
    matrix = np.array(obj.matrix_world, np.float64)
    world = corners @ matrix[:3, :3].T + matrix[:3, 3]
    return world.min(0), world.max(0)
