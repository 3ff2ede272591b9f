"""Objects as Blender evaluates them: at their place in the present frame, and after their modifiers.

Our own modifier shows a splat and changes no Gaussian, so it does not count. Where nothing else changes the object, it
is read as it is. Otherwise a copy of it without our modifier is evaluated for a moment: Blender evaluates neither what
is hidden nor what our modifier replaces in the viewport.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from bgs_engine.core.errors import InputError, UsageError

from . import geometry_nodes, pivot, point_clouds
from .typed import SplatObject

# Nodes whose result depends on what was computed in earlier frames for this very object.
STATEFUL = ("GeometryNodeSimulationOutput", "GeometryNodeBake")


@dataclass(frozen=True)
class Probe:
    """A temporary copy of an object in the scene, evaluated, with its dependency graph and its world matrix [4, 4]."""

    copy: bpy.types.Object
    evaluated: Any
    graph: bpy.types.Depsgraph
    world: np.ndarray


def modifiers_of(obj: bpy.types.Object, render: bool = False) -> list[bpy.types.Modifier]:
    """The modifiers that change the Gaussians of an object: those that are on in the viewport, or in renders."""
    return [m for m in obj.modifiers if (m.show_render if render else m.show_viewport) and not _does_nothing(m)]


def named(obj: bpy.types.Object, render: bool = False) -> str:
    """The modifiers as the beginning of a sentence: "The modifier Bend of robot"."""
    names = [m.name for m in modifiers_of(obj, render)]
    return f"The modifier{'s' if len(names) > 1 else ''} {', '.join(names)} of {obj.name}"


def refuse_modifiers(objects: list[SplatObject], what: str) -> None:
    """Refuse to work on data that modifiers change.

    Args:
        objects: the objects whose data is read.
        what: what would get lost, the end of a sentence: "which label objects would not have".

    Raises:
        UsageError: an object has a modifier that changes its Gaussians.
    """
    for obj in objects:
        found = modifiers_of(obj)
        if found:
            raise UsageError(
                f"{obj.name} has the modifier {found[0].name}, {what}.",
                "Apply it (Ctrl A over it in the Properties editor), or switch it off in the viewport.",
            )


def world_of(obj: SplatObject) -> np.ndarray:
    """The object-to-world matrix, float64 [4, 4], in the present frame, also of a hidden object.

    It must not be called while Blender draws.
    """
    if not _may_be_stale(obj):
        return point_clouds.world_of(obj)
    with probe(obj) as found:
        return found.world


def splat_world_of(obj: SplatObject) -> np.ndarray:
    """The matrix [4, 4] from the splat space to the world in the present frame, also of a hidden object."""
    return world_of(obj) @ np.linalg.inv(pivot.shift_of(obj))


@contextmanager
def probe(obj: SplatObject, render: bool = False) -> Iterator[Probe]:
    """Evaluate a copy of an object without our modifier.

    Args:
        obj: the object.
        render: use the modifiers of renders instead of those of the viewport.

    Raises:
        InputError: Blender does not evaluate the object, because its animation or a driver hides it.
        UsageError: the result of a modifier depends on earlier frames.
    """
    _refuse_stateful(obj, render)
    copy: Any = obj.copy()
    try:
        copy.bgs.is_splat, copy.bgs.splat_id, copy.bgs.whole_id = False, "", ""  # nobody takes it for a splat
        copy.hide_viewport = False
        for modifier in list(copy.modifiers):
            if _is_ours(modifier):
                copy.modifiers.remove(modifier)
            elif render:
                modifier.show_viewport = modifier.show_render
        bpy.context.scene.collection.objects.link(copy)
        copy.hide_set(False)
        copy.update_tag(refresh={"TIME"})  # its animation counts in this frame, not only in the next one
        graph = bpy.context.evaluated_depsgraph_get()
        graph.update()
        if not copy.visible_get():
            raise InputError(
                f"{obj.name} is hidden by its animation or a driver in frame {bpy.context.scene.frame_current}, so its "
                "place and modifiers cannot be computed.",
                "Choose another frame, or remove that animation.",
            )
        evaluated = copy.evaluated_get(graph)
        yield Probe(copy, evaluated, graph, np.array(evaluated.matrix_world, np.float64))
    finally:
        bpy.data.objects.remove(copy)


def _is_ours(modifier: Any) -> bool:
    group = modifier.node_group if modifier.type == "NODES" else None
    return group is not None and group.get(geometry_nodes.MARK) is not None


def _does_nothing(modifier: Any) -> bool:
    return _is_ours(modifier) or (modifier.type == "NODES" and modifier.node_group is None)


def _may_be_stale(obj: bpy.types.Object) -> bool:
    """Whether Blender has not evaluated an object that something else than its own numbers moves."""
    if obj.visible_get():
        return False
    one: bpy.types.Object | None = obj
    while one is not None:
        if one.constraints or one.animation_data is not None or one.rigid_body is not None:
            return True
        if one.parent is not None and one.parent_type != "OBJECT":
            return True
        one = one.parent
    return False


def _refuse_stateful(obj: bpy.types.Object, render: bool) -> None:
    for modifier in modifiers_of(obj, render):
        group = getattr(modifier, "node_group", None)
        if group is not None and _is_stateful(group, set()):
            raise UsageError(
                f"The modifier {modifier.name} of {obj.name} has a simulation or a bake, whose result only the object "
                "itself has.",
                "Switch it off in the viewport, or use nodes without simulation and bake.",
            )


def _is_stateful(group: Any, seen: set[int]) -> bool:
    if group.session_uid in seen:
        return False
    seen.add(group.session_uid)
    for node in group.nodes:
        inner = getattr(node, "node_tree", None)
        if not node.mute and (node.bl_idname in STATEFUL or (inner is not None and _is_stateful(inner, seen))):
            return True
    return False
