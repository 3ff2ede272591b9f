"""The codes of a cloud, and a cache of their code tables.

The .blend keeps the codes as an attribute. Undo and other tools change attributes without notice. A cached table is
therefore used only if the attribute still holds the same codes.
"""

from dataclasses import dataclass

import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError

from ..logic import attributes as at
from ..logic.label_tree import CodeTable
from . import identity, point_clouds
from .typed import SplatObject


@dataclass
class _Cache:
    codes: np.ndarray
    table: CodeTable


_caches: dict[int, _Cache] = {}


def forget(uid: int | None = None) -> None:
    """Empty the cache, or forget the cloud with this session_uid."""
    if uid is None:
        _caches.clear()
    else:
        _caches.pop(uid, None)


def bit_layout_of(obj: SplatObject) -> BitLayout:
    """The bit layout of the cloud's codes.

    Raises:
        UsageError: the cloud has no labels yet.
    """
    bits = obj.bgs.bits
    if bits is None:
        raise UsageError(f"{obj.name} has no labels yet.", "Press Segment, or import a run folder.")
    return bits


def codes_of(obj: SplatObject) -> np.ndarray:
    """The codes, int32 [N].

    Raises:
        UsageError: the cloud has no labels yet, or its attribute `bgs_code` is missing.
    """
    bit_layout_of(obj)
    codes = point_clouds.get_column(obj.data, at.CODE)
    if codes is None or codes.dtype != np.int32:
        raise UsageError(f"{obj.name} has lost its attribute {at.CODE}.", "Undo, or import it again.")
    return codes


def table_of(obj: SplatObject) -> CodeTable:
    """The code table of the cloud, from the cache if it is still valid.

    Raises:
        UsageError: the cloud has no labels yet, or its attribute `bgs_code` is missing.
    """
    codes, layout = codes_of(obj), bit_layout_of(obj)
    cache = _caches.get(obj.data.session_uid)
    if cache is None or cache.table.layout != layout or not np.array_equal(cache.codes, codes):
        cache = _caches[obj.data.session_uid] = _Cache(codes, CodeTable.of(codes, layout))
    return cache.table


def known_table(obj: SplatObject) -> CodeTable | None:
    """The table in the cache, which may be out of date; None if there is none. It costs nothing."""
    cache = _caches.get(obj.data.session_uid)
    return cache.table if cache else None


def remember(obj: SplatObject, codes: np.ndarray, table: CodeTable) -> None:
    """Put a table into the cache that was made elsewhere, for example in a thread."""
    _caches[obj.data.session_uid] = _Cache(codes, table)


def parts_of(whole: SplatObject) -> list[SplatObject]:
    """The existing label objects of a whole cloud."""
    return identity.parts_of(whole)
