"""A label table with the names and colours that the labels have in Blender."""

from typing import TypeAlias

import numpy as np
from bgs_engine.core.label_table import LabelTable
from bgs_engine.core.palette import Color, Key, label_colors

from ..cloud import code_tables
from ..cloud.typed import SplatObject

COLOR_STEP = 1e-4  # finer differences of colours are rounding
Names: TypeAlias = dict[Key, str]
Colors: TypeAlias = dict[Key, Color]


def names_of(obj: SplatObject) -> Names:
    """The names of the labels in the list of a whole cloud."""
    return {(row.level, row.label): row.name for row in obj.bgs.labels}


def automatic_of(obj: SplatObject) -> Names:
    """The names that the engine gave to these labels; "" where it gave none."""
    return {(row.level, row.label): row.automatic for row in obj.bgs.labels}


def colors_of(obj: SplatObject) -> Colors:
    """The colours of the labels that have not the one that the palette gives."""
    table = code_tables.table_of(obj)
    usual = label_colors(table.layout, table.unique, table.counts)
    found = {(row.level, row.label): (row.color[0], row.color[1], row.color[2]) for row in obj.bgs.labels}
    return {key: color for key, color in found.items() if not _alike(color, usual.get(key))}


def colors_known(table: LabelTable) -> Colors:
    """The colours in a label table that are not the palette's."""
    found = {(level, row.label): row.shown_color for level, rows in enumerate(table.levels, 1) for row in rows}
    return {key: color for key, color in found.items() if color is not None}


def _alike(one: Color | None, other: Color | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, atol=COLOR_STEP))


def set_names(table: LabelTable, names: Names, colors: Colors | None, automatic: Names) -> bool:
    """Give the labels their names, and their colours unless `colors` is None. Returns whether anything changed."""
    changed = False
    for level, rows in enumerate(table.levels, 1):
        for row in rows:
            name = names.get((level, row.label), row.name)
            color = row.shown_color if colors is None else colors.get((level, row.label))
            describing = automatic.get((level, row.label), row.automatic)
            changed |= (name, describing) != (row.name, row.automatic) or not _alike(color, row.shown_color)
            row.name, row.automatic, row.shown_color = name, describing, color
    return changed
