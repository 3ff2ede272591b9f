"""Tells which label objects the user edited, so that nothing of it is lost without a question."""

import numpy as np

from ..cloud import code_tables, pivot, point_clouds
from ..cloud.typed import SplatObject
from ..logic import attributes as at
from ..logic.affine_fit import agrees
from ..logic.transforms import change_since_import
from . import trimmed
from .applied import applied_to, reach_of, space_of


def lost_parts(whole: SplatObject) -> list[str]:
    """Names of parts that the user moved and whose label does not exist any more. `make_tree` would remove them."""
    table = code_tables.table_of(whole)
    world = pivot.splat_world_of(whole)
    there = {level: set(table.labels(level).tolist()) for level in range(1, whole.bgs.levels + 1)}
    return [
        part.name
        for part in code_tables.parts_of(whole)
        if part.bgs.part_key & 0xFFFFFFFF not in there.get(part.bgs.part_level, ())
        and change_since_import(pivot.splat_world_of(part) @ space_of(part, whole), world, reach=reach_of(part))
        is not None
    ]


def edited_parts(whole: SplatObject) -> list[str]:
    """Names of parts whose points the user deleted, added or moved. `make_tree` would overwrite these edits."""
    counts = {(row.level, row.label): row.count for row in whole.bgs.labels}
    rows = point_clouds.get_column(whole.data, at.ROW)
    position = pivot.positions_of(whole)
    out, originals = [], trimmed.Originals(whole)
    for part in code_tables.parts_of(whole):
        key = (part.bgs.part_level, part.bgs.part_key & 0xFFFFFFFF)
        own, where = _untrimmed(part, originals)
        same_count = own is not None and counts.get(key) == len(own)
        if own is None or where is None or rows is None or position is None or not same_count:
            out.append(part.name)
            continue
        there = position[np.searchsorted(rows, own).clip(0, len(rows) - 1)]
        applied = applied_to(part, whole)
        same = np.array_equal(there, where) if applied is None else agrees(applied, there.astype(float), where).all()
        if not same:
            out.append(part.name)
    return out


def _untrimmed(part: SplatObject, originals: trimmed.Originals) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(Rows, positions in the splat space) of a part as if it had never been cleaned. None where it has lost them."""
    own, where = point_clouds.get_column(part.data, at.ROW), pivot.positions_of(part)
    if own is None or where is None or not trimmed.is_cleaned(part):
        return own, where
    piece = trimmed.untrimmed(part, originals)
    return piece[at.ROW].values, piece[at.POSITION].values
