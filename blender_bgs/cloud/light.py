"""The light of a cloud's labels, as factors of the display values of its Gaussians. See `logic.light`."""

import numpy as np

from ..logic import attributes as at
from ..logic.label_tree import CodeTable
from ..logic.light import display_factor, lit_rows
from .code_tables import table_of
from .properties import BGS_Splat
from .typed import SplatObject


def factors_of_codes(splat: BGS_Splat, table: CodeTable) -> np.ndarray | None:
    """The factor of every different code, float32 [U, 3], or None if all are 1. Labels of all levels multiply."""
    lit = [row for row in splat.labels if row.is_lit]
    if not lit:
        return None
    out = np.ones((len(table.unique), 3), np.float32)
    for row in lit:
        factor = display_factor((row.tint[0], row.tint[1], row.tint[2]), row.exposure)
        out[table.labels(row.level) == np.uint32(row.label)] *= factor.astype(np.float32)
    return out


def factors_of_points(obj: SplatObject) -> np.ndarray | None:
    """The factor of every Gaussian of an object, float32 [N, 3], or None if all are 1."""
    splat = (obj.bgs.whole or obj).bgs
    if not splat.level_bits or not obj.data.attributes.get(at.CODE):
        return None
    table = table_of(obj)
    factors = factors_of_codes(splat, table)
    return None if factors is None else factors[table.inverse]


def with_light(obj: SplatObject, rows: np.ndarray) -> np.ndarray:
    """The PLY rows [N] of an object's Gaussians with the light of its labels."""
    factors = factors_of_points(obj)
    return rows if factors is None else lit_rows(rows, factors)
