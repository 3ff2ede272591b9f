"""Places of the points of label objects: where they were before, and what moved them since they were cleaned."""

import numpy as np

from ..cloud import point_clouds
from ..cloud.typed import SplatObject
from ..logic import attributes as at
from ..logic.affine_fit import Hints, agrees, fit


def same(before: np.ndarray, after: np.ndarray, applied: np.ndarray | None) -> np.ndarray:
    """Which points are where a map [4, 4] brings them, or None for no map, bool [N]."""
    return (before == after).all(1) if applied is None else agrees(applied, before.astype(np.float64), after)


def moved_by(before: np.ndarray, after: np.ndarray, applied: np.ndarray | None) -> np.ndarray | None:
    """What moved points that were cleaned together. It is `applied`, unless Join moved them all in another way."""
    if not len(before) or same(before, after, applied).any():
        return applied
    found = fit(before, after, Hints())
    return applied if found is None else found


def keep_places(part: SplatObject, positions: np.ndarray, rows: np.ndarray, old: np.ndarray, local: np.ndarray) -> None:
    """Give points that did not move in the splat space the positions that they had: adding a pivot rounds.

    Args:
        part: the label object with its new points.
        positions: of the new points in the splat space.
        rows: of the points before.
        old: their positions in the splat space.
        local: their positions relative to the pivot.
    """
    order = np.argsort(rows, kind="stable")
    now = point_clouds.need_column(part.data, at.ROW)
    found = order[np.searchsorted(rows[order], now).clip(0, max(len(rows) - 1, 0))] if len(rows) else order[:0]
    if not len(found):
        return
    same = (rows[found] == now) & (old[found] == positions).all(1)
    values = np.where(same[:, None], local[found], point_clouds.need_column(part.data, at.POSITION))
    point_clouds.set_column(part.data, at.Column(at.POSITION, "FLOAT_VECTOR", values))
