"""Which Gaussians are selected, and which points of the whole cloud a part's points are."""

import numpy as np

from ..logic import attributes as at
from . import point_clouds
from .typed import SplatObject


def selected(obj: SplatObject) -> np.ndarray:
    """Which Gaussians are selected, bool [N]."""
    values = point_clouds.get_column(obj.data, at.SELECTED)
    return values if values is not None and values.dtype == np.bool_ else np.zeros(len(obj.data.points), bool)


class Marks:
    """Which Gaussians are to be marked as selected. What a whole cloud says is read once, however many parts it has."""

    def __init__(self) -> None:
        self._wholes: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}

    def of(self, obj: SplatObject) -> np.ndarray:
        """Bool [N]; a part shows what is selected of its whole, too."""
        own, whole = selected(obj), obj.bgs.whole
        if whole is None:
            return own
        if whole.session_uid not in self._wholes:
            self._wholes[whole.session_uid] = (selected(whole), point_clouds.get_column(whole.data, at.ROW))
        chosen, rows = self._wholes[whole.session_uid]
        if not chosen.any():
            return own
        place = place_in(rows, obj)
        return own if place is None else own | chosen[place]


def place_in(rows: np.ndarray | None, part: SplatObject) -> np.ndarray | None:
    """Which points of the whole cloud with row numbers `rows`, int [M], a part's points are, int [N].

    None where either has lost its row numbers.
    """
    own = point_clouds.get_column(part.data, at.ROW)
    if own is None or rows is None or not len(rows):
        return None
    where = own if _is_counted(rows) and own.max(initial=0) < len(rows) else np.searchsorted(rows, own)
    return where.clip(0, len(rows) - 1)


def _is_counted(rows: np.ndarray) -> bool:
    """Whether the rows are 0, 1, 2, ... (nothing was deleted): by their ends, since they never repeat."""
    return bool(rows[0] == 0 and rows[-1] == len(rows) - 1)
