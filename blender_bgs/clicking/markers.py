# mypy: disable-error-code="arg-type, attr-defined, index"
"""Draws the places that were clicked: a green disc with + on the thing, a red one with - beside it."""

import math
from typing import cast

import bpy
import gpu
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader
from mathutils import Vector

from ..cloud.typed import Context
from .asking import asking, find

INSIDE, BESIDE, EDGE, SIGN = (0.1, 0.75, 0.25, 1.0), (0.9, 0.15, 0.12, 1.0), (0.0, 0.0, 0.0, 0.9), (1.0, 1.0, 1.0, 1.0)
RADIUS = 7  # pixels at UI scale 1
CORNERS = 20

_handles: list[object] = []


def draw() -> None:
    """Draw the places in this view. It is a POST_PIXEL handler."""
    pointing, context = asking.pointing, cast(Context, bpy.context)
    if pointing is None or context.region_data is None:
        return
    radius = RADIUS * context.preferences.system.ui_scale
    for step in pointing.steps:
        obj = find(step.seen_on) if step.place is not None else None
        if obj is None:
            continue
        world = obj.matrix_world @ Vector(step.seen_at)
        at = location_3d_to_region_2d(context.region, context.region_data, world)
        if at is not None:
            _marker(at.x, at.y, radius, step.inside)


def _marker(x: float, y: float, radius: float, inside: bool) -> None:
    _shape("TRIS", _disc(x, y, radius + 1.5), EDGE)
    _shape("TRIS", _disc(x, y, radius), INSIDE if inside else BESIDE)
    arm, thick = radius * 0.6, max(1.0, radius * 0.16)
    _shape("TRIS", _bar(x, y, arm, thick), SIGN)
    if inside:
        _shape("TRIS", _bar(x, y, thick, arm), SIGN)


def _disc(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    rim = [(x + radius * math.cos(a), y + radius * math.sin(a))
           for a in (2 * math.pi * k / CORNERS for k in range(CORNERS + 1))]  # fmt: skip
    return [corner for k in range(CORNERS) for corner in ((x, y), rim[k], rim[k + 1])]


def _bar(x: float, y: float, wide: float, high: float) -> list[tuple[float, float]]:
    a, b, c, d = (x - wide, y - high), (x + wide, y - high), (x + wide, y + high), (x - wide, y + high)
    return [a, b, c, a, c, d]


def _shape(kind: str, corners: list[tuple[float, float]], color: tuple[float, ...]) -> None:
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    batch = batch_for_shader(shader, kind, {"pos": corners})
    gpu.state.blend_set("ALPHA")
    shader.uniform_float("color", color)
    batch.draw(shader)
    gpu.state.blend_set("NONE")


def start() -> None:
    """Add the draw handler. Blender without a window has none."""
    if not bpy.app.background:
        _handles.append(bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL"))


def stop() -> None:
    """Remove the draw handler."""
    for handle in _handles:
        bpy.types.SpaceView3D.draw_handler_remove(handle, "WINDOW")
    _handles.clear()
