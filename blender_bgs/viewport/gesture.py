# mypy: disable-error-code="attr-defined, arg-type, dict-item, valid-type"
"""A mix-in for operators with which the user draws a box, a lasso or a stroke in the 3D view, as with Blender's own."""

from collections.abc import Callable
from typing import Any

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from gpu_extras.presets import draw_circle_2d

from ..cloud.typed import Context, Returned
from . import areas

MODES = (
    ("SET", "Set", "Select what is inside and nothing else"),
    ("ADD", "Extend", "Add what is inside to the selection"),
    ("SUB", "Subtract", "Take what is inside out of the selection"),
    ("XOR", "Difference", "Turn over what is inside"),
    ("AND", "Intersect", "Keep only what is inside"),
)
SHAPES = (("BOX", "Box", "Drag a box"), ("LASSO", "Lasso", "Draw around it"))
BRUSH = ("BRUSH", "Brush", "Draw over it")
LEAST_STEP = 3  # pixels between two points of a lasso
STROKE = (1.0, 1.0, 1.0, 0.25)

# The region (its pointer), the path that is being drawn, and the radius of a brush, or 0.
_drawn: list[tuple[int, list[areas.Point], int]] = []


class Gesture:
    """Mix-in: `execute` finds the path in `path`, in pixels of the region. It uses `shape` and `mode`.

    A brush draws a stroke of `brush_radius` pixels, and its path is open. The others are closed.

    With `wait` the gesture begins at the next press of a mouse button, as after B. Shift or the middle button then
    subtracts. Otherwise it begins where the button was pressed, and ends where it is let go.
    """

    shape: str
    brush_radius = 0
    mode: str
    wait: bool
    execute: Callable[[Context], Returned]

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        self._path: list[areas.Point] = []
        self._handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")
        self._region: Any = context.region
        if not self.wait:
            self._path = [(event.mouse_prev_press_x - self._region.x, event.mouse_prev_press_y - self._region.y)]
        context.window.cursor_modal_set("CROSSHAIR")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: bpy.types.Event) -> Returned:
        mouse = (event.mouse_x - self._region.x, event.mouse_y - self._region.y)
        if event.type in {"ESC", "RIGHTMOUSE"} and event.value == "PRESS":
            self._end(context)
            return {"CANCELLED"}
        if event.type in {"LEFTMOUSE", "MIDDLEMOUSE"} and event.value == "PRESS" and not self._path:
            self._path = [mouse]
            if event.shift or event.type == "MIDDLEMOUSE":
                self.mode = "SUB"
        elif event.type in {"MOUSEMOVE", "INBETWEEN_MOUSEMOVE"} and self._path:
            self._follow(mouse)
        elif event.value == "RELEASE" and self._path and event.type in {"LEFTMOUSE", "MIDDLEMOUSE", "RIGHTMOUSE"}:
            self._follow(mouse)
            path = areas.box(self._path[0], self._path[-1]) if self.shape == "BOX" else self._path
            self._end(context)
            self.path = path
            return self.execute(context)
        return {"RUNNING_MODAL"}

    def cancel(self, context: Context) -> None:
        """Called when Blender ends the operator, because another file opens or the window closes."""
        self._end(context)

    def _follow(self, mouse: areas.Point) -> None:
        last = self._path[-1]
        if self.shape == "BOX":
            self._path[1:] = [mouse]
        elif abs(mouse[0] - last[0]) + abs(mouse[1] - last[1]) >= LEAST_STEP:
            self._path.append(mouse)
        shown = areas.box(self._path[0], self._path[-1]) if self.shape == "BOX" else self._path
        _drawn[:] = [(self._region.as_pointer(), shown, self.brush_radius if self.shape == "BRUSH" else 0)]
        self._region.tag_redraw()

    def _end(self, context: Context) -> None:
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        _drawn.clear()
        context.window.cursor_modal_restore()
        self._region.tag_redraw()


def _draw() -> None:
    region = bpy.context.region
    for pointer, path, radius in _drawn:
        if region is None or region.as_pointer() != pointer or len(path) < 2:
            continue
        if radius:
            _draw_stroke(path, radius, (region.width, region.height))
            continue
        shader = gpu.shader.from_builtin("UNIFORM_COLOR")
        shader.bind()
        for shift, color in ((1, (0.0, 0.0, 0.0, 1.0)), (0, (1.0, 1.0, 1.0, 1.0))):
            corners = [(x + shift, y - shift) for x, y in (*path, path[0])]
            shader.uniform_float("color", color)
            batch_for_shader(shader, "LINE_STRIP", {"pos": corners}).draw(shader)


def _draw_stroke(path: list[areas.Point], radius: int, size: tuple[int, int]) -> None:
    """A stroke as one even tint: its pixels in runs along each line, so that none is drawn twice."""
    covered = np.zeros((size[1] + 2, size[0] + 2), np.int8)
    covered[1:-1, 1:-1] = areas.stroke(path, radius, size)
    steps = np.diff(covered[1:-1], axis=1)
    lines, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    corners = np.stack([starts, lines, ends, lines, ends, lines + 1, starts, lines, ends, lines + 1, starts, lines + 1])
    places = corners.T.reshape(-1, 2).astype(np.float32)
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.bind()
    gpu.state.blend_set("ALPHA")
    shader.uniform_float("color", STROKE)
    batch_for_shader(shader, "TRIS", {"pos": places}).draw(shader)
    gpu.state.blend_set("NONE")
    draw_circle_2d(path[-1], (1.0, 1.0, 1.0, 1.0), radius)
