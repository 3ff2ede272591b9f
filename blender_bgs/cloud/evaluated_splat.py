"""The Gaussians that the modifiers of a splat object make, in a temporary object that is read like any other."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from bgs_engine.core.errors import BgsError, InputError, UsageError

from ..logic import attributes as at
from ..logic import evaluated_points as ep
from ..logic.affine_fit import Move
from ..logic.transforms import is_flat, transform_points
from . import code_tables, evaluated, point_clouds, shapes
from .properties import without_updates
from .typed import SplatObject


@dataclass(frozen=True)
class Shown:
    """What an object shows in the present frame.

    `obj` holds the Gaussians, with true shapes: the object itself, or a temporary one if `changed`, that is if
    modifiers change them. `world` [4, 4] is the world matrix of the object.
    """

    obj: SplatObject
    world: np.ndarray
    changed: bool = False


@contextmanager
def shown(obj: SplatObject, render: bool = False) -> Iterator[Shown]:
    """The Gaussians of an object after its modifiers. It must not be called while Blender draws.

    Args:
        obj: a splat object.
        render: use the modifiers of renders instead of those of the viewport.

    Raises:
        InputError: the shapes cannot follow an edit of the points or a modifier; or what a modifier makes are no
            Gaussians.
        UsageError: the result of a modifier depends on earlier frames, or no label is free for what it joins.
    """
    shapes.make_true(obj)
    if not evaluated.modifiers_of(obj, render):
        yield Shown(obj, evaluated.world_of(obj))
        return
    who = evaluated.named(obj, render)
    with evaluated.probe(obj, render) as probe:
        world = probe.world
        pieces = list(_pieces(probe, who))
    if not sum(len(piece[at.POSITION].values) for piece, _ in pieces):
        raise InputError(f"{who} leaves no Gaussians.", "Switch it off in the viewport, or change its nodes.")
    whole, twin = obj.bgs.whole, None
    layout = whole.bgs.layout if whole is not None else ""
    try:
        twin = _twin(obj, pieces, who)
        yield Shown(twin, world, changed=True)
    finally:
        if twin is not None:
            _remove(twin)
        if whole is not None and whole.bgs.layout != layout:
            with without_updates():
                whole.bgs.layout = layout


def _pieces(probe: evaluated.Probe, who: str) -> Iterator[tuple[ep.Piece, np.ndarray | None]]:
    """The attributes of the points, and of the instances of points with their matrices in the object's space."""
    source: Any = probe.copy
    kinds = {a.name: a.data_type for a in source.data.attributes if a.domain == "POINT"}
    if isinstance(probe.evaluated.data, bpy.types.PointCloud) and len(probe.evaluated.data.points):
        yield _piece(probe.evaluated.data, kinds, who), None
    found = []
    for one in probe.graph.object_instances:
        if not one.is_instance or one.parent is None or one.parent.original != probe.copy:
            continue
        if one.object.type != "POINTCLOUD":
            continue
        made: Any = one.object.original
        cloud: Any = made.data if point_clouds.is_splat(made) else one.object.data  # another splat, or own points
        if not len(cloud.points):
            continue
        matrix = np.linalg.inv(probe.world) @ np.array(one.matrix_world, np.float64)
        if is_flat(matrix):
            raise InputError(f"{who} makes an instance of scale 0.", "Give it a scale that is not 0.")
        # Blender reuses its iterator's objects, so the attributes are read at once.
        found.append((_piece(cloud, kinds, who), matrix))
    yield from found


def _piece(cloud: bpy.types.PointCloud, kinds: dict[str, str], who: str) -> ep.Piece:
    piece = {column.name: column for column in point_clouds.columns(cloud)}
    ep.check(piece, kinds, who)
    return piece


def _twin(obj: SplatObject, pieces: list[tuple[ep.Piece, np.ndarray | None]], who: str) -> SplatObject:
    """A temporary object with these Gaussians, in no scene. Their shapes have followed."""
    piece = ep.joined([one for one, _ in pieces])
    ep.adopt_new(piece, obj.bgs.source, who)
    before = {c.name: c.values for c in point_clouds.columns(obj.data) if _tells_turns(c.name)}
    ep.follow_rotations(piece, before)
    cloud = point_clouds.new_cloud(obj.data.name, len(piece[at.POSITION].values))
    twin: Any = obj.copy()
    twin.data = cloud
    try:
        twin.bgs.is_splat = False
        twin.bgs.checked_points = 0  # duplicates and points of other splats get rows and labels of their own
        for column in piece.values():
            point_clouds.set_column(cloud, column)
        _make_true(twin, obj, who)
        _place_instances(twin, pieces)
    except BaseException:
        _remove(twin)
        raise
    return twin  # type: ignore[no-any-return]


def _tells_turns(name: str) -> bool:
    return name in (at.ROW, at.ROTATION) or (name.startswith("radiance:") and name != at.BASE)


def _make_true(twin: SplatObject, obj: SplatObject, who: str) -> None:
    try:
        shapes.make_true(twin)
    except UsageError as error:  # there is no free label
        raise UsageError(f"{who} adds Gaussians: {error.message}", error.hint) from None
    except BgsError:
        raise InputError(
            f"{who} moves points in a way that their shapes cannot follow.",
            "Let its nodes write the rotation too, bend with a cage instead, or switch it off in the viewport.",
        ) from None


def _place_instances(twin: SplatObject, pieces: list[tuple[ep.Piece, np.ndarray | None]]) -> None:
    positions = point_clouds.need_column(twin.data, at.POSITION)
    moves, start = [], 0
    for piece, matrix in pieces:
        rows = np.arange(start, start + len(piece[at.POSITION].values))
        start += len(rows)
        if matrix is not None and not np.array_equal(matrix, np.eye(4)):
            positions[rows] = transform_points(positions[rows].astype(np.float64), matrix)
            moves.append(Move(rows, matrix))
    if moves:
        point_clouds.set_column(twin.data, at.Column(at.POSITION, "FLOAT_VECTOR", positions))
        shapes.follow(twin, moves)


def _remove(twin: SplatObject) -> None:
    cloud = twin.data
    uid = cloud.session_uid
    bpy.data.objects.remove(twin)
    bpy.data.pointclouds.remove(cloud)
    shapes.problems.pop(uid, None)
    code_tables.forget(uid)
