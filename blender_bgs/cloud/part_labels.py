"""Gives each label object its own rows of the label list, so that it is complete without its whole cloud."""

from collections.abc import Mapping

from ..logic.label_tree import Key
from . import identity
from .properties import BGS_Label, without_updates
from .typed import SplatObject

ROW_COPIED = ("level", "key", "parent", "count", "seen", "name", "automatic", "color", "hidden", "tint", "exposure")
SPLAT_COPIED = ("color_mode", "level", "levels", "level_bits")


def tell(whole: SplatObject) -> None:
    """Give every label object what it needs to look the same without its whole cloud: its labels and the colouring."""
    parts = identity.parts_of(whole)
    if not parts:
        return
    rows = {(row.level, row.label): row for row in whole.bgs.labels}
    children: dict[Key, list[Key]] = {}
    for key, row in rows.items():
        children.setdefault((row.level - 1, row.parent & 0xFFFFFFFF), []).append(key)
    with without_updates():
        for part in parts:
            for name in SPLAT_COPIED:
                if getattr(part.bgs, name) != getattr(whole.bgs, name):
                    setattr(part.bgs, name, getattr(whole.bgs, name))
            key = (part.bgs.part_level, part.bgs.part_key & 0xFFFFFFFF)
            wanted = [rows[one] for one in (*_above(rows, key), *_below(children, key)) if one in rows]
            part.bgs.labels.clear()
            for row in wanted:
                mine = part.bgs.labels.add()
                for name in ROW_COPIED:
                    setattr(mine, name, getattr(row, name))


def _above(rows: Mapping[Key, BGS_Label], key: Key) -> list[Key]:
    """A label's parents, coarse to fine."""
    found: list[Key] = []
    while key in rows and key[0] > 1:
        key = (key[0] - 1, rows[key].parent & 0xFFFFFFFF)
        found.insert(0, key)
    return found


def _below(children: Mapping[Key, list[Key]], key: Key) -> list[Key]:
    """A label and all labels in it."""
    found = [key]
    for one in found:
        found += children.get(one, ())
    return found
