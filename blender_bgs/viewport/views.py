# mypy: disable-error-code="arg-type, call-arg"
"""The state of each 3D view: its order, its picture, and when it last changed."""

from dataclasses import dataclass

import gpu
import numpy as np

from ..cloud.typed import Context
from .atlas import Atlas, texture
from .ordering import AT_ONCE, Order, Request, Slab, Sorter, find_order
from .shaders import DISPLAY_GAMMA
from .timing import in_driver

MOVING_SECONDS = 0.25  # a view counts as moving until this long after its last change
SAME_DIRECTION = 1e-4  # a smaller change of direction causes no visible change of the order
KEPT_SECONDS = 30.0  # a view that was not drawn for this long counts as closed


@dataclass
class Pictures:
    """The half-float textures of one view: premultiplied colour, and weights of hovered and selected Gaussians."""

    size: tuple[int, int]
    color: gpu.types.GPUTexture
    marks: gpu.types.GPUTexture
    buffer: gpu.types.GPUFrameBuffer

    @classmethod
    def of(cls, width: int, height: int) -> "Pictures":
        """New pictures of this size in pixels."""
        color = gpu.types.GPUTexture((width, height), format="RGBA16F")
        marks = gpu.types.GPUTexture((width, height), format="RGBA16F")
        return cls((width, height), color, marks, gpu.types.GPUFrameBuffer(color_slots=(color, marks)))


@dataclass
class View:
    """The state of one region."""

    order: gpu.types.GPUTexture | None = None
    count: int = 0
    order_number: int = 0
    asked: tuple[object, ...] = ()
    directions: np.ndarray | None = None
    pictures: Pictures | None = None
    drawn: bytes = b""
    matrices: bytes = b""
    moved_at: float = 0.0
    used_at: float = 0.0
    _asked_for: tuple[object, ...] = (None,)

    def sort(self, key: int, sorter: Sorter, atlas: Atlas, request: Request, version: tuple[object, ...]) -> None:
        """Request a new order if the view or the splats changed, and take the order that was found."""
        directions = np.array([slab.direction for slab in request.slabs], np.float64)
        spans = tuple((slab.start, slab.stop, slab.number) for slab in request.slabs)
        offsets = tuple(round(s.offset, 5) for s in request.slabs) if len(spans) > 1 else ()
        asked = (*version, spans, tuple(np.subtract(offsets, offsets[0]).tolist()) if offsets else ())
        same = self.directions is not None and self.directions.shape == directions.shape
        turned = not same or bool(np.abs(_unit(directions) - _unit(self.directions)).max(initial=0) > SAME_DIRECTION)
        if asked != self.asked or turned:
            if self.asked[: len(version)] != version:
                self.order = None  # its rows belong to other textures
                sorter.forget(key)
            self.asked, self.directions = asked, directions
            if request.count <= AT_ONCE:
                self._take(atlas, find_order(request, atlas.width))
            else:
                self._asked_for = version
                sorter.ask(key, request, atlas.width)
        found = sorter.take(key)
        if found is not None and self._asked_for[0] == version[0]:
            self._take(atlas, found)

    def _take(self, atlas: Atlas, order: Order) -> None:
        with in_driver():
            self.order, self.count = texture(order.values, atlas.width, "RG32F"), order.count
        self.order_number += 1


def _unit(directions: np.ndarray | None) -> np.ndarray:
    if directions is None or not len(directions):
        return np.zeros((0, 3))
    return directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-30)


def slab(start: int, stop: int, to_view: np.ndarray, number: int) -> Slab:
    """The slab of a place's rows. `to_view` [4, 4] leads to view space, where the camera looks along -z."""
    row = -to_view[2]
    return Slab(start, stop, (float(row[0]), float(row[1]), float(row[2])), float(row[3]), number)


def background_color(context: Context) -> tuple[float, float, float, float]:
    """The viewport's background in display values. Alpha is 0 if the background is not one known colour."""
    shading = context.space_data.shading
    if shading.type in ("RENDERED", "MATERIAL"):
        return (0.0, 0.0, 0.0, 0.0)
    if shading.background_type == "VIEWPORT":
        r, g, b = (_display(shading.background_color[k]) for k in range(3))
    elif shading.background_type == "WORLD" and context.scene.world is not None:
        r, g, b = (_display(context.scene.world.color[k]) for k in range(3))
    else:
        r, g, b = context.preferences.themes[0].view_3d.space.gradients.high_gradient
    return (r, g, b, 1.0)


def _display(value: float) -> float:
    return float(value ** (1 / DISPLAY_GAMMA))
