"""Keeps the shapes of Gaussians true when Blender moves their points.

Blender's tools change the positions of points only: Apply (Ctrl+A), Set Origin, Join, transforms in edit mode, applied
modifiers. The scales, rotations and spherical harmonics have to follow. Every point therefore keeps the position at
which its shape is true, in the attribute `bgs_shaped_at`. Where it differs from the present position, `make_true` finds
the map that moved the points, and applies it to the shapes.

All of this is in attributes, so copies, joined objects and steps of Undo carry it with them.
"""

import bpy
import numpy as np
from bgs_engine.core.errors import BgsError, InputError

from ..logic import attributes as at
from ..logic.affine_fit import Hints, Move, agrees, find_moves
from ..logic.following import followed
from ..logic.transforms import IDENTITY_TOLERANCE, is_flat, transform_points
from . import added_points, appearance, code_tables, geometry_nodes, pivot, point_clouds, selection
from .typed import SplatObject

HINT = "Undo, or press Keep Shapes as They Are in the panel Gaussian Splat."
MIRRORS = ("TRANSFORM_OT_mirror", "TRANSFORM_OT_resize")  # negative factors mirror
TURNS = (*MIRRORS, "TRANSFORM_OT_rotate", "TRANSFORM_OT_trackball")

# Why the shapes of a cloud are not true, by its session_uid. It is not saved: it is found again when a file is opened.
problems: dict[int, str] = {}
# The world matrix of each splat object, by its session_uid, when its shapes were last seen to be true. Apply changes
# matrix and points together, so the two matrices tell what it did even if there are very few points.
_worlds: dict[int, np.ndarray] = {}


def start(obj: SplatObject, like: SplatObject | None = None) -> None:
    """Declare all shapes of an object's new cloud true. The cloud has to have all other attributes.

    `like` is an object whose Gaussians were copied: the new object gets its import and its space.
    """
    position = point_clouds.get_column(obj.data, at.POSITION)
    if position is None:
        return
    if like is not None:
        _set_local(obj, local_of(like))
    point_clouds.set_column(obj.data, at.Column(at.SHAPED_AT, "FLOAT_VECTOR", position))
    added_points.start(obj, like)


def local_of(obj: SplatObject) -> np.ndarray:
    """The matrix [4, 4] from the space of the source file to the splat space of `pivot`. Apply changes it."""
    return np.array(obj.bgs.local_matrix, np.float64).reshape(4, 4)


def _set_local(obj: SplatObject, matrix: np.ndarray) -> None:
    for one in bpy.data.objects:
        if point_clouds.is_splat(one) and one.data == obj.data:
            one.bgs.local_matrix = matrix.ravel().tolist()


def positions_in_file(obj: SplatObject) -> np.ndarray:
    """The positions [N, 3] in the space of the source file, without what Apply did.

    Raises:
        InputError: see `make_true`.
    """
    make_true(obj)
    position, local = pivot.need_positions(obj), local_of(obj)
    return position if np.array_equal(local, np.eye(4)) else transform_points(position, np.linalg.inv(local))


def are_true(cloud: bpy.types.PointCloud) -> bool:
    """Whether no point has moved since its shape was true. It takes about 10 ms per million points."""
    position, shaped_at = (point_clouds.get_column(cloud, name) for name in (at.POSITION, at.SHAPED_AT))
    return position is None or shaped_at is None or np.array_equal(position.view(np.int32), shaped_at.view(np.int32))


def make_true(obj: SplatObject) -> None:
    """Let the shapes and colours of an object follow its points. Whoever reads shapes calls it first.

    It costs little if nothing was edited. It must not be called while Blender draws.

    Raises:
        InputError: the points were edited in a way that no shape can follow, or some of them are no Gaussians.
        UsageError: Gaussians with labels were joined, and no label is free for them.
    """
    cloud = obj.data
    try:
        _make_true(obj)
    except BgsError as error:
        problems[cloud.session_uid] = str(error)
        raise
    problems.pop(cloud.session_uid, None)


def _make_true(obj: SplatObject) -> None:
    cloud = obj.data
    editable = cloud.library is None
    if editable and cloud.attributes.get(at.SHAPED_AT) is None:  # a file of an older version
        whole = obj.bgs.whole or obj
        if whole != obj and whole.data.attributes.get(at.SHAPED_AT) is None:
            _make_true(whole)
        start(obj, whole if whole != obj else None)
    if editable:
        added_points.adopt(obj)
    if are_true(cloud):
        return
    before, after = (point_clouds.need_column(cloud, name) for name in (at.SHAPED_AT, at.POSITION))
    moves = find_moves(before, after, _hints(obj)) if editable else None
    if moves is None:
        raise InputError(f"The points of {obj.name} were edited in a way that their shapes cannot follow.", HINT)
    follow(obj, moves)


def follow_fixed(obj: SplatObject) -> None:
    """Follow Apply on an object whose points all lie where the transform does not move them, for example one point.

    Positions do not show this edit. Call it when geometry and matrix of the object changed together.
    """
    then, now = _worlds.get(obj.session_uid), point_clouds.world_of(obj)
    if then is None or obj.data.library is not None or is_flat(now) or is_flat(then):
        return
    move = Move.between(then, now)
    matrix = move.matrix
    if np.abs(matrix[:3, :3] - np.eye(3)).max() <= IDENTITY_TOLERANCE or not are_true(obj.data):
        return
    position = point_clouds.get_column(obj.data, at.POSITION)
    if position is None or not len(position) or not agrees(matrix, position[:64].astype(float), position[:64]).all():
        return
    if agrees(matrix, position.astype(np.float64), position).all():
        follow(obj, [move])


def follow(obj: SplatObject, moves: list[Move]) -> None:
    """Let the shapes follow moves that the points have made already, and declare them true.

    All is computed before anything is written, so shapes never follow twice.
    """
    cloud = obj.data
    whole: dict[str, np.ndarray | None] = {}  # the attributes that were read, with the changes so far
    kinds: dict[str, str] = {}  # the data types of the changed ones

    def read(name: str) -> np.ndarray | None:
        if name not in whole:
            whole[name] = point_clouds.get_column(cloud, name)
        return whole[name]

    for move in moves:
        rows = slice(None) if move.rows is None else move.rows

        def get(name: str, rows: np.ndarray | slice = rows) -> np.ndarray | None:
            values = read(name)
            return None if values is None else values[rows]

        for column in followed(get, move.matrix, turn=move.turn, points=False):
            kinds[column.name] = column.data_type
            values = read(column.name)
            if values is None:
                values = np.zeros((len(cloud.points), *column.values.shape[1:]), column.values.dtype)
            values[rows] = column.values
            whole[column.name] = values
    for name, kind in kinds.items():
        values = whole[name]
        assert values is not None
        point_clouds.set_column(cloud, at.Column(name, kind, values))
    keep(obj)
    if len(moves) == 1 and (moves[0].rows is None or len(moves[0].rows) == len(cloud.points)):
        shift = pivot.shift_of(obj)
        _set_local(obj, shift @ moves[0].matrix @ np.linalg.inv(shift) @ local_of(obj))
    geometry_nodes.fit_frame(obj)
    if at.SCALE in kinds:
        appearance.refresh_radii(obj)


def keep(obj: SplatObject) -> None:
    """Declare the shapes true as they are."""
    position = point_clouds.need_column(obj.data, at.POSITION)
    point_clouds.set_column(obj.data, at.Column(at.SHAPED_AT, "FLOAT_VECTOR", position))
    problems.pop(obj.data.session_uid, None)


def family_of(whole: SplatObject) -> list[SplatObject]:
    """A whole cloud and its label objects."""
    return [whole, *code_tables.parts_of(whole)]


def problems_of(whole: SplatObject) -> list[str]:
    """Why the shapes of a splat and its label objects are not true. Panels call it at every redraw."""
    if not problems:
        return []
    uids = [obj.data.session_uid for obj in family_of(whole)]
    return [problems[uid] for uid in uids if uid in problems]


def note_world(obj: SplatObject, world: np.ndarray | None = None) -> None:
    """Remember where an object is. Call it after each of its transforms, and after `make_true`.

    `world` is its world matrix [4, 4], if Blender has not updated it yet.
    """
    _worlds[obj.session_uid] = point_clouds.world_of(obj) if world is None else world


def forget(*, gone_only: bool = False) -> None:
    """Forget all objects, or those that do not exist any more."""
    alive = {o.session_uid for o in bpy.data.objects} if gone_only else set()
    for uid in _worlds.keys() - alive:
        del _worlds[uid]
    alive = {c.session_uid for c in bpy.data.pointclouds} if gone_only else set()
    for uid in problems.keys() - alive:
        del problems[uid]


def _hints(obj: SplatObject) -> Hints:
    """What the matrices, the selection and the last operator say about an edit."""
    now = point_clouds.world_of(obj)
    alive = {o.session_uid for o in bpy.data.objects}
    joined = [world for uid, world in _worlds.items() if uid not in alive]
    mine = [_worlds[obj.session_uid]] if obj.session_uid in _worlds else []
    moves = [] if is_flat(now) else [Move.between(then, now) for then in (*mine, *joined) if not is_flat(then)]
    in_edit_mode = obj.mode == "EDIT"
    operators = bpy.context.window_manager.operators
    last = operators[-1].bl_idname if len(operators) else ""
    return Hints(
        moves=moves,
        selected=selection.selected(obj) if in_edit_mode else None,
        one_point=in_edit_mode and last not in TURNS,
        mirrored=in_edit_mode and last in MIRRORS,
    )
