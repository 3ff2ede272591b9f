# mypy: disable-error-code="arg-type, attr-defined, has-type, index"
"""Draws text in the 3D view: the names of the label under the mouse and of the picked label, and the legend."""

from typing import cast

import blf
import bpy
import gpu
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix, Vector

from ..cloud import code_tables, labels, pivot
from ..cloud.active_splat import splat_of
from ..cloud.properties import BGS_Label
from ..cloud.typed import Context, SplatObject
from ..logic.attributes import POSITION
from .draw import display

LINES = 14  # most lines of the legend; more would cover the view
LINE, ABOVE = 17, 130  # pixels at UI scale 1: the height of a line, and of Blender's own texts at the top of a view
FONT = 0


follow: list[tuple[int, float, float]] = []  # while Pick runs: the mouse's region (its pointer) and position in it


def draw() -> None:
    """Draw names and legend. It is a POST_PIXEL handler."""
    context = cast(Context, bpy.context)
    settings = context.scene.bgs_view
    obj = splat_of(context)
    if obj is None or not obj.bgs.level_bits or context.region_data is None:
        return
    if not context.space_data.overlay.show_overlays:
        return
    scale = context.preferences.system.ui_scale
    if settings.legend:
        _legend(context, obj, scale)
    if settings.names:
        picked = _picked(context, obj)
        if picked is not None:
            row, place = picked
            at = location_3d_to_region_2d(context.region, context.region_data, place)
            if at is not None:
                tag(row.name, row.color[:], at.x + 14 * scale, at.y + 14 * scale, scale)
        hover = display.hover
        if (
            hover is not None
            and picked is not None
            and (hover.level, hover.label) == (picked[0].level, picked[0].label)
        ):
            return  # the picked label has its name already
        at_mouse = [place[1:] for place in follow if place[0] == context.region.as_pointer()]
        if hover is not None and at_mouse and hover.whole_uid == obj.session_uid:
            entry = labels.find(obj, hover.level, hover.label)
            if entry is not None:
                tag(entry.name, entry.color[:], at_mouse[0][0] + 18 * scale, at_mouse[0][1] - 26 * scale, scale)


def _picked(context: Context, obj: SplatObject) -> tuple[BGS_Label, Vector] | None:
    """The label that was picked last and its position, or None if it is not selected or not visible any more."""
    row, level = obj.bgs.picked_row, max(1, obj.bgs.picked_level)
    if not 0 <= row < len(obj.data.points) or level > obj.bgs.levels or not _selected(obj, row):
        return None
    code = obj.data.attributes["bgs_code"].data[row].value
    layout = code_tables.bit_layout_of(obj)
    chain = [int(layout.labels(np.array([code], np.int32), n)[0]) for n in range(1, layout.levels + 1)]
    entries = [labels.find(obj, n, label) for n, label in enumerate(chain, 1)]
    entry, position = entries[level - 1], obj.data.attributes.get(POSITION)
    shown_object = _shown_object(context, obj, chain)
    if entry is None or position is None or shown_object is None or any(e is not None and e.hidden for e in entries):
        return None
    place = Vector(position.data[row].vector) + Vector(obj.bgs.pivot)
    return entry, Matrix(pivot.splat_world_of(shown_object).tolist()) @ place


def _shown_object(context: Context, whole: SplatObject, chain: list[int]) -> SplatObject | None:
    """The object that shows a Gaussian in this view, or None. It is the whole cloud, or the part of one of its labels.

    `chain` has the Gaussian's label at each level.
    """
    mine = [whole]
    if whole.bgs.part_collection is not None:
        keys = set(enumerate(chain, 1))
        mine += [o for o in code_tables.parts_of(whole) if (o.bgs.part_level, o.bgs.part_key & 0xFFFFFFFF) in keys]
    here = context.view_layer.objects
    return next((o for o in mine if o.name in here and o.visible_get(viewport=context.space_data)), None)


def _selected(obj: SplatObject, row: int) -> bool:
    attribute = obj.data.attributes.get(".selection")
    return attribute is not None and bool(attribute.data[row].value)


def tag(text: str, color: tuple[float, ...], x: float, y: float, scale: float) -> None:
    """Draw a name on a dark rectangle with a stripe in the label's colour. x and y are pixels in the region."""
    blf.size(FONT, 12 * scale)
    width, height = blf.dimensions(FONT, text)
    rectangle(x - 8 * scale, y - 6 * scale, width + 16 * scale, height + 12 * scale, (0.05, 0.05, 0.05, 0.75))
    rectangle(x - 8 * scale, y - 6 * scale, 4 * scale, height + 12 * scale, (*color, 1.0))
    _write(text, x, y)


def _legend(context: Context, obj: SplatObject, scale: float) -> None:
    rows = [row for row in obj.bgs.labels if row.level == obj.bgs.shown_level and not row.hidden]
    fitting = max(
        1, min(LINES, int((context.region.height / scale - ABOVE) / LINE) - 1)
    )  # one line is for "and N more"
    more = len(rows) - fitting
    rows = rows[:fitting]
    blf.size(FONT, 11 * scale)
    texts = [row.name for row in rows] + ([f"and {more} more"] if more > 0 else [])
    if not texts:
        return
    line = LINE * scale
    width = max(blf.dimensions(FONT, text)[0] for text in texts) + 34 * scale
    bar = next((r.width for r in context.area.regions if r.type == "TOOLS"), 0)
    overlap = context.preferences.system.use_region_overlap
    left, bottom = (bar if overlap else 0) + 16 * scale, 16 * scale
    rectangle(left - 8 * scale, bottom - 8 * scale, width, line * len(texts) + 12 * scale, (0.05, 0.05, 0.05, 0.6))
    for number, text in enumerate(reversed(texts)):
        y = bottom + number * line
        index = len(texts) - 1 - number
        if index < len(rows):
            rectangle(left, y, 11 * scale, 11 * scale, (*rows[index].color[:], 1.0))
        _write(text, left + 19 * scale, y + scale)


def _write(text: str, x: float, y: float) -> None:
    blf.color(FONT, 1, 1, 1, 1)
    blf.position(FONT, round(x), round(y), 0)
    blf.draw(FONT, text)


def rectangle(x: float, y: float, width: float, height: float, color: tuple[float, ...]) -> None:
    """Draw a filled rectangle. Lengths are pixels from the region's lower left corner; color is in display values."""
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    corners = [(x, y), (x + width, y), (x, y + height), (x + width, y + height)]
    batch = batch_for_shader(shader, "TRI_STRIP", {"pos": corners})
    gpu.state.blend_set("ALPHA")
    shader.uniform_float("color", color)
    batch.draw(shader)
    gpu.state.blend_set("NONE")
