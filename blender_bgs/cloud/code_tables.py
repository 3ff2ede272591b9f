"""The codes of a cloud and the tables that follow from them.

The .blend keeps the codes as an attribute. Undo and other tools change attributes without notice, so a cached table is
compared with the attribute before it is used.
"""

from dataclasses import dataclass

import bpy
import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError

from ..logic import attributes as at
from ..logic.label_tree import CodeTable
from . import point_clouds
from .typed import SplatObject


@dataclass
class _Cache:
    codes: np.ndarray
    table: CodeTable


_caches: dict[int, _Cache] = {}


def forget() -> None:
    """Drop everything cached: another file was loaded or the extension goes."""
    _caches.clear()


def bit_layout_of(obj: SplatObject) -> BitLayout:
    """The bit layout.

    Raises:
        UsageError: the cloud has no labels yet.
    """
    bits = obj.bgs.bits
    if bits is None:
        raise UsageError(f"{obj.name} has no labels yet.", "Press Segment, or import a run folder.")
    return bits


def codes_of(obj: SplatObject) -> np.ndarray:
    """The codes, int32 [N]."""
    bit_layout_of(obj)
    codes = point_clouds.get_column(obj.data, at.CODE)
    if codes is None or codes.dtype != np.int32:
        raise UsageError(f"{obj.name} has lost its attribute {at.CODE}.", "Undo, or import it again.")
    return codes


def table_of(obj: SplatObject) -> CodeTable:
    """All different codes of the cloud and where they are."""
    codes, layout = codes_of(obj), bit_layout_of(obj)
    cache = _caches.get(obj.data.session_uid)
    if cache is None or cache.table.layout != layout or not np.array_equal(cache.codes, codes):
        cache = _caches[obj.data.session_uid] = _Cache(codes, CodeTable.of(codes, layout))
    return cache.table


def remember(obj: SplatObject, codes: np.ndarray, table: CodeTable) -> None:
    """Take a table that was made elsewhere (in a thread), for as long as the cloud's codes are these."""
    _caches[obj.data.session_uid] = _Cache(codes, table)


def parts_of(whole: SplatObject) -> list[SplatObject]:
    """The label objects that were made from this cloud and still exist."""
    return [o for o in bpy.data.objects if point_clouds.is_splat(o) and o.bgs.whole == whole]
