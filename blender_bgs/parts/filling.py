"""Closes the holes that deleted and moved label objects leave. Each fill is a label of its own, with its object."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.fill import fill, joined, neighbourhood
from bgs_engine.cutouts.fill_label import code_of_label, label_of_fill
from bgs_engine.io.gaussians import Gaussians

from ..cloud import appearance, code_tables, evaluated, label_selection, labels, locks, pivot, point_clouds, shapes
from ..cloud.gaussians import gaussians_from
from ..cloud.properties import signed
from ..cloud.typed import SplatObject, SplatScene
from ..logic import attributes as at
from ..logic.label_states import codes_with
from ..logic.label_tree import Key
from . import label_objects
from .edited import edited_parts, lost_parts
from .merging import pieces_in_splat_space
from .trimmed import Piece

FILL_OF = "Fill of "


def unfilled_labels(whole: SplatObject) -> set[int]:
    """The labels of deleted label objects whose holes were not closed yet."""
    if whole.get(label_objects.MADE) is None or whole.bgs.part_collection is None:
        return set()
    done: Any = whole.get(label_objects.FILLED) or ()
    gone = label_objects.deleted_labels(whole, whole[label_objects.LEVEL])
    return gone - {int(key) & 0xFFFFFFFF for key in done}


def fill_labels(scene: SplatScene, whole: SplatObject, chosen: Sequence[int]) -> str:
    """Close the holes that labels leave, and delete their label objects that were not moved. Returns a sentence.

    The surfaces are continued as one sees them: other label objects count where they are now.

    Args:
        scene: the scene with the collections of the label objects.
        whole: the whole cloud.
        chosen: labels of the level of the label objects.

    Raises:
        UsageError: points of a label object were edited, a label is locked, or no label is free.
        InputError: shapes cannot follow an edit. Nothing is changed in these cases.
    """
    edited = [*edited_parts(whole), *lost_parts(whole)]
    if edited:
        raise UsageError(
            f"Points of {edited[0]} were edited, and filling would overwrite that.",
            "Press Merge Back, then Make Collections, and fill again.",
        )
    level, world = whole[label_objects.LEVEL], evaluated.splat_world_of(whole)
    table = code_tables.table_of(whole)
    locks.refuse(whole, codes_with(table, [(level, label) for label in chosen])[table.inverse])
    parts = [part for part in code_tables.parts_of(whole) if part.bgs.part_level == level]
    mine = [part for part in parts if part.bgs.part_key & 0xFFFFFFFF in chosen]
    going = [part for part in mine if pivot.change_of(part, world, evaluated.world_of(part)) is None]
    pieces = pieces_in_splat_space(whole, [part for part in parts if part not in going])
    names = {row.label: row.name for row in whole.bgs.labels if row.level == level}
    made, sentences = {}, []
    used = set(code_tables.table_of(whole).labels(level).tolist())
    for label in chosen:
        piece, sentence = _filled(whole, pieces, label, used)
        sentences.append(f"{names[label]}: {sentence}")
        if piece is not None:
            new = int(code_tables.bit_layout_of(whole).labels(piece[at.CODE].values[:1], level)[0])
            used.add(new)
            made[new] = label, piece
    if made:
        _append(whole, [piece for _, piece in made.values()])
        _list(whole, level, {new: FILL_OF + names[label].removeprefix(FILL_OF) for new, (label, _) in made.items()})
        label_objects.update_tree(scene, whole, also=set(made))
        label_selection.select_labels(whole, [(level, new) for new in made])
    for part in going:
        label_objects.remove_part(part)
    done: Any = whole.get(label_objects.FILLED) or ()
    whole[label_objects.FILLED] = sorted({*(int(key) for key in done), *(signed(label) for label in chosen)})
    return " ".join(sentences)


def _filled(whole: SplatObject, pieces: Sequence[Piece], label: int, used: set[int]) -> tuple[Piece | None, str]:
    """The attributes of what closes the hole of one label, with its codes and positions, and a sentence."""
    level, layout = whole[label_objects.LEVEL], code_tables.bit_layout_of(whole)
    rest = whole.bgs.ply_layout.rest
    rows = code_tables.table_of(whole).rows(level, label)
    columns = {name: at.Column(name, "", values[rows]) for name in _shape_names(rest)
               if (values := pivot.getter_of(whole)(name)) is not None}  # fmt: skip
    thing = _gaussians(columns, rest)
    low, high = thing.means.min(0), thing.means.max(0)
    near = []
    for piece in pieces:
        inside = neighbourhood(piece[at.POSITION].values, low, high)
        near.append({c.name: at.Column(c.name, c.data_type, c.values[inside]) for c in piece.values()})
    around = joined([_gaussians(piece, rest) for piece in near]) if near else thing.take(np.zeros(0, int))
    of_around = [layout.labels(piece[at.CODE].values, level) for piece in near]
    kinds = np.concatenate([*of_around, np.full(len(thing), label, np.uint32)])
    made = fill(joined([around, thing]), np.repeat([False, True], [len(around), len(thing)]), kinds)
    if not len(made):
        return None, made.sentence
    out: Piece = {}
    for name, kind in {name: column for piece in near for name, column in piece.items()}.items():
        if all(
            name in piece and piece[name].data_type == kind.data_type for piece in near if len(piece[at.ROW].values)
        ):
            values = np.concatenate([piece[name].values for piece in near if name in piece])
            out[name] = at.Column(name, kind.data_type, values[made.sources])
    new = label_of_fill(out[at.CODE].values, layout, level, used)
    _put(out, at.CODE, np.full(len(made), code_of_label(new, layout, level), np.int32))
    _put(out, at.POSITION, made.gaussians.means)
    _put(out, at.ROTATION, made.gaussians.quats)
    assert made.gaussians.sh is not None
    base = out[at.BASE].values.copy()
    base[:, :3] = made.gaussians.sh[:, 0]
    _put(out, at.BASE, base)
    for k in range(rest):
        _put(out, at.harmonic(k), made.gaussians.sh[:, k + 1])
    return out, made.sentence


def _put(piece: Piece, name: str, values: np.ndarray) -> None:
    if name in piece:
        piece[name] = at.Column(name, piece[name].data_type, values)


def _shape_names(rest: int) -> list[str]:
    return [at.POSITION, at.SCALE, at.ROTATION, at.BASE, *(at.harmonic(k) for k in range(rest))]


def _gaussians(piece: Piece, rest: int) -> Gaussians:
    """Attributes of points as Gaussians with colours. Harmonics that the piece lacks are 0."""
    base = piece[at.BASE].values
    sh = np.zeros((len(base), 1 + rest, 3), np.float32)
    sh[:, 0] = base[:, :3]
    for k in range(rest):
        if at.harmonic(k) in piece:
            sh[:, k + 1] = piece[at.harmonic(k)].values
    return gaussians_from(lambda name: piece[name].values, sh)


def _append(whole: SplatObject, pieces: Sequence[Piece]) -> None:
    """Add points to the whole cloud, with rows after all others, as points have that were added in Blender."""
    count, before = sum(len(piece[at.ROW].values) for piece in pieces), len(whole.data.points)
    others = [point_clouds.get_column(one.data, at.ROW) for one in (whole, *code_tables.parts_of(whole))]
    last = max(int(rows.max(initial=-1)) for rows in others if rows is not None)
    positions = np.concatenate([pivot.need_positions(whole), *(piece[at.POSITION].values for piece in pieces)])
    cloud = point_clouds.new_cloud(whole.data.name, before + count)
    for column in point_clouds.columns(whole.data):
        zeros = np.zeros((count, *column.values.shape[1:]), column.values.dtype)
        more = zeros
        if column.name == at.ROW:
            more = np.arange(last + 1, last + 1 + count, dtype=np.int32)
        elif column.name not in (at.SELECTED, at.IN_OBJECTS):
            here = [piece.get(column.name) for piece in pieces]
            if all(one is not None and one.data_type == column.data_type for one in here):
                more = np.concatenate([one.values for one in here if one is not None])
        point_clouds.set_column(cloud, at.Column(column.name, column.data_type, np.concatenate([column.values, more])))
    for material in whole.data.materials:
        cloud.materials.append(material)
    point_clouds.replace_cloud(whole, cloud)
    pivot.place(whole, positions.astype(np.float32))
    shapes.start(whole)


def _list(whole: SplatObject, level: int, names: dict[int, str]) -> None:
    """List the new labels with their names, at their level and at the finer ones."""
    layout, settings = code_tables.bit_layout_of(whole), labels.label_settings(whole)
    for label, name in names.items():
        for finer in range(level, layout.levels + 1):
            key: Key = finer, label << (layout.bits_to(finer) - layout.bits_to(level))
            settings.names[key] = name
    labels.list_labels(whole, settings, labels.active_key(whole))
    appearance.refresh(whole)
