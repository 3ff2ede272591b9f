# mypy: disable-error-code="valid-type"
"""The properties of a condition: those of the operator, and those of the panel, which Blender saves with the scene."""

from typing import Any

import bpy

from ..cloud.typed import Context
from .combining import MODES
from .conditions import KINDS, NUMBERS, PLACES, Condition

_COMPARED = (
    ("LEAST", "At Least", "Labels with this number or a larger one"),
    ("MOST", "At Most", "Labels with this number or a smaller one"),
    ("BETWEEN", "Between", "Labels between two numbers"),
)
_LIMITS: dict[str, tuple[Any, dict[str, Any]]] = {  # the kind of property, and its limits, by the kind of condition
    "SIZE": (bpy.props.FloatProperty, {"min": 0.0, "unit": "LENGTH", "default": (0.5, 1.0)}),
    "COUNT": (bpy.props.IntProperty, {"min": 0, "default": (1000, 100000)}),
    "OPACITY": (bpy.props.FloatProperty, {"min": 0.0, "max": 1.0, "subtype": "FACTOR", "default": (0.5, 1.0)}),
    "HEIGHT": (bpy.props.FloatProperty, {"unit": "LENGTH", "default": (0.0, 1.0)}),
    "CONFIDENCE": (bpy.props.FloatProperty, {"min": 0.0, "max": 1.0, "subtype": "FACTOR", "default": (0.5, 1.0)}),
}


def _limit(kind: str, end: int) -> Any:
    make, given = _LIMITS[kind]
    name, text = NUMBERS[kind]
    values = {**given, "default": given["default"][end]}
    return make(name=("At Least", "At Most")[end], description=f"{name}. {text}", **values)


class ConditionValues:
    """Mix-in with the properties of a condition."""

    kind: bpy.props.EnumProperty(
        name="By", description="What counts", items=[(key, name, text) for key, (name, text) in KINDS.items()]
    )
    compare: bpy.props.EnumProperty(name="Compare", description="Which numbers fit", items=_COMPARED)
    size_least: _limit("SIZE", 0)
    size_most: _limit("SIZE", 1)
    count_least: _limit("COUNT", 0)
    count_most: _limit("COUNT", 1)
    opacity_least: _limit("OPACITY", 0)
    opacity_most: _limit("OPACITY", 1)
    height_least: _limit("HEIGHT", 0)
    height_most: _limit("HEIGHT", 1)
    confidence_least: _limit("CONFIDENCE", 0)
    confidence_most: _limit("CONFIDENCE", 1)
    color: bpy.props.FloatVectorProperty(
        name="Color", description="The colour that labels should have. The pipette takes one from the screen",
        subtype="COLOR_GAMMA", size=3, min=0, max=1, default=(0.8, 0.1, 0.1),
    )  # fmt: skip
    tolerance: bpy.props.FloatProperty(
        name="Tolerance", description="How far a colour may be from it. Black and white are 1 apart",
        default=0.15, min=0.0, max=1.0, subtype="FACTOR",
    )  # fmt: skip
    around: bpy.props.EnumProperty(
        name="Around",
        description="Where the box or the sphere is",
        items=(
            ("CURSOR", "3D Cursor", "Around the 3D cursor"),
            ("ACTIVE", "Active Label", "Around the box of the active label"),
        ),
    )
    reach: bpy.props.FloatProperty(
        name="Reach", description="How far it reaches from the 3D cursor, or beyond the box of the active label",
        default=1.0, min=0.0, unit="LENGTH",
    )  # fmt: skip
    seen: bpy.props.EnumProperty(
        name="Visibility",
        description="How much of a label is shown",
        items=(
            ("SHOWN", "Shown", "Labels of which everything is shown"),
            ("PARTLY", "Partly Hidden", "Labels of which something is hidden, but not everything"),
            ("HIDDEN", "Hidden", "Labels of which nothing is shown"),
        ),
    )
    mode: bpy.props.EnumProperty(name="Selection", description="What becomes of the selection", items=MODES)


NAMES = tuple(ConditionValues.__annotations__)


def condition_of(values: Any, context: Context) -> Condition:
    """The condition that some properties mean."""
    limits = {"least": 0.0, "most": 0.0}
    if values.kind in NUMBERS:
        limits = {end: float(getattr(values, f"{values.kind.lower()}_{end}")) for end in limits}
    cursor: Any = context.scene.cursor.location  # type: ignore[attr-defined]
    return Condition(
        values.kind, values.compare, limits["least"], limits["most"], tuple(values.color), values.tolerance,
        values.around, values.reach, tuple(cursor), values.seen,
    )  # fmt: skip


def draw(layout: bpy.types.UILayout, values: Any) -> None:
    """Draw the fields that belong to the kind of condition, and the modes."""
    layout.prop(values, "kind", text="")
    if values.kind in NUMBERS:
        row = layout.row(align=True)
        row.prop(values, "compare", text="")
        name = values.kind.lower()
        if values.compare != "MOST":
            row.prop(values, f"{name}_least", text="")
        if values.compare != "LEAST":
            row.prop(values, f"{name}_most", text="")
    elif values.kind == "COLOR":
        row = layout.row(align=True)
        row.prop(values, "color", text="")
        row.prop(values, "tolerance")
    elif values.kind in PLACES:
        row = layout.row(align=True)
        row.prop(values, "around", text="")
        row.prop(values, "reach", text="")
    elif values.kind == "VISIBILITY":
        layout.prop(values, "seen", text="")


class BGS_Condition(ConditionValues, bpy.types.PropertyGroup):
    """The condition of the panel, `scene.bgs_condition`."""


CLASSES = (BGS_Condition,)


def add_to_blender() -> None:
    """Add the condition to all scenes."""
    bpy.types.Scene.bgs_condition = bpy.props.PointerProperty(type=BGS_Condition)  # type: ignore[attr-defined]


def remove_from_blender() -> None:
    """Remove it."""
    del bpy.types.Scene.bgs_condition  # type: ignore[attr-defined]
