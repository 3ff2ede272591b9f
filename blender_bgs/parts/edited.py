"""Tells which label objects the user edited, so that nothing of it is lost without a question."""

import numpy as np

from ..cloud import code_tables, pivot, point_clouds, shapes
from ..cloud.typed import SplatObject
from ..logic import attributes as at
from ..logic.affine_fit import agrees
from ..logic.transforms import change_since_import


def lost_parts(whole: SplatObject) -> list[str]:
    """Names of parts that the user moved and whose label does not exist any more. `make_tree` would remove them."""
    table = code_tables.table_of(whole)
    world = pivot.splat_world_of(whole)
    there = {level: set(table.labels(level).tolist()) for level in range(1, whole.bgs.levels + 1)}
    return [
        part.name
        for part in code_tables.parts_of(whole)
        if part.bgs.part_key & 0xFFFFFFFF not in there.get(part.bgs.part_level, ())
        and change_since_import(pivot.splat_world_of(part) @ _space(part, whole), world, reach=_reach(part)) is not None
    ]


def applied_to(part: SplatObject, whole: SplatObject) -> np.ndarray | None:
    """The matrix [4, 4] in the splat space from the whole cloud's points to the part's, or None if it is the identity.

    Apply moves a transform from the object's matrix into its points.
    """
    return change_since_import(_space(part, whole), np.eye(4), reach=_reach(part))


def home_of(part: SplatObject, whole: SplatObject) -> np.ndarray:
    """The world matrix [4, 4] at which the part's Gaussians are where the whole cloud has them."""
    space = applied_to(part, whole)
    home = pivot.splat_world_of(whole)
    return (home if space is None else home @ np.linalg.inv(space)) @ pivot.shift_of(part)


def _space(part: SplatObject, whole: SplatObject) -> np.ndarray:
    return shapes.local_of(part) @ np.linalg.inv(shapes.local_of(whole))


def _reach(part: SplatObject) -> float:
    return float(np.abs(pivot.pivot_of(part)).max())


def edited_parts(whole: SplatObject) -> list[str]:
    """Names of parts whose points the user deleted, added or moved. `make_tree` would overwrite these edits."""
    counts = {(row.level, row.label): row.count for row in whole.bgs.labels}
    rows = point_clouds.get_column(whole.data, at.ROW)
    position = pivot.positions_of(whole)
    out = []
    for part in code_tables.parts_of(whole):
        key = (part.bgs.part_level, part.bgs.part_key & 0xFFFFFFFF)
        own, where = point_clouds.get_column(part.data, at.ROW), pivot.positions_of(part)
        same_count = counts.get(key) == len(part.data.points)
        if own is None or where is None or rows is None or position is None or not same_count:
            out.append(part.name)
            continue
        there = position[np.searchsorted(rows, own).clip(0, len(rows) - 1)]
        applied = applied_to(part, whole)
        same = np.array_equal(there, where) if applied is None else agrees(applied, there.astype(float), where).all()
        if not same:
            out.append(part.name)
    return out
