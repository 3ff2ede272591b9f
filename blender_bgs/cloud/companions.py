"""Companions of a splat object: its proxy and its cage, which are mesh objects that are parented to it."""

from typing import Any

import bpy
import numpy as np
from bgs_engine.core.errors import UsageError
from mathutils import Matrix

from . import point_clouds
from .typed import SplatObject

KIND = "bgs_companion"  # custom property of a mesh object
PROXY, CAGE = "proxy", "cage"
KEPT = "kept"  # a companion of a label object that does not exist any more; it belongs to the whole cloud


def need_editable(obj: SplatObject, kind: str) -> None:
    """Check that `put` can give the object a companion.

    Raises:
        UsageError: the object is linked from another file, or its companion is in Edit Mode.
    """
    if obj.library is not None:
        raise UsageError(f"{obj.name} is linked from another file.", "Make it local first.")
    there = companion_of(obj, kind)
    if there is not None and there.mode != "OBJECT":
        raise UsageError(f"{there.name} is being edited.", "Go to Object Mode first.")


def is_companion(obj: bpy.types.Object | None) -> bool:
    """Whether an object is a companion of a splat object, also one that the user took out of it."""
    return obj is not None and obj.type == "MESH" and obj.get(KIND) is not None


def companion_of(obj: SplatObject, kind: str) -> bpy.types.Object | None:
    """The proxy or the cage of a splat object. Of a copy and its original, it is the original."""
    found = [o for o in bpy.data.objects if o.parent == obj and is_companion(o) and o.get(KIND) == kind]
    return min(found, key=lambda one: one.session_uid, default=None)


def owner_of(obj: bpy.types.Object | None) -> SplatObject | None:
    """The splat object of a companion, or None if it has none or the companion was kept when its object went."""
    if obj is None or str(obj.get(KIND)) not in (PROXY, CAGE) or not point_clouds.is_splat(obj.parent):
        return None
    return obj.parent


def put(
    obj: SplatObject,
    kind: str,
    name: str,
    vertices: np.ndarray,
    faces: np.ndarray,
    edges: np.ndarray | None = None,
) -> bpy.types.Object:
    """Give a splat object a companion, or its companion another mesh. The mesh is in the space of the object's points.

    A companion that exists keeps its name, materials, modifiers and collections. It is moved back to its object.

    Args:
        obj: the splat object.
        kind: PROXY or CAGE.
        name: of a new companion.
        vertices: [V, 3].
        faces: int [F, 3] or [F, 4].
        edges: int [E, 2], if there are others than those of the faces.
    """
    mesh = _mesh(name, vertices, faces, edges)
    there = companion_of(obj, kind)
    if there is None:
        made = bpy.data.objects.new(name, mesh)
        made[KIND] = kind
        made.parent = obj
        for collection in obj.users_collection:
            collection.objects.link(made)
        return made
    there.matrix_parent_inverse, there.matrix_basis = Matrix.Identity(4), Matrix.Identity(4)
    old: Any = there.data
    for material in old.materials:
        mesh.materials.append(material)
    there.data = mesh
    if old.users == 0:
        mesh_name = old.name
        bpy.data.meshes.remove(old)
        mesh.name = mesh_name
    return there


def _mesh(name: str, vertices: np.ndarray, faces: np.ndarray, edges: np.ndarray | None) -> bpy.types.Mesh:
    mesh, corners = bpy.data.meshes.new(name), faces.shape[1]
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    if edges is not None:
        mesh.edges.add(len(edges))
        mesh.edges.foreach_set("vertices", np.ascontiguousarray(edges, np.int32).ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, np.int32).ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, corners, dtype=np.int32))
    mesh.update(calc_edges=True)
    return mesh


def keep_children(obj: SplatObject, whole: SplatObject | None) -> None:
    """Before a label object is deleted: give its children to its whole cloud. They stay where they are in the world.

    Companions leave the label's collection, which would not be empty otherwise.
    """
    home = None if whole is None else next(iter(whole.users_collection), None)
    for child in [o for o in bpy.data.objects if o.parent == obj and not point_clouds.is_splat(o)]:
        world = point_clouds.world_of(child)
        child.parent = whole
        child.matrix_parent_inverse = Matrix.Identity(4)
        above = np.eye(4) if whole is None else point_clouds.world_of(whole)
        child.matrix_basis = Matrix((np.linalg.inv(above) @ world).tolist())
        if not is_companion(child):
            continue
        child[KIND] = KEPT
        if home is not None:
            if child.name not in home.objects:
                home.objects.link(child)
            for collection in child.users_collection:
                if collection != home and collection.get("bgs_label"):
                    collection.objects.unlink(child)
