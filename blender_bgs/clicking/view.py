"""What a 3D view shows of a splat: its objects, the surface under the mouse, and the Gaussians in an area."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..cloud import appearance, code_tables, point_clouds, selection
from ..cloud.typed import Context, SplatObject
from ..logic.attributes import ROW
from ..viewport import areas, hover, surface
from ..viewport.probing import Target


@dataclass(frozen=True)
class Touched:
    """A place under the mouse: on a point of an object, and on the point of the whole cloud that is the same Gaussian.

    place, mean: the place and the middle of the Gaussian in the space of the object, float64 [3].
    """

    obj: SplatObject
    whole: SplatObject
    point: int
    place: np.ndarray
    mean: np.ndarray


def visible_objects(context: Context, whole: SplatObject | None) -> list[SplatObject]:
    """The splat objects that one sees in this view: those of one splat, or of all of them."""
    space = context.space_data
    seen = [o for o in context.view_layer.objects if point_clouds.is_splat(o) and o.visible_get(viewport=space)]
    family = seen if whole is None else [whole, *code_tables.parts_of(whole)]
    return [obj for obj in seen if obj in family]


def touch(context: Context, whole: SplatObject | None, mouse: tuple[float, float]) -> Touched | None:
    """The nearest surface under the mouse, or None if there is none. `mouse` is in pixels of the region.

    `whole` is the splat to look at; None takes whatever is there.
    """
    targets, objects = hover.targets_of(context, visible_objects(context, whole))
    size = (context.region.width, context.region.height)
    found = surface.surface_at(targets, _projection(context), size, mouse)
    if found is None:
        return None
    obj = objects[found.target]
    mine = obj.bgs.whole or obj
    point = hover.row_of_whole(mine, obj, found.row)
    mean = targets[found.target].arrays.means[found.row].astype(np.float64)
    return None if point is None else Touched(obj, mine, point, found.place, mean)


def points_in(context: Context, whole: SplatObject, area: np.ndarray, through: bool) -> np.ndarray:
    """The points of the whole cloud in an area, bool [P]. `area` has the pixels of the region, bool [H, W].

    Without `through` these are the ones on the front surface.
    """
    targets, objects = hover.targets_of(context, visible_objects(context, whole))
    projection = _projection(context)
    if through:
        rows = [areas.rows_in(target, projection, area) for target in targets]
    else:
        rows = surface.front_rows(targets, projection, area)
    return _gathered(whole, objects, rows)


def shown_points(context: Context, whole: SplatObject) -> np.ndarray:
    """The points of the whole cloud that are shown in this view, bool [P]: no hidden label, and no hidden object."""
    targets, objects = hover.targets_of(context, visible_objects(context, whole))
    return _gathered(whole, objects, [_shown(target) for target in targets])


def hidden_points(whole: SplatObject) -> np.ndarray:
    """The points of the whole cloud whose label is hidden now, bool [P], in whatever view."""
    if not whole.bgs.level_bits:
        return np.zeros(len(whole.data.points), bool)
    table = code_tables.table_of(whole)
    return np.asarray(appearance.hidden_codes(whole.bgs, table)[table.inverse], bool)


def _shown(target: Target) -> np.ndarray:
    return np.ones(len(target.arrays), bool) if target.shown is None else target.shown


def _gathered(whole: SplatObject, objects: Sequence[SplatObject], rows: Sequence[np.ndarray]) -> np.ndarray:
    """Points of several objects as points of their whole cloud, bool [P]."""
    out = np.zeros(len(whole.data.points), bool)
    numbers = point_clouds.get_column(whole.data, ROW)
    for obj, mine in zip(objects, rows, strict=True):
        if obj == whole:
            out |= mine
            continue
        points = selection.points_in_whole(numbers, obj)
        if points is not None:
            out[points[mine & (points >= 0)]] = True
    return out


def _projection(context: Context) -> np.ndarray:
    return np.array(context.region_data.window_matrix, np.float64)
