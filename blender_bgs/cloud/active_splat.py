"""Finds the splat that an operator or panel works on."""

from bgs_engine.core.errors import UsageError

from .point_clouds import is_splat
from .properties import BGS_Label
from .typed import Context, SplatObject

ALONE = "is a label object without its splat"  # the end of a sentence about it


def splat_of(context: Context) -> SplatObject | None:
    """The active splat, or None. If a label object is active, it returns the whole cloud.

    If the active object is not a splat, it returns the only splat of the scene. A whole cloud that its label objects
    replace is hidden, and hidden objects cannot be active.
    """
    obj = context.view_layer.objects.active
    if is_splat(obj):
        return obj.bgs.whole or obj
    wholes = [o for o in context.scene.objects if is_splat(o) and o.bgs.whole is None]
    return wholes[0] if len(wholes) == 1 else None


def need_splat(context: Context) -> SplatObject:
    """The active splat, see `splat_of`.

    Raises:
        UsageError: no splat is active.
    """
    obj = splat_of(context)
    if obj is None:
        raise UsageError("No splat is active.", "Select one, or import a .ply with File > Import.")
    return obj


def selected_splats(context: Context) -> list[SplatObject]:
    """The selected splat objects, both whole clouds and label objects."""
    return [o for o in context.view_layer.objects if is_splat(o) and o.select_get()]


def selected_parts(context: Context, whole: SplatObject) -> list[SplatObject]:
    """The selected label objects of one cloud."""
    return [o for o in selected_splats(context) if o.bgs.whole == whole]


def make_active(context: Context, obj: SplatObject) -> None:
    """Select one object, deselect all others and make it active."""
    for other in context.view_layer.objects:
        if other.select_get():
            other.select_set(False)
    context.view_layer.objects.active = obj
    obj.select_set(True)


def label_at(obj: SplatObject, index: int) -> BGS_Label:
    """The label in row `index` of the list. An index of -1 means the active row.

    Raises:
        UsageError: no label of the shown level is active.
    """
    rows = obj.bgs.labels
    label = rows[index] if 0 <= index < len(rows) else obj.bgs.active_label()
    if label is None:
        raise UsageError("No label of this level is active.", "Click one in the list.")
    return label
