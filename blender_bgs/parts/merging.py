"""Merges label objects back into one cloud. Unchanged parts come back bit for bit; transforms are baked."""

from collections.abc import Iterator, Sequence

import numpy as np
from bgs_engine.core.errors import InputError, UsageError

from ..cloud import added_points, appearance, code_tables, evaluated, labels, locks, pivot, point_clouds, seen, shapes
from ..cloud.typed import SplatObject
from ..logic import attributes as at
from ..logic.following import followed
from ..logic.transforms import is_flat
from . import label_objects, trimmed
from .trimmed import Piece

# These attributes are recomputed for the whole cloud, so they are not merged.
DERIVED = (at.LABEL, at.COLOR, at.RADIUS, at.SELECTED, at.SHAPED_AT, at.SOURCE, at.IN_OBJECTS, at.WHOLE_POSITION)


def merge_back(whole: SplatObject) -> int:
    """Merge the parts into one cloud in the source file's row order and delete them. Returns the number of Gaussians.

    Edits are kept: deleted Gaussians stay deleted, and transforms of parts are baked. If only some labels had parts,
    the other labels keep the whole cloud's Gaussians. Gaussians of a duplicated part get rows after all others.

    Raises:
        UsageError: the cloud has no parts, a part has a modifier that changes its Gaussians, or a locked label would
            lose Gaussians.
        InputError: the shapes of a part cannot follow an edit of its points, or it is scaled to nothing, or it has
            lost `bgs_row`. Nothing is merged then.
    """
    parts = code_tables.parts_of(whole)
    if not parts:
        raise UsageError(f"{whole.name} has no label objects.", "Press Make Collections first.")
    evaluated.refuse_modifiers(parts, "which Merge Back would lose")
    seen.note_counts(whole)
    locks.refuse_losses(whole)
    pieces = pieces_in_splat_space(whole, parts)
    rows = np.concatenate([piece[at.ROW].values for piece in pieces])
    again = added_points.repeated(rows)
    rows[again] = np.arange(again.sum()) + 1 + rows.max(initial=-1)
    order = np.argsort(rows, kind="stable")
    cloud = point_clouds.new_cloud(whole.data.name, len(order))
    for column in _joined(pieces):
        if column.name not in DERIVED:
            values = rows if column.name == at.ROW else column.values
            point_clouds.set_column(cloud, at.Column(column.name, column.data_type, values[order]))
    for material in whole.data.materials:
        cloud.materials.append(material)
    point_clouds.replace_cloud(whole, cloud)
    pivot.place(whole, point_clouds.need_column(cloud, at.POSITION))
    shapes.start(whole)
    label_objects.remove_tree(whole)
    labels.list_labels(whole)
    appearance.refresh(whole)
    return len(order)


def pieces_in_splat_space(whole: SplatObject, parts: Sequence[SplatObject]) -> list[Piece]:
    """The attributes of some parts where they are now, and of what is in no part if only some labels have parts.

    Raises:
        InputError: as `merge_back` does.
    """
    for one in (*parts, whole):
        point_clouds.need_column(one.data, at.ROW)
        shapes.make_true(one)
    in_objects = point_clouds.get_column(whole.data, at.IN_OBJECTS)
    world = evaluated.splat_world_of(whole)
    originals = trimmed.Originals(whole)
    pieces = [_baked(part, originals, world) for part in parts]
    if in_objects is not None:
        rest = trimmed.in_splat_space(whole).values()
        pieces.append({c.name: at.Column(c.name, c.data_type, c.values[~in_objects]) for c in rest})
    return pieces


def _joined(pieces: list[Piece]) -> Iterator[at.Column]:
    """Every attribute of all pieces together. A piece that lacks an attribute has zeros."""
    kinds = {column.name: column for piece in reversed(pieces) for column in piece.values()}
    for name, kind in kinds.items():
        found = []
        for piece in pieces:
            column = piece.get(name)
            usable = column is not None and column.data_type == kind.data_type
            count = len(piece[at.ROW].values)
            found.append(column.values if column is not None and usable
                         else np.zeros((count, *kind.values.shape[1:]), kind.values.dtype))  # fmt: skip
        yield at.Column(name, kind.data_type, np.concatenate(found))


def _baked(part: SplatObject, originals: trimmed.Originals, world: np.ndarray) -> Piece:
    """The part's attributes in the space of the whole cloud, without what Clean Objects did."""
    out = trimmed.untrimmed(part, originals)
    change = pivot.change_of(part, world, evaluated.world_of(part))
    if change is None:
        return out
    if is_flat(change):
        raise InputError(f"{part.name} is scaled to nothing in a direction.", "Give it a scale that is not 0.")
    for column in followed(lambda name: out[name].values if name in out else None, change):
        out[column.name] = column
    return out
