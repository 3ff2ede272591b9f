"""What one sees of a splat: its label objects, and the Gaussians of the whole cloud that are in none."""

from dataclasses import dataclass

import numpy as np

from ..logic.attributes import CODE, IN_OBJECTS
from . import code_tables, label_rows, point_clouds
from .typed import SplatObject

MADE = "bgs_made"  # custom property of a whole cloud that got label objects, see `parts.label_objects`


@dataclass(frozen=True)
class Piece:
    """Points of one object, bool [N]; None means all."""

    obj: SplatObject
    points: np.ndarray | None


def pieces_of(whole: SplatObject) -> list[Piece]:
    """The pieces of a splat: the whole cloud if it has no label objects, else those and what is in none of them.

    There are none if all label objects were deleted and the whole cloud is hidden.
    """
    parts = [Piece(part, None) for part in code_tables.parts_of(whole) if part.users_scene]
    hidden = whole.hide_viewport and whole.hide_render
    if not parts and (whole.get(MADE) is None or not hidden):
        return [Piece(whole, None)]  # it never had label objects, or somebody shows it in their place
    in_objects = point_clouds.get_column(whole.data, IN_OBJECTS)
    if in_objects is not None and not in_objects.all():
        parts.append(Piece(whole, ~in_objects))
    return parts


def note_counts(whole: SplatObject) -> None:
    """Write to the label list how many Gaussians of each label one sees."""
    counts = np.zeros(len(whole.bgs.labels), np.int64)
    for piece in pieces_of(whole):
        if not piece.obj.bgs.level_bits or piece.obj.data.attributes.get(CODE) is None:
            continue
        table = code_tables.table_of(piece.obj)
        per_code = table.counts
        if piece.points is not None:
            per_code = np.bincount(table.inverse[piece.points], minlength=len(table.unique))
        counts += label_rows.sums(whole, table, per_code)
    label_rows.write(whole, "seen", counts)
