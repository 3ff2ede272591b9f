"""Gives the labels of a table their automatic names. Names that people gave stay."""

from collections.abc import Sequence

import numpy as np

from bgs_engine.core.label_table import Label, LabelTable, is_automatic
from bgs_engine.naming.label_names import label_names

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def name_table(table: LabelTable, codes: np.ndarray, columns: Columns, up: np.ndarray) -> int:
    """Name all labels by what their Gaussians show. Returns how many labels got another name.

    Args:
        table: of the codes; changed in place.
        codes: int32 [N].
        columns: means [N, 3], scales [N, 3], opacities [N] and sRGB colours [N, 3], as `label_names` takes them.
        up: float [3], the direction upwards.
    """
    changed = 0
    for level, rows in enumerate(table.levels, 1):
        ids, of = np.unique(table.layout.labels(codes, level), return_inverse=True)
        names = label_names(*columns, of.reshape(-1), len(ids), up, people_names(rows))
        at = {label: k for k, label in enumerate(ids.tolist())}
        changed += set_names(rows, [names[at[row.label]] if row.label in at else "" for row in rows])
    return changed


def people_names(rows: Sequence[Label]) -> set[str]:
    """The names that people gave to labels."""
    return {row.name for row in rows if not is_automatic(row.name, row.automatic)}


def set_names(rows: Sequence[Label], names: Sequence[str]) -> int:
    """Give each label of a level its automatic name; "" leaves it as it is. Returns how many are called otherwise now.

    A label that a person named keeps that name, and knows its automatic one.
    """
    changed = 0
    for row, name in zip(rows, names, strict=True):
        if not name:
            continue
        if is_automatic(row.name, row.automatic) and row.name != name:
            row.name = name
            changed += 1
        row.automatic = name
    return changed
