"""Labels on a cloud: the code attribute, the level shown, colours, hiding, selection.

The .blend keeps the codes (an attribute) and the label list (properties). Tables that follow from them are cached here
per cloud and checked against the attribute before use, because undo and other tools change attributes unasked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from bgs_engine.codes import BitLayout
from bgs_engine.errors import BgsError, UsageError
from bgs_engine.gaussians import SH_C0
from bgs_engine.labels import read_labels

from . import clouds, selection
from .logic import attributes as at
from .logic.carry_over import Kept
from .logic.framing import point_radii
from .logic.label_tree import CodeTable, Key, build_entries, reassign
from .logic.palette import confidence_colors, srgb_to_linear
from .properties import BGS_Label, BGS_Splat, quietly, signed
from .typed import SplatObject

TINT_SHARE = 0.65  # of the label's colour in a mixed one: the picture still shows through
_LINEAR = np.array([srgb_to_linear(i / 1023) for i in range(1024)], np.float32)


@dataclass
class _Cache:
    codes: np.ndarray
    table: CodeTable


_caches: dict[int, _Cache] = {}


def forget() -> None:
    """Drop everything cached: another file was loaded or the extension goes."""
    _caches.clear()


def layout_of(obj: SplatObject) -> BitLayout:
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
    layout_of(obj)
    codes = clouds.get_column(obj.data, at.CODE)
    if codes is None or codes.dtype != np.int32:
        raise UsageError(f"{obj.name} has lost its attribute {at.CODE}.", "Undo, or import it again.")
    return codes


def table_of(obj: SplatObject) -> CodeTable:
    """All different codes of the cloud and where they are."""
    codes, layout = codes_of(obj), layout_of(obj)
    cache = _caches.get(obj.data.session_uid)
    if cache is None or cache.table.layout != layout or not np.array_equal(cache.codes, codes):
        cache = _caches[obj.data.session_uid] = _Cache(codes, CodeTable.of(codes, layout))
    return cache.table


def remember(obj: SplatObject, codes: np.ndarray, table: CodeTable) -> None:
    """Take a table that was made elsewhere (in a thread), for as long as the cloud's codes are these."""
    _caches[obj.data.session_uid] = _Cache(codes, table)


def attach(obj: SplatObject, codes: np.ndarray, layout: BitLayout, run: Path | None = None) -> None:
    """Give a cloud its codes, int32 [N] in point order, and list the labels; names come from the run folder."""
    set_codes(obj, codes, layout, run)
    list_labels(obj, Kept(names=names_in(run)))
    refresh(obj)


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
    clouds.set_column(obj.data, at.Column(at.CODE, "INT", codes))
    with quietly():
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
    entries = build_entries(table_of(obj), keep.names, keep.colors)
    with quietly():
        splat.labels.clear()
        for entry in entries:
            row = splat.labels.add()
            row.level, row.key, row.parent = entry.level, signed(entry.label), signed(entry.parent)
            row.count, row.name, row.color = entry.count, entry.name, entry.color
            row.hidden = entry.key in keep.hidden
        splat.label_index = min(splat.label_index, max(0, len(splat.labels) - 1))


def stand_alone(obj: SplatObject) -> None:
    """A part whose whole was deleted is a splat of its own from now on: its list gets all labels it has."""
    if obj.bgs.whole is None and obj.bgs.part_level:
        obj.bgs.part_level = 0
        list_labels(obj)


def find(obj: SplatObject, level: int, label: int) -> BGS_Label | None:
    """The list entry of a label."""
    key = signed(label)
    return next((row for row in obj.bgs.labels if row.level == level and row.key == key), None)


def parts_of(whole: SplatObject) -> list[SplatObject]:
    """The label objects that were made from this cloud and still exist."""
    return [o for o in bpy.data.objects if clouds.is_splat(o) and o.bgs.whole == whole]


def refresh(obj: SplatObject) -> None:
    """Bring `bgs_label`, `bgs_color` and the drawn radii up to date with level, colours and eyes.

    A part shows what its whole cloud is set to; refreshing the whole refreshes its parts.
    """
    refresh_one(obj, (obj.bgs.whole or obj).bgs)
    if obj.bgs.part_collection is not None:
        for part in parts_of(obj):
            refresh_one(part, obj.bgs)


def refresh_one(obj: SplatObject, splat: BGS_Splat) -> None:
    """The same for one cloud alone, as `splat` (its own settings, or its whole's) says."""
    cloud = obj.data
    base = clouds.get_column(cloud, at.BASE)
    if base is None:
        return
    colors = np.empty((len(base), 4), np.float32)
    colors[:, 3] = base[:, 3]
    mode = splat.color_mode if splat.level_bits and cloud.attributes.get(at.CODE) else "COLOR"
    hidden_rows = None
    sure = clouds.get_column(cloud, at.CONFIDENCE) if mode == "CONFIDENCE" else None
    if sure is not None:
        colors[:, :3] = _LINEAR[(confidence_colors(sure) * 1023 + 0.5).astype(np.uint16)]
    elif mode != "LABEL":
        index = (base[:, :3] * np.float32(SH_C0 * 1023) + np.float32(511.5)).clip(0, 1023).astype(np.uint16)
        colors[:, :3] = _LINEAR[index]
    if splat.level_bits and cloud.attributes.get(at.CODE):
        table = table_of(obj)
        labels = table.labels(splat.shown_level)
        clouds.set_column(cloud, at.Column(at.LABEL, "INT", labels.view(np.int32)[table.inverse]))
        tints = _label_colors(splat, labels)
        if mode == "LABEL":
            colors[:, :3] = tints[table.inverse]
        elif mode == "MIXED":
            colors[:, :3] += np.float32(TINT_SHARE) * (tints[table.inverse] - colors[:, :3])
        hidden = hidden_codes(splat, table)
        hidden_rows = hidden[table.inverse] if hidden.any() else None
    _show_radii(cloud, base, hidden_rows)
    if hidden_rows is not None:
        colors[hidden_rows, 3] = 0
    clouds.set_column(cloud, at.Column(at.COLOR, "FLOAT_COLOR", colors))


def _label_colors(splat: BGS_Splat, labels: np.ndarray) -> np.ndarray:
    level = splat.shown_level
    by_label = {row.label: row.color for row in splat.labels if row.level == level}
    srgb = np.array([by_label.get(label, (0.5, 0.5, 0.5)) for label in labels.tolist()], np.float32)
    return _LINEAR[(srgb.reshape(-1, 3) * 1023 + 0.5).astype(np.uint16)]


def hidden_codes(splat: BGS_Splat, table: CodeTable) -> np.ndarray:
    """Which codes are hidden, bool [U]: a code is hidden with its label at any level."""
    hidden = np.zeros(len(table.unique), bool)
    by_level: dict[int, list[int]] = {}
    for row in splat.labels:
        if row.hidden:
            by_level.setdefault(row.level, []).append(row.label)
    for level, gone in by_level.items():
        hidden |= np.isin(table.labels(level), np.array(gone, np.uint32))
    return hidden


def _show_radii(cloud: bpy.types.PointCloud, base: np.ndarray, hidden: np.ndarray | None) -> None:
    """Points of radius 0 are drawn by no engine: that is how haze and hidden labels disappear."""
    current = clouds.get_column(cloud, at.RADIUS)
    was_hidden = bool(cloud.get("bgs_some_hidden", False))
    if current is not None and hidden is None and not was_hidden and cloud.get("bgs_radii", False):
        return
    scales = clouds.get_column(cloud, at.SCALE)
    if scales is None:
        return
    radii = point_radii(scales, base[:, 3])
    if hidden is not None:
        radii[hidden] = 0
    cloud["bgs_some_hidden"], cloud["bgs_radii"] = hidden is not None, True
    clouds.set_column(cloud, at.Column(at.RADIUS, "FLOAT", radii))


def set_hidden(obj: SplatObject, hide: Iterable[Key], show: Iterable[Key] = ()) -> None:
    """Close and open eyes in one go."""
    closing, opening = set(hide), set(show)
    with quietly():
        for row in obj.bgs.labels:
            key = (row.level, row.label)
            if key in closing or key in opening:
                row.hidden = key in closing
    refresh(obj)


def isolate(obj: SplatObject, level: int, label: int) -> bool:
    """Show one label alone; if it is alone already, show everything. Returns whether it is alone now."""
    rows = obj.bgs.labels
    others = {(r.level, r.label) for r in rows if r.level == level and r.label != label}
    hidden = {(r.level, r.label) for r in rows if r.hidden}
    everything = {(r.level, r.label) for r in rows}
    alone = hidden == others and bool(others)
    set_hidden(obj, set() if alone else others, everything if alone else everything - others)
    return not alone


def select(obj: SplatObject, rows: np.ndarray) -> None:
    """Make `rows`, bool [N], the selection. Parts are refreshed with it: the display looks at them again."""
    clouds.set_column(obj.data, at.Column(at.SELECTED, "BOOLEAN", rows))
    refresh(obj)


def move_to_label(obj: SplatObject, rows: np.ndarray, level: int, target: int) -> None:
    """Give the Gaussians `rows` (bool [N]) the label `target` at `level`; lists and colours follow.

    Raises:
        UsageError: nothing to move.
    """
    if not rows.any():
        raise UsageError("No Gaussian is selected.", "Pick a label in the viewport or select one from the list.")
    clouds.set_column(obj.data, at.Column(at.CODE, "INT", reassign(codes_of(obj), rows, layout_of(obj), level, target)))
    with quietly():
        obj.bgs.run_changed = bool(obj.bgs.run_folder)
    list_labels(obj)
    for part in parts_of(obj):
        pass_on_codes(obj, part)
    refresh(obj)


def pass_on_codes(whole: SplatObject, part: SplatObject) -> None:
    """Give a part's Gaussians the codes that the whole cloud has for them: a part shows the labels as they are now.

    Which Gaussians the part has stays as it is until the objects are updated: `whole.bgs.parts_stale`.
    """
    rows, codes = (clouds.get_column(whole.data, name) for name in (at.ROW, at.CODE))
    place = selection.place_in(rows, part)
    if place is None or codes is None:
        return
    new = codes[place]
    before = clouds.get_column(part.data, at.CODE)
    if before is None or not np.array_equal(new, before):
        with quietly():
            part.bgs.level_bits, part.bgs.levels = whole.bgs.level_bits, whole.bgs.levels
            whole.bgs.parts_stale = True
        clouds.set_column(part.data, at.Column(at.CODE, "INT", new))
