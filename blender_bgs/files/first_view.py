"""What an imported splat looks like at first: the views show the whole splat, and what stands in it can be hidden."""

from collections.abc import Iterable
from typing import Any

import bpy
import numpy as np

from ..cloud import point_clouds
from ..cloud.typed import Context, SplatObject
from ..logic.attributes import BASE, POSITION
from ..logic.framing import fit_view, whole_box

SENSOR = 36.0  # half of the width in mm that the 3D view shows at the distance of its lens; Blender doubles a camera's
SAMPLE = 20_000  # most Gaussians that the fit reads
SOLID = ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "VOLUME")
RIM = 0.05  # share of the splat's box at each side that does not count: a floor below the splat is not in its way


def frame(screen: bpy.types.Screen, obj: SplatObject) -> None:
    """Move every 3D view of the screen so that it shows the whole splat as large as possible."""
    points = _points_in_box(obj)
    size = float(np.linalg.norm(np.ptp(points, axis=0)))
    if size <= 0:  # a single Gaussian
        points, size = points[:1] + np.array([[-0.5] * 3, [0.5] * 3]), 1.0
    for area in screen.areas:
        if area.type == "VIEW_3D":
            space: Any = area.spaces.active
            view = space.region_3d
            if view.view_perspective == "CAMERA":
                view.view_perspective = "PERSP"
            turn = np.array(view.view_rotation.to_matrix(), np.float64)
            region = next(region for region in area.regions if region.type == "WINDOW")
            longer = max(region.width, region.height, 1)
            pixel = 2 * SENSOR / space.lens / longer  # at distance 1
            free = _free_part(area, region)
            half = (free[1] - free[0]) / 2 * pixel
            center, distance = fit_view(points @ turn, half[0], half[1], view.view_perspective == "PERSP")
            # The splat goes to the middle of the free part, so the view looks beside it.
            center[:2] -= (free.sum(0) - (region.width, region.height)) / 2 * pixel * distance
            view.view_location = (turn @ center).tolist()
            view.view_distance = distance
            space.clip_end = max(space.clip_end, 20 * size)
            space.clip_start = min(space.clip_start, size / 1000)


def _points_in_box(obj: SplatObject) -> np.ndarray:
    """World positions [K, 3] of some Gaussians of the splat, without floaters; two corners if it has none."""
    positions, base = point_clouds.get_column(obj.data, POSITION), point_clouds.get_column(obj.data, BASE)
    if positions is None or base is None or not len(positions):
        return np.array([[0.0] * 3, [1.0] * 3])
    low, high = whole_box(positions, base[:, 3])
    inside = positions[((positions >= low) & (positions <= high)).all(1)]
    if not len(inside):
        inside = np.stack([low, high])
    matrix = np.array(obj.matrix_world, np.float64)
    return inside[:: max(1, len(inside) // SAMPLE)] @ matrix[:3, :3].T + matrix[:3, 3]


def _free_part(area: bpy.types.Area, view: bpy.types.Region) -> np.ndarray:
    """The part of a 3D view that no bar or sidebar covers: lower left and upper right corner [2, 2] in pixels."""
    free = np.array([[0.0, 0.0], [view.width, view.height]])
    for region in area.regions:
        axis = {"TOOLS": 0, "UI": 0, "HEADER": 1, "TOOL_HEADER": 1}.get(region.type)
        if axis is None or min(region.width, region.height) <= 1:  # 1 pixel: it is closed
            continue
        low = (region.x - view.x, region.y - view.y)[axis]
        high = low + (region.width, region.height)[axis]
        if low + high > (view.width, view.height)[axis]:
            free[1, axis] = min(free[1, axis], low)
        else:
            free[0, axis] = max(free[0, axis], high)
    if (free[1] - free[0] < 0.2 * np.array([view.width, view.height])).any():
        return np.array([[0.0, 0.0], [view.width, view.height]])
    return free


def obstacles(context: Context, obj: SplatObject) -> list[bpy.types.Object]:
    """The visible solid objects that reach into the splat, for example Blender's default cube."""
    points = _points_in_box(obj)
    low, high = points.min(0), points.max(0)
    low, high = low + RIM * (high - low), high - RIM * (high - low)
    found = []
    for other in context.view_layer.objects:
        solid = other.type in SOLID and other.display_type not in ("BOUNDS", "WIRE") and other.visible_get()
        if solid and not point_clouds.is_splat(other):
            matrix = np.array(other.matrix_world, np.float64)
            corners = np.array([corner[:] for corner in other.bound_box], np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
            if (corners.min(0) <= high).all() and (corners.max(0) >= low).all():
                found.append(other)
    return found


def remember(obj: SplatObject, others: Iterable[bpy.types.Object]) -> None:
    """Note what stands in the splat, so that the panel offers to hide it."""
    obj.bgs.obstacles.clear()
    for other in others:
        obj.bgs.obstacles.add().name = other.name


def noted(context: Context, obj: SplatObject) -> list[bpy.types.Object]:
    """The objects of the view layer that were noted as standing in the splat."""
    here = context.view_layer.objects
    return [here[entry.name] for entry in obj.bgs.obstacles if entry.name in here]


def set_hidden(objects: Iterable[bpy.types.Object], hidden: bool) -> None:
    """Hide objects in the view and in renders, or show them again."""
    for other in objects:
        other.hide_set(hidden)
        other.hide_render = hidden
