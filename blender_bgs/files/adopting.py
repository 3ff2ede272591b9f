"""Makes a splat of ours from a splat that Blender, geometry nodes or another add-on brought into the scene."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import bpy
import numpy as np
from bgs_engine.core.codes import DEFAULT_LEVEL_BITS, BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.io.ply import SplatPly
from bgs_engine.io.run_folder import positions_sha256

from ..cloud import appearance, geometry_nodes, labels, point_clouds, shapes
from ..cloud.material import splat_material
from ..cloud.properties import UP_AXES, without_updates
from ..cloud.typed import SplatObject, SplatScene
from ..logic import attributes as at
from ..logic import foreign_splats
from ..logic.texts import as_text
from ..logic.transforms import up_matrix


@dataclass(frozen=True)
class Points:
    """The points of an object. `own`: they are a point cloud of its own, before any modifier."""

    data: Any
    own: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of their attributes."""
        return tuple(one.name for one in self.data.attributes if one.domain == "POINT")

    @property
    def count(self) -> int:
        """Their number."""
        return len(self.data.points if isinstance(self.data, bpy.types.PointCloud) else self.data.vertices)

    def get(self, name: str) -> np.ndarray | None:
        """The values of an attribute, [N] or [N, width]; None: it is missing or of another kind."""
        found = self.data.attributes.get(name)
        if found is None or found.domain != "POINT" or found.data_type not in at.KINDS:
            return None
        kind = at.KINDS[found.data_type]
        out: np.ndarray = np.empty(self.count * kind.width, kind.dtype)
        found.data.foreach_get(kind.key, out)
        return out.reshape(-1, kind.width) if kind.width > 1 else out


def points_of(obj: bpy.types.Object | None, graph: bpy.types.Depsgraph | None = None) -> Points | None:
    """The points of an object that are a splat which is not ours; None if it has none.

    Modifiers are asked if the object itself has none and `graph` is given.
    """
    if obj is None or obj.type not in ("POINTCLOUD", "MESH") or obj.bgs.is_splat:  # type: ignore[attr-defined]
        return None
    for points in _candidates(obj, graph):
        if foreign_splats.layout_of(points.names) and points.count:
            return points
    return None


def _candidates(obj: bpy.types.Object, graph: bpy.types.Depsgraph | None) -> Iterator[Points]:
    yield Points(obj.data, own=obj.type == "POINTCLOUD")
    if graph is None or not obj.modifiers:
        return
    evaluated: Any = obj.evaluated_get(graph)
    yield Points(evaluated.data, own=False)
    if hasattr(evaluated, "evaluated_geometry"):  # a mesh object whose nodes make a point cloud
        cloud = evaluated.evaluated_geometry().pointcloud
        if cloud is not None:
            yield Points(cloud, own=False)


def adopt(scene: SplatScene, obj: bpy.types.Object, graph: bpy.types.Depsgraph) -> SplatObject:
    """Make a splat of an object that holds one. Returns the splat: the object itself, or a new one beside it.

    A point cloud of its own becomes a splat where it is: its attributes stay as they are, and ours are added. Of
    vertices, and of what modifiers make, a new object is made, and the old one is hidden.

    Raises:
        UsageError: the object holds no splat of another program, or it is linked or shares its points.
        InputError: its attributes are not those of a splat. Nothing has changed then.
    """
    points = points_of(obj, graph)
    if points is None:
        raise UsageError(f"{obj.name} has no attributes of a Gaussian splat.", "Import the splat's file instead.")
    if points.own and (obj.library is not None or obj.data.library is not None):  # type: ignore[union-attr]
        raise UsageError(f"{obj.name} is linked from another file.", "Make it local first.")
    if points.own and obj.data.users > 1:  # type: ignore[union-attr]
        hint = "Use Object > Relations > Make Single User > Object & Data first."
        raise UsageError(f"{obj.name} shares its points with another object.", hint)
    splat = foreign_splats.splat_of(points.get, points.names, obj.name)
    codes = foreign_splats.codes_of(points.get, points.names)
    ply = splat.to_ply(Path(obj.name))
    if points.own:
        made = cast(SplatObject, obj)
        _add_columns(made.data, ply, kept=points.names)
    else:
        made = _new_object(obj, ply)
    _describe(made, ply, np.array(obj.matrix_world, np.float64))
    shapes.start(made)
    if codes is None:
        appearance.refresh(made)
    else:
        labels.attach(made, codes, BitLayout(DEFAULT_LEVEL_BITS))
    others = [one for one in made.data.materials if one is not None]
    made.data.materials.clear()
    for material in (splat_material(), *others):  # the first one shows the splat
        made.data.materials.append(material)
    geometry_nodes.attach(made, scene)
    return made


def _new_object(obj: bpy.types.Object, ply: SplatPly) -> SplatObject:
    name = as_text(f"{obj.name} splat")
    cloud = point_clouds.new_cloud(name, ply.count)
    made = cast(SplatObject, bpy.data.objects.new(name, cloud))
    _add_columns(cloud, ply, kept=())
    made.matrix_world = obj.matrix_world
    for collection in obj.users_collection:
        collection.objects.link(made)
    obj.hide_set(True)
    obj.hide_render = True
    return made


def _add_columns(cloud: bpy.types.PointCloud, ply: SplatPly, kept: tuple[str, ...]) -> None:
    """Write the attributes of a splat. Those that the cloud has keep their values, and get the type that we use."""
    for column in at.columns_of(ply):
        if column.name == at.RAW_POSITION:  # the points stay where they are, however far that is
            continue
        if column.name == at.POSITION:
            column = at.Column(at.POSITION, column.data_type, ply.columns(("x", "y", "z")))
        native = point_clouds.native_column(column)
        if native.name in kept:
            own = cloud.attributes[native.name]
            if own.data_type == native.data_type and own.domain == "POINT" and native.name != at.ROW:
                continue
            values = point_clouds.get_column(cloud, native.name)
            if native.name == at.BASE and values is not None and values.shape == native.values.shape:
                native = replace(native, values=values)  # the same four numbers in another type
        point_clouds.set_column(cloud, native)
    kind = point_clouds.native_splat_type()
    if kind is not None:
        cloud.type = kind  # type: ignore[attr-defined]


def _describe(obj: SplatObject, ply: SplatPly, world: np.ndarray) -> None:
    """Tell the object that it is a splat, imported as it stands. It has no source file."""
    with without_updates():
        splat = obj.bgs
        splat.is_splat = True
        splat.layout = at.PlyLayout(tuple((name, ply.dtype[name].str) for name in ply.names)).to_text()
        turn = world[:3, :3] / np.maximum(np.linalg.norm(world[:3, :3], axis=0), 1e-12)
        axes = [axis for axis, *_ in UP_AXES if np.allclose(turn, up_matrix(axis)[:3, :3], atol=1e-4)]
        splat.up_axis = axes[0] if axes else "Z"
        splat.import_matrix = world.ravel().tolist()
        splat.source_mark, splat.source_count = positions_sha256(ply), ply.count
