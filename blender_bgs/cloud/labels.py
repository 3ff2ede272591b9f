"""Labels on a cloud: giving it codes, the label list in the properties, selecting and moving labels."""

from pathlib import Path

import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import BgsError, UsageError
from bgs_engine.core.label_table import read_labels

from ..logic import attributes as at
from ..logic.carry_over import Kept
from ..logic.label_tree import Key, build_entries, reassign
from . import appearance, code_tables, point_clouds, selection
from .properties import BGS_Label, signed, without_updates
from .typed import SplatObject


def attach(obj: SplatObject, codes: np.ndarray, layout: BitLayout, run: Path | None = None) -> None:
    """Give a cloud its codes, int32 [N] in point order, and list the labels; names come from the run folder."""
    set_codes(obj, codes, layout, run)
    list_labels(obj, Kept(names=names_in(run)))
    appearance.refresh(obj)


def names_in(run: Path | None) -> dict[Key, str]:
    """The names in a run folder's label table; none where it cannot be read: the run still has its codes."""
    if run is None:
        return {}
    try:
        levels = read_labels(run / "labels.json").levels
    except BgsError:
        return {}
    return {(level, row.label): row.name for level, rows in enumerate(levels, 1) for row in rows}


def set_codes(obj: SplatObject, codes: np.ndarray, layout: BitLayout, run: Path | None) -> None:
    """The attribute and what says how to read it; `list_labels` and `refresh` have to follow."""
    point_clouds.set_column(obj.data, at.Column(at.CODE, "INT", codes))
    with without_updates():
        obj.bgs.level_bits = ",".join(map(str, layout.level_bits))
        obj.bgs.levels = layout.levels
        obj.bgs.level = 1
        obj.bgs.color_mode = "LABEL"
        if run is not None:
            obj.bgs.run_folder = str(run)
            obj.bgs.run_changed = False


def kept(obj: SplatObject) -> Kept:
    """What the label list says about each label."""
    rows = {(row.level, row.label): row for row in obj.bgs.labels}
    return Kept(
        names={key: row.name for key, row in rows.items()},
        colors={key: (row.color[0], row.color[1], row.color[2]) for key, row in rows.items()},
        hidden={key for key, row in rows.items() if row.hidden},
    )


def list_labels(obj: SplatObject, keep: Kept | None = None) -> None:
    """Write the label list anew from the codes; without `keep`, what the list says about labels that stay."""
    splat = obj.bgs
    keep = kept(obj) if keep is None else keep
    entries = build_entries(code_tables.table_of(obj), keep.names, keep.colors)
    with without_updates():
        splat.labels.clear()
        for entry in entries:
            row = splat.labels.add()
            row.level, row.key, row.parent = entry.level, signed(entry.label), signed(entry.parent)
            row.count, row.name, row.color = entry.count, entry.name, entry.color
            row.hidden = entry.key in keep.hidden
        splat.label_index = min(splat.label_index, max(0, len(splat.labels) - 1))


def promote_orphan(obj: SplatObject) -> None:
    """A part whose whole was deleted is a splat of its own from now on: its list gets all labels it has."""
    if obj.bgs.whole is None and obj.bgs.part_level:
        obj.bgs.part_level = 0
        list_labels(obj)


def level_changed(obj: SplatObject) -> None:
    """The user moved the level slider."""
    promote_orphan(obj)
    appearance.refresh(obj)


def find(obj: SplatObject, level: int, label: int) -> BGS_Label | None:
    """The list entry of a label."""
    key = signed(label)
    return next((row for row in obj.bgs.labels if row.level == level and row.key == key), None)


def select(obj: SplatObject, rows: np.ndarray) -> None:
    """Make `rows`, bool [N], the selection. Parts are refreshed with it: the display looks at them again."""
    point_clouds.set_column(obj.data, at.Column(at.SELECTED, "BOOLEAN", rows))
    appearance.refresh(obj)


def move_to_label(obj: SplatObject, rows: np.ndarray, level: int, target: int) -> None:
    """Give the Gaussians `rows` (bool [N]) the label `target` at `level`; lists and colours follow.

    Raises:
        UsageError: nothing to move.
    """
    if not rows.any():
        raise UsageError("No Gaussian is selected.", "Pick a label in the viewport or select one from the list.")
    point_clouds.set_column(
        obj.data,
        at.Column(
            at.CODE, "INT", reassign(code_tables.codes_of(obj), rows, code_tables.bit_layout_of(obj), level, target)
        ),
    )
    with without_updates():
        obj.bgs.run_changed = bool(obj.bgs.run_folder)
    list_labels(obj)
    for part in code_tables.parts_of(obj):
        pass_on_codes(obj, part)
    appearance.refresh(obj)


def pass_on_codes(whole: SplatObject, part: SplatObject) -> None:
    """Give a part's Gaussians the codes that the whole cloud has for them: a part shows the labels as they are now.

    Which Gaussians the part has stays as it is until the objects are updated: `whole.bgs.parts_stale`.
    """
    rows, codes = (point_clouds.get_column(whole.data, name) for name in (at.ROW, at.CODE))
    place = selection.place_in(rows, part)
    if place is None or codes is None:
        return
    new = codes[place]
    before = point_clouds.get_column(part.data, at.CODE)
    if before is None or not np.array_equal(new, before):
        with without_updates():
            part.bgs.level_bits, part.bgs.levels = whole.bgs.level_bits, whole.bgs.levels
            whole.bgs.parts_stale = True
        point_clouds.set_column(part.data, at.Column(at.CODE, "INT", new))
