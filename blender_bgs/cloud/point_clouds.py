# mypy: disable-error-code="attr-defined, arg-type, call-arg"
# (This module serves several versions of Blender. The stubs of each version lack what other versions have.)
"""Makes point clouds in every Blender since 4.2, and reads and writes their attributes in bulk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeGuard, cast

import bpy
import numpy as np
from bgs_engine.core.errors import InputError, UsageError

from ..logic.attributes import BASE, KINDS, Column
from .typed import SplatObject, SplatScene

WORKSHOP = "._bgs_workshop"  # the name of a scene that exists while a cloud is made


def native_splat_type() -> str | None:
    """The value of `PointCloud.type` that makes Blender draw splats itself (5.3 and later), or None.

    It searches the enum for a value that contains "SPLAT", because the exact name may change between versions.
    """
    property_ = bpy.types.PointCloud.bl_rna.properties.get("type")
    items: Any = () if property_ is None else getattr(property_, "enum_items", ())
    return next((item.identifier for item in items if "SPLAT" in item.identifier.upper()), None)


def can_show_native_splats() -> bool:
    """Whether this Blender draws splats itself."""
    return native_splat_type() is not None


def native_column(column: Column) -> Column:
    """The column with the type that native splats need. Their `radiance:base` is four floats, not a colour."""
    if column.name != BASE or not can_show_native_splats():
        return column
    types = bpy.types.Attribute.bl_rna.properties["data_type"].enum_items
    return replace(column, data_type="FLOAT4") if "FLOAT4" in types else column


def is_splat(obj: bpy.types.Object | None) -> TypeGuard[SplatObject]:
    """Whether the object is a splat of this extension: a whole cloud or a label object."""
    return obj is not None and obj.type == "POINTCLOUD" and obj.bgs.is_splat


def world_of(obj: bpy.types.Object) -> np.ndarray:
    """The object-to-world matrix, float64 [4, 4].

    Blender updates `matrix_world` of visible objects only. For a hidden object (a whole cloud with label objects) it is
    stale, and the identity after its file was opened. This function computes it from the saved matrices then.
    """
    computed = obj.visible_get() or bool(obj.constraints) or (obj.parent is not None and obj.parent_type != "OBJECT")
    if computed:
        return np.array(obj.matrix_world, np.float64)
    own = np.array(obj.matrix_basis, np.float64)
    if obj.parent is None:
        return own
    return world_of(obj.parent) @ np.array(obj.matrix_parent_inverse, np.float64) @ own


def new_cloud(name: str, count: int) -> bpy.types.PointCloud:
    """A point cloud with `count` points and no attribute but positions. It is a native splat if Blender has those."""
    cloud = _new_points(name, count)
    kind = native_splat_type()
    if kind is not None:
        cloud.type = kind
    return cloud


def _new_points(name: str, count: int) -> bpy.types.PointCloud:
    """A point cloud with `count` points.

    `resize` exists since Blender 5.1, and the conversion of a mesh since 4.5. Older versions need a geometry-nodes
    modifier that is applied.
    """
    if "resize" in bpy.types.PointCloud.bl_rna.functions:
        cloud = bpy.data.pointclouds.new(name)
        cloud.resize(count)
        return cloud
    targets = bpy.ops.object.convert.get_rna_type().properties["target"].enum_items
    cloud = _by_convert(name, count) if "POINTCLOUD" in targets else _by_nodes(name, count)
    for attribute in list(cloud.attributes):
        if attribute.name.startswith("."):
            cloud.attributes.remove(attribute)
    cloud.name = name
    return cloud


@contextmanager
def _temporary_scene(name: str, count: int) -> Iterator[tuple[SplatScene, bpy.types.Mesh]]:
    """A temporary scene, so that operators do not change the user's selection, and a mesh of `count` vertices."""
    scene = bpy.data.scenes.new(WORKSHOP)
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(count)
    try:
        yield scene, mesh
    finally:
        bpy.data.scenes.remove(scene)
        if mesh.users == 0:
            bpy.data.meshes.remove(mesh)


def _by_convert(name: str, count: int) -> bpy.types.PointCloud:
    with _temporary_scene(name, count) as (scene, mesh):
        obj = bpy.data.objects.new(name, mesh)
        scene.collection.objects.link(obj)
        layer = scene.view_layers[0]
        layer.objects.active = obj
        obj.select_set(True, view_layer=layer)
        with bpy.context.temp_override(
            scene=scene, view_layer=layer, active_object=obj, object=obj, selected_objects=[obj],
            selected_editable_objects=[obj],
        ):  # fmt: skip
            bpy.ops.object.convert(target="POINTCLOUD")
        return _keep_data(layer.objects.active)


def _by_nodes(name: str, count: int) -> bpy.types.PointCloud:
    with _temporary_scene(name, count) as (scene, mesh):
        source = bpy.data.objects.new(name, mesh)
        obj = bpy.data.objects.new(name, bpy.data.pointclouds.new(name))
        group = bpy.data.node_groups.new("._bgs_points", "GeometryNodeTree")
        try:
            for direction in ("INPUT", "OUTPUT"):
                group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
            info = group.nodes.new("GeometryNodeObjectInfo")
            points = group.nodes.new("GeometryNodeMeshToPoints")
            group.links.new(info.outputs["Geometry"], points.inputs["Mesh"])
            group.links.new(points.outputs[0], group.nodes.new("NodeGroupOutput").inputs[0])
            info.inputs["Object"].default_value = source
            for one in (source, obj):
                scene.collection.objects.link(one)
            modifier = obj.modifiers.new("points", "NODES")
            modifier.node_group = group
            layer = scene.view_layers[0]
            layer.objects.active = obj
            with bpy.context.temp_override(scene=scene, view_layer=layer, active_object=obj, object=obj):
                bpy.ops.object.modifier_apply(modifier=modifier.name)
            return _keep_data(obj)
        finally:
            bpy.data.objects.remove(source)
            bpy.data.node_groups.remove(group)


def _keep_data(obj: bpy.types.Object) -> bpy.types.PointCloud:
    cloud = cast(bpy.types.PointCloud, obj.data)
    cloud.use_fake_user = True
    bpy.data.objects.remove(obj)
    cloud.use_fake_user = False
    return cloud


def need_own_cloud(obj: SplatObject) -> None:
    """Refuse an object that shares its points. After Separate, Blender counts a user that no object is.

    Raises:
        UsageError: another object has the same points.
    """
    if any(other.data == obj.data and other != obj for other in bpy.data.objects):
        hint = "Use Object > Relations > Make Single User > Object & Data first."
        raise UsageError(f"{obj.name} shares its points with another object.", hint)


def replace_cloud(obj: SplatObject, cloud: bpy.types.PointCloud) -> None:
    """Give an object another cloud, and delete the old one if no other object uses it. Then it has the old name."""
    old = obj.data
    obj.data = cloud
    if old.users == 0:
        name = old.name
        bpy.data.pointclouds.remove(old)
        cloud.name = name


def set_column(cloud: bpy.types.PointCloud, column: Column, tag: bool = True) -> None:
    """Write one attribute. It is created first if it is missing or has another type.

    With `tag` Blender computes again what depends on the cloud. Nothing of Blender's depends on `.selection`.
    """
    attribute = cloud.attributes.get(column.name)
    if attribute is not None and (attribute.data_type != column.data_type or attribute.domain != "POINT"):
        cloud.attributes.remove(attribute)
        attribute = None
    if attribute is None:
        attribute = cloud.attributes.new(column.name, column.data_type, "POINT")
    kind = KINDS[column.data_type]
    # foreach_set with another dtype converts value by value and is 25 times slower.
    values: np.ndarray = np.ascontiguousarray(column.values, kind.dtype)
    attribute.data.foreach_set(kind.key, values.ravel())
    if tag:
        cloud.update_tag()


def get_column(cloud: bpy.types.PointCloud, name: str) -> np.ndarray | None:
    """An attribute's values, [N] or [N, width], or None if it is missing or its type is not in `KINDS`."""
    attribute = cloud.attributes.get(name)
    if attribute is None or attribute.domain != "POINT" or attribute.data_type not in KINDS:
        return None
    kind = KINDS[attribute.data_type]
    out: np.ndarray = np.empty(len(cloud.points) * kind.width, kind.dtype)
    attribute.data.foreach_get(kind.key, out)
    return out.reshape(-1, kind.width) if kind.width > 1 else out


def need_column(cloud: bpy.types.PointCloud, name: str) -> np.ndarray:
    """An attribute's values, [N] or [N, width].

    Raises:
        InputError: the attribute is missing, or its type is not in `KINDS`.
    """
    values = get_column(cloud, name)
    if values is None:
        raise InputError(f"{cloud.name} has lost its attribute {name}.", "Undo, or import it again.")
    return values


def columns(cloud: bpy.types.PointCloud) -> Iterator[Column]:
    """Yield every point attribute whose type is in `KINDS`."""
    for attribute in list(cloud.attributes):
        name, data_type = attribute.name, attribute.data_type
        values = get_column(cloud, name)
        if values is not None:
            yield Column(name, data_type, values)
