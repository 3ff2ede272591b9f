"""Reads the selected Gaussians, and maps the points of a label object to those of its whole cloud."""

from collections.abc import Mapping

import numpy as np

from ..logic import attributes as at
from . import point_clouds
from .typed import SplatObject


def selected(obj: SplatObject) -> np.ndarray:
    """Which Gaussians are selected, bool [N]. In Edit Mode, Blender deletes the attribute where all are."""
    values = point_clouds.get_column(obj.data, at.SELECTED)
    if values is not None and values.dtype == np.bool_:
        return values
    return np.full(len(obj.data.points), obj.mode == "EDIT")


class SelectionReader:
    """Reads which Gaussians to show as selected. It reads each whole cloud once, for all of its label objects."""

    def __init__(self, instead: Mapping[int, np.ndarray] | None = None) -> None:
        """Args:
        instead: what to show in place of all selections, by the session_uid of the whole cloud: float32 [N], how
            strongly, 0 for not at all. None: nothing.
        """
        self._instead = instead
        self._wholes: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}

    def of(self, obj: SplatObject) -> np.ndarray:
        """The selected Gaussians, bool [N], or how strongly to show each, float32 [N].

        A label object shows its own in Edit Mode, else those of its whole cloud.

        Its own selection is kept for the next time in Edit Mode, as that of a mesh is.
        """
        whole = obj.bgs.whole
        if whole is None or (obj.mode == "EDIT" and self._instead is None):
            return self._shown(obj)
        if whole.session_uid not in self._wholes:
            self._wholes[whole.session_uid] = (self._shown(whole), point_clouds.get_column(whole.data, at.ROW))
        chosen, rows = self._wholes[whole.session_uid]
        points = points_in_whole(rows, obj) if chosen.any() else None
        return np.zeros(len(obj.data.points), bool) if points is None else chosen[points] * (points >= 0)

    def _shown(self, whole: SplatObject) -> np.ndarray:
        """What to show of a whole cloud, bool or float32 [N]."""
        if self._instead is None:
            return selected(whole)
        mine, count = self._instead.get(whole.session_uid), len(whole.data.points)
        return mine if mine is not None and len(mine) == count else np.zeros(count, bool)


def points_in_whole(rows: np.ndarray | None, part: SplatObject) -> np.ndarray | None:
    """The index in the whole cloud of each point of a label object, int [N].

    `rows` is the attribute `bgs_row` of the whole cloud, int [M]. It returns None if either object lacks `bgs_row`.
    A point that is not in the whole cloud, because it was joined into the label object, has index -1.
    """
    own = point_clouds.get_column(part.data, at.ROW)
    if own is None or rows is None or not len(rows):
        return None
    if _is_complete(rows) and own.max(initial=0) < len(rows):
        return own
    points = np.searchsorted(rows, own).clip(0, len(rows) - 1)
    return np.where(rows[points] == own, points, -1)


def _is_complete(rows: np.ndarray) -> bool:
    """Whether the rows are 0, 1, 2, ... because no point was deleted. The ends tell this, because rows never repeat."""
    return bool(rows[0] == 0 and rows[-1] == len(rows) - 1)
