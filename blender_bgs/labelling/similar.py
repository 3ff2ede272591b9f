# mypy: disable-error-code="valid-type"
"""Select Similar: the labels that look like the selected ones and are about as large."""

from dataclasses import dataclass

import bpy
import numpy as np
from bgs_engine.core.errors import UsageError
from bgs_engine.io.gaussians import SH_C0
from bgs_engine.likeness.likeness import ALIKE, likeness
from bgs_engine.likeness.signature import Signatures, signatures

from ..cloud import code_tables, label_selection, point_clouds, selection, shapes
from ..cloud.active_splat import need_splat
from ..cloud.label_selection import need_selected_labels
from ..cloud.properties import BGS_Label
from ..cloud.typed import Context, SplatObject
from ..interface.operator_base import counted
from ..logic import attributes as at
from ..logic.label_tree import CodeTable
from . import editing
from .edit_operators import NeedsSelectedLabels

NAMED = 4  # labels that the message names


@dataclass(frozen=True)
class _Kept:
    """Signatures of the labels `ids` of a level, and what they were made from."""

    table: CodeTable
    level: int
    sums: tuple[float, ...]
    ids: np.ndarray
    found: Signatures


_kept: dict[int, _Kept] = {}  # by session_uid; one for each cloud, so that a slider is quick


def forget() -> None:
    """Empty the cache."""
    _kept.clear()


def similar(obj: SplatObject, chosen: list[BGS_Label]) -> list[tuple[BGS_Label, float]]:
    """The other shown labels of the level with their likeness to the most similar label of `chosen`, best first.

    Raises:
        UsageError: no label of `chosen` has enough Gaussians to be compared.
    """
    level = obj.bgs.shown_level
    kept = _signatures(obj, level)
    mine = {row.label for row in chosen}
    ones = np.searchsorted(kept.ids, np.array(sorted(mine), np.uint32))
    if not kept.found.usable[ones].any():
        raise UsageError("The selected labels have too few Gaussians to be compared.", "Select larger ones.")
    alike = dict(zip(kept.ids.tolist(), likeness(kept.found, ones).tolist(), strict=True))
    rows = [row for row in obj.bgs.labels if row.level == level and row.label not in mine and not row.hidden]
    return sorted(((row, alike.get(row.label, 0.0)) for row in rows), key=lambda pair: -pair[1])


def _signatures(obj: SplatObject, level: int) -> _Kept:
    shapes.make_true(obj)
    table = code_tables.table_of(obj)
    position, scale, base = (point_clouds.need_column(obj.data, name) for name in (at.POSITION, at.SCALE, at.BASE))
    sums = tuple(float(values.sum(dtype=np.float64)) for values in (position, scale, base))
    kept = _kept.get(obj.data.session_uid)
    if kept is not None and kept.table is table and kept.level == level and kept.sums == sums:
        return kept
    ids, of_code = np.unique(table.labels(level), return_inverse=True)
    of = of_code.reshape(-1)[table.inverse]
    found = signatures(position, scale, base[:, 3], base[:, :3] * np.float32(SH_C0) + np.float32(0.5), of, len(ids))
    kept = _kept[obj.data.session_uid] = _Kept(table, level, sums, ids, found)
    return kept


class BGS_OT_select_similar(NeedsSelectedLabels, bpy.types.Operator):
    """Add the shown labels that look like the selected ones, and are about as large, to the selection."""

    bl_idname = "bgs.select_similar"
    bl_label = "Select Similar Labels"
    in_edit_mode = True
    least: bpy.props.FloatProperty(
        name="Likeness", default=ALIKE, min=0.0, max=1.0, subtype="FACTOR",
        description="Labels of at least this likeness are added. Copies of one thing have more than one half",
    )  # fmt: skip
    most: bpy.props.IntProperty(
        name="At Most", default=0, min=0, soft_max=100,
        description="How many labels are added at most, the most similar first. 0 means all of that likeness",
    )  # fmt: skip

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        others = similar(obj, need_selected_labels(obj))
        found = [pair for pair in others if pair[1] >= self.least]
        added = found[: self.most] if self.most else found
        rest = others[len(added) : len(added) + 1]
        rows = editing.rows_of(obj, [row for row, _ in added])
        label_selection.select(obj, np.logical_or(selection.selected(obj), rows))
        text = f"{counted(len(added), 'label')} added"
        if added:
            text += f": {_named(added[:NAMED])}{' ...' if len(added) > NAMED else ''}"
        return f"{text}. The next one is {_named(rest)}" if rest else text


def _named(found: list[tuple[BGS_Label, float]]) -> str:
    return ", ".join(f"{row.name} ({alike:.2f})" for row, alike in found)


CLASSES = (BGS_OT_select_similar,)
