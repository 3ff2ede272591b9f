"""Writes animated splats as one GLB: a node for each object, with its translations, rotations and scales in time.

The Gaussians are those of the first frame. Objects move rigidly from there, so modifiers must not change Gaussians.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.formats.gltf_animation import Actor, write_animation
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.io.ply import SplatPly

from ..cloud import evaluated, pivot
from ..cloud.scene_frames import go_to, kept_frame
from ..cloud.seen import Piece, pieces_of
from ..cloud.typed import SplatObject, SplatScene
from ..logic.transforms import is_flat, moved_origin
from . import exporter

WITHOUT_CODES = exporter.ExportConfig(codes=False)


@dataclass
class _Taken:
    """An object with its Gaussians in the first frame, and the maps [4, 4] from the file's space in each frame."""

    piece: Piece
    splat: RawSplat
    mark: str  # of what its modifiers make; "" if it has none
    maps: list[np.ndarray] = field(default_factory=list)


def write_animated(scene: SplatScene, numbers: Sequence[int], path: Path, pieces: Sequence[Piece]) -> Iterator[int]:
    """Write what moves to a GLB, and yield how many frames are read after each. The file is there after the last.

    Close the iterator to cancel. The scene is back at its frame afterwards.

    Args:
        scene: it goes to each frame.
        numbers: of the frames, ascending.
        path: the GLB.
        pieces: the objects and which of their points; see `pieces_for`.

    Raises:
        UsageError: an instance shows one of the objects, or a modifier makes other Gaussians from frame to frame.
        InputError: an object is scaled to nothing, mirrored or sheared by its animation; or see
            `cloud.evaluated_splat.shown`.
        OutputError: the file cannot be written.
    """
    with kept_frame(scene):
        taken: list[_Taken] = []
        for done, number in enumerate(numbers, 1):
            go_to(scene, number)
            bpy.context.view_layer.update()
            _refuse_instances(pieces, number)
            if not taken:
                taken = [_Taken(piece, _gaussians(piece, path), _mark(piece)) for piece in pieces]
            for one in taken:
                if one.mark and one.maps and _mark(one.piece) != one.mark:
                    raise UsageError(
                        f"{evaluated.named(one.piece.obj)} makes other Gaussians in frame {number} than in frame "
                        f"{numbers[0]}, and a GLB has one shape of each object.",
                        "Export a sequence of PLY files instead, or remove the animation of the modifier.",
                    )
                one.maps.append(_map_of(one.piece.obj, number))
            yield done
    seconds = (np.array(numbers) - numbers[0]) * scene.render.fps_base / scene.render.fps
    write_animation(path, [_actor(one) for one in taken], seconds)


def pieces_for(wholes: Sequence[SplatObject], objects: Sequence[SplatObject] | None) -> list[Piece]:
    """What to write: the chosen objects as they are, or what one sees of whole splats if `objects` is None.

    Raises:
        UsageError: nothing is left of them.
    """
    found = [Piece(obj, None) for obj in objects] if objects else [p for whole in wholes for p in pieces_of(whole)]
    found = [piece for piece in found if len(piece.obj.data.points)]
    if not found:
        raise UsageError("There are no Gaussians to export.", "Select splats, or undo the deletion of label objects.")
    return found


def _gaussians(piece: Piece, path: Path) -> RawSplat:
    """The Gaussians of an object in the space of its file, where they are in this frame."""
    made = exporter.piece_rows(piece.obj, WITHOUT_CODES, piece.points)
    return RawSplat.of_ply(SplatPly.of_rows(path, made.rows))


def _mark(piece: Piece) -> str:
    """What tells whether modifiers make the same Gaussians in another frame, wherever the object is."""
    if not evaluated.modifiers_of(piece.obj):
        return ""
    home = piece.obj.bgs.imported_at @ pivot.shift_of(piece.obj)
    made = exporter.piece_rows(piece.obj, WITHOUT_CODES, piece.points, home)
    return hashlib.sha256(made.rows.tobytes()).hexdigest()


def _map_of(obj: SplatObject, number: int) -> np.ndarray:
    """What moved an object in the space of its file since the import, [4, 4]."""
    change = pivot.change_of(obj, obj.bgs.imported_at, evaluated.world_of(obj))
    if change is not None and is_flat(change):
        raise InputError(
            f"{obj.name} is scaled to nothing in a direction in frame {number}.", "Give it a scale that is not 0."
        )
    return np.eye(4) if change is None else moved_origin(change, obj.bgs.ply_layout.offset)


def _actor(one: _Taken) -> Actor:
    obj, first = one.piece.obj, one.maps[0]
    origin = first @ np.append(pivot.pivot_of(obj) + obj.bgs.ply_layout.offset, 1)
    moves = np.array(one.maps) @ np.linalg.inv(first)
    return Actor(obj.name, one.splat, origin[:3], moves)


def _refuse_instances(pieces: Sequence[Piece], number: int) -> None:
    mine = {piece.obj.session_uid for piece in pieces}
    found = next((one for one in exporter.shown_instances() if one.obj.session_uid in mine), None)
    if found is not None:
        raise UsageError(
            f"{found.parent.name} shows an instance of {found.obj.name} in frame {number}, which an animated GLB has "
            "no node for.",
            "Make Instances Real, hide it, or export a sequence of PLY files.",
        )
