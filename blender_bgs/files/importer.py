"""Imports a PLY or a run folder as a point cloud. It keeps every property and turns the splat upright."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import bpy
import numpy as np
from bgs_engine.core.codes import DEFAULT_LEVEL_BITS, BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import is_folder
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import codes_in, is_run_folder, open_run, positions_sha256
from mathutils import Matrix

from ..cloud import appearance, code_tables, geometry_nodes, labels, pivot, point_clouds, shapes
from ..cloud.material import show_colors_as_captured, splat_material
from ..cloud.properties import without_updates
from ..cloud.typed import SplatObject, SplatScene
from ..logic.attributes import BASE, CODE, CONFIDENCE, POSITION, Column, PlyLayout, columns_of
from ..logic.framing import core_box
from ..logic.texts import as_text
from ..logic.transforms import up_matrix
from . import source
from .run_extras import NO_EXTRAS, read_extras


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """The options of an import."""

    up_axis: str = "NEG_Y"  # the axis of the file that points up: NEG_Y, Z or Y
    level_bits: tuple[int, ...] = DEFAULT_LEVEL_BITS  # for a PLY with codes that is not in a run folder
    captured_colors: bool = True  # replace the view transforms AgX and Filmic by Standard, to show the file's colours


def import_splat(
    scene: SplatScene, path: Path, config: ImportConfig, warn: Callable[[str], None] = print,
    collection: bpy.types.Collection | None = None,
) -> SplatObject:  # fmt: skip
    """Import a splat PLY, with or without codes, or a run folder into `scene`. Returns the new object, unselected.

    Args:
        scene: the scene that gets the object.
        collection: the collection that gets it; by default that of the scene.
        path: a PLY or a run folder.
        config: the options.
        warn: gets a sentence for each file of the run that cannot be used, though the codes can.

    Raises:
        InputError: the file is not a splat, or the run folder's codes do not fit its PLY. Nothing is imported then.
    """
    path = Path(path)
    chosen_folder = is_folder(path)
    run_folder = next((p for p in (path, path.parent) if is_run_folder(p)), None)
    ply_path = path / "scene.ply" if chosen_folder else path
    if chosen_folder and run_folder is None:
        raise InputError(f"{path.name} is not a run folder.", "Choose a .ply file or a run folder.")
    if run_folder is not None and ply_path.name != "scene.ply":
        run_folder = None  # another PLY that happens to be in a run folder
    run = open_run(Path(os.path.realpath(run_folder))) if run_folder else None  # the .blend keeps this path
    ply = run.ply if run else read_ply(ply_path)
    extras = read_extras(run) if run else NO_EXTRAS
    for note in extras.notes:
        warn(note)
    name = as_text(run.folder.name if run else ply_path.stem)
    cloud = point_clouds.new_cloud(name, ply.count)
    obj = cast(SplatObject, bpy.data.objects.new(name, cloud))
    try:
        for column in columns_of(ply):
            point_clouds.set_column(cloud, point_clouds.native_column(column))
        shapes.start(obj)
        _describe(obj, ply_path, PlyLayout.of(ply), config)
        obj.bgs.source_mark = positions_sha256(ply)
        obj.bgs.source_state = source.state_of(ply.path)
        codes = run.codes if run else point_clouds.get_column(cloud, CODE) if codes_in(ply) is not None else None
        if codes is None:
            appearance.refresh(obj)
        else:
            if extras.confidence is not None:
                point_clouds.set_column(cloud, Column(CONFIDENCE, "FLOAT", extras.confidence))
            bits = run.layout if run else BitLayout(config.level_bits)
            labels.attach(obj, codes, bits, run.folder if run else None, extras.names, extras.colors, extras.automatic)
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
