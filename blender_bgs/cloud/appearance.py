"""Updates the attributes that show labels: `bgs_label`, `bgs_color` and `radius`."""

import bpy
import numpy as np
from bgs_engine.core.palette import TINT_SHARE, UNLABELLED, confidence_colors, srgb_to_linear
from bgs_engine.io.gaussians import SH_C0

from ..logic import attributes as at
from ..logic.framing import point_radii
from ..logic.label_states import codes_with
from ..logic.label_tree import CodeTable
from . import light, part_labels, point_clouds
from .code_tables import parts_of, table_of
from .properties import BGS_Splat
from .typed import SplatObject

_LINEAR = srgb_to_linear(np.arange(1024) / 1023).astype(np.float32)


def refresh(obj: SplatObject) -> None:
    """Update `bgs_label`, `bgs_color` and `radius` after a change of level, colouring, colours or hidden labels.

    A label object uses the settings of its whole cloud. Refreshing the whole cloud refreshes its label objects too.
    """
    refresh_one(obj, (obj.bgs.whole or obj).bgs)
    if obj.bgs.part_collection is not None:
        for part in parts_of(obj):
            refresh_one(part, obj.bgs)
        part_labels.tell(obj)


def refresh_one(obj: SplatObject, splat: BGS_Splat) -> None:
    """Update the attributes of one object. `splat` holds the settings: its own, or those of its whole cloud."""
    cloud = obj.data
    base = point_clouds.get_column(cloud, at.BASE)
    if base is None:
        return
    colors = np.empty((len(base), 4), np.float32)
    colors[:, 3] = base[:, 3]
    mode = splat.color_mode if splat.level_bits and cloud.attributes.get(at.CODE) else "COLOR"
    hidden_rows = None
    confidence = point_clouds.get_column(cloud, at.CONFIDENCE) if mode == "CONFIDENCE" else None
    if confidence is not None:
        colors[:, :3] = _linear(confidence_colors(confidence))
    elif mode in ("COLOR", "CONFIDENCE"):
        values = base[:, :3] * np.float32(SH_C0 * 1023) + np.float32(511.5)
        factors = light.factors_of_points(obj)
        if factors is not None:
            values *= factors
        index = values.clip(0, 1023).astype(np.uint16)
        colors[:, :3] = _LINEAR[index]
    if splat.level_bits and cloud.attributes.get(at.CODE):
        table = table_of(obj)
        labels = table.labels(splat.shown_level)
        point_clouds.set_column(cloud, at.Column(at.LABEL, "INT", labels.view(np.int32)[table.inverse]))
        tints = display_colors(splat, splat.shown_level, labels)
        if mode == "LABEL":
            colors[:, :3] = _linear(tints)[table.inverse]
        elif mode == "MIXED":
            mixed = base[:, :3] * np.float32(SH_C0) + np.float32(0.5)
            factors = light.factors_of_codes(splat, table)
            mixed = (mixed if factors is None else mixed * factors[table.inverse]).clip(0, 1)
            mixed += np.float32(TINT_SHARE) * (tints[table.inverse] - mixed)
            colors[:, :3] = _linear(mixed)
        hidden = hidden_codes(splat, table)
        hidden_rows = hidden[table.inverse] if hidden.any() else None
    _show_radii(cloud, base, hidden_rows)
    if hidden_rows is not None:
        colors[hidden_rows, 3] = 0
    point_clouds.set_column(cloud, at.Column(at.COLOR, "FLOAT_COLOR", colors))


def refresh_radii(obj: SplatObject) -> None:
    """Update `radius` after scales changed."""
    base, splat = point_clouds.get_column(obj.data, at.BASE), (obj.bgs.whole or obj).bgs
    if base is None:
        return
    obj.data["bgs_radii"] = False
    hidden_rows = None
    if splat.level_bits and obj.data.attributes.get(at.CODE):
        table = table_of(obj)
        hidden = hidden_codes(splat, table)
        hidden_rows = hidden[table.inverse] if hidden.any() else None
    _show_radii(obj.data, base, hidden_rows)


def _linear(srgb: np.ndarray) -> np.ndarray:
    """Scene-linear values, float32, of sRGB values 0..1."""
    return _LINEAR[(srgb * 1023 + 0.5).astype(np.uint16)]


def display_colors(splat: BGS_Splat, level: int, wanted: np.ndarray) -> np.ndarray:
    """sRGB colour, float32 [U, 3], of each label in `wanted` uint32 [U] of a level."""
    by_label = {row.label: row.color[:] for row in splat.labels if row.level == level}
    return np.array([by_label.get(label, UNLABELLED) for label in wanted.tolist()], np.float32).reshape(-1, 3)


def hidden_codes(splat: BGS_Splat, table: CodeTable) -> np.ndarray:
    """Which codes are hidden, bool [U]. A code is hidden if its label of any level is hidden."""
    return codes_with(table, ((row.level, row.label) for row in splat.labels if row.hidden))


def _show_radii(cloud: bpy.types.PointCloud, base: np.ndarray, hidden: np.ndarray | None) -> None:
    """Set the radii. Haze and hidden labels get radius 0, because no renderer draws a point of radius 0."""
    current = point_clouds.get_column(cloud, at.RADIUS)
    was_hidden = bool(cloud.get("bgs_some_hidden", False))
    if current is not None and hidden is None and not was_hidden and cloud.get("bgs_radii", False):
        return
    scales = point_clouds.get_column(cloud, at.SCALE)
    if scales is None:
        return
    radii = point_radii(scales, base[:, 3])
    if hidden is not None:
        radii[hidden] = 0
    cloud["bgs_some_hidden"], cloud["bgs_radii"] = hidden is not None, True
    point_clouds.set_column(cloud, at.Column(at.RADIUS, "FLOAT", radii))
