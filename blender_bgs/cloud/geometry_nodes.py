# mypy: disable-error-code="attr-defined, arg-type, call-arg"
"""The geometry-nodes modifier of every splat object. It makes what Blender itself shows of the splat.

In the viewport this is a frame around the splat's core, so that users can click on the object. The draw handler in
`viewport.draw` draws the Gaussians. In a render it is one ellipsoid per Gaussian, or one ball per Gaussian if there
are more than `MOST_ELLIPSOIDS`.
"""

from collections.abc import Iterable
from typing import Any, cast

import bpy
import numpy as np

from ..logic.attributes import BASE, INSTANCED, POSITION, RADIUS, ROTATION, SCALE
from ..logic.framing import core_box
from . import point_clouds
from .material import splat_material
from .typed import SplatObject, SplatScene

GROUP = "Gaussian Splat"
MODIFIER = "Gaussian Splat"
MOST_ELLIPSOIDS = 200_000  # Cycles on a processor needs 5 to 10 s to make this many; balls need almost no time
REACH = 2.5  # standard deviations from an ellipsoid's centre to its surface; the material fades out to there
LEAST_BOUNCES = 128  # transparent surfaces in a row; with Cycles' default of 8, everything behind the eighth is black
MARK = "bgs_version"  # custom property of the node group, so that a renamed or appended one is known
VERSION = 1  # of the node group; an older one in a file is replaced


def attach(obj: SplatObject, scene: SplatScene | None = None) -> None:
    """Add the modifier to a splat object, and let Cycles see through at least `LEAST_BOUNCES` Gaussians."""
    if scene is not None and hasattr(scene, "cycles"):
        scene.cycles.transparent_max_bounces = max(LEAST_BOUNCES, scene.cycles.transparent_max_bounces)
    if point_clouds.can_show_native_splats():
        return
    modifier = obj.modifiers.get(MODIFIER) or obj.modifiers.new(MODIFIER, "NODES")
    modifier.node_group = node_group()
    modifier.show_expanded = False
    pin(obj)
    center, size = _core(obj)
    _set_inputs(modifier, {"Frame Center": center, "Frame Size": size})


def pin(obj: SplatObject) -> None:
    """Keep the modifier the last one, so that the user's modifiers get points instead of a frame or ellipsoids."""
    modifier = obj.modifiers.get(MODIFIER)
    if modifier is not None and obj.library is None and not modifier.use_pin_to_last:
        modifier.use_pin_to_last = True


def fit_frame(obj: SplatObject) -> None:
    """Fit the frame in the viewport to the splat's core again, after its points moved."""
    modifier = obj.modifiers.get(MODIFIER)
    if modifier is not None and modifier.type == "NODES" and modifier.node_group is not None:
        center, size = _core(obj)
        _set_inputs(modifier, {"Frame Center": center, "Frame Size": size})


def _core(obj: SplatObject) -> tuple[list[float], list[float]]:
    positions, base = point_clouds.get_column(obj.data, POSITION), point_clouds.get_column(obj.data, BASE)
    if positions is None or base is None or not len(positions):
        return [0.0] * 3, [1.0] * 3
    low, high = core_box(positions, base[:, 3])
    return ((low + high) / 2).tolist(), np.maximum(high - low, 1e-4).tolist()


def _set_inputs(modifier: Any, values: dict[str, Any]) -> None:
    for item in modifier.node_group.interface.items_tree:
        if item.item_type == "SOCKET" and item.in_out == "INPUT" and item.name in values:
            # Blender 5.2 moved the inputs from custom properties to real properties.
            inputs = getattr(getattr(modifier, "properties", None), "inputs", None)
            wanted = np.array(values[item.name], np.float32)
            before = getattr(inputs, item.identifier).value if inputs is not None else modifier.get(item.identifier)
            if before is not None and np.array_equal(np.array(before, np.float32), wanted):
                continue  # writing it would make Blender compute the object anew
            if inputs is not None:
                getattr(inputs, item.identifier).value = values[item.name]
            else:
                modifier[item.identifier] = values[item.name]


def node_group() -> bpy.types.GeometryNodeTree:
    """The node group that all splats of the file share."""
    found = bpy.data.node_groups.get(GROUP)
    if found is not None and found.get(MARK) == VERSION:
        for node in found.nodes:
            if node.bl_idname == "GeometryNodeSetMaterial" and node.inputs["Material"].default_value is None:
                node.inputs["Material"].default_value = splat_material()  # the user deleted it
        return cast(bpy.types.GeometryNodeTree, found)
    group: Any = bpy.data.node_groups.new(GROUP, "GeometryNodeTree")
    group[MARK] = VERSION
    group.is_modifier = True
    face = group.interface
    face.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    face.new_socket("Frame Center", in_out="INPUT", socket_type="NodeSocketVector")
    face.new_socket("Frame Size", in_out="INPUT", socket_type="NodeSocketVector")
    most = face.new_socket("Most Ellipsoids", in_out="INPUT", socket_type="NodeSocketInt")
    most.default_value, most.min_value = MOST_ELLIPSOIDS, 0
    most.description = "A splat of more Gaussians than this is rendered as balls"
    face.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    nodes = _Nodes(group)
    entry, end = nodes.add("NodeGroupInput", 0, 0), nodes.add("NodeGroupOutput", 6, 0)
    switch = nodes.add("GeometryNodeSwitch", 5, 0, input_type="GEOMETRY")
    nodes.link(nodes.add("GeometryNodeIsViewport", 4, 1).outputs[0], switch.inputs["Switch"])
    nodes.link(_rendered(nodes, entry), switch.inputs["False"])
    nodes.link(_frame(nodes, entry), switch.inputs["True"])
    nodes.link(switch.outputs["Output"], end.inputs[0])
    return cast(bpy.types.GeometryNodeTree, group)


def _frame(nodes: "_Nodes", entry: Any) -> Any:
    """The nodes of the frame in the viewport: the twelve edges of the core's box."""
    cube = nodes.add("GeometryNodeMeshCube", 1, 2)
    moved = nodes.add("GeometryNodeTransform", 2, 2)
    edges = nodes.add("GeometryNodeDeleteGeometry", 3, 2, domain="FACE", mode="ONLY_FACE")
    nodes.link(entry.outputs["Frame Size"], cube.inputs["Size"])
    nodes.link(cube.outputs["Mesh"], moved.inputs["Geometry"])
    nodes.link(entry.outputs["Frame Center"], moved.inputs["Translation"])
    nodes.link(moved.outputs["Geometry"], edges.inputs["Geometry"])
    return edges.outputs["Geometry"]


def _rendered(nodes: "_Nodes", entry: Any) -> Any:
    """The nodes of a render: they delete hidden Gaussians and haze, and make ellipsoids or balls of the others."""
    radius = nodes.named(RADIUS, "FLOAT", 0, -2)
    invisible = nodes.compare("FLOAT", "LESS_EQUAL", radius, 0.0, 1, -2)
    kept = nodes.add("GeometryNodeDeleteGeometry", 2, -1, domain="POINT")
    nodes.link(entry.outputs["Geometry"], kept.inputs["Geometry"])
    nodes.link(invisible, kept.inputs["Selection"])
    ball = nodes.add("GeometryNodeMeshIcoSphere", 1, -4)
    ball.inputs["Radius"].default_value, ball.inputs["Subdivisions"].default_value = 1.0, 2
    smooth = nodes.add("GeometryNodeSetShadeSmooth", 2, -4)
    with_material = nodes.add("GeometryNodeSetMaterial", 3, -4)
    with_material.inputs["Material"].default_value = splat_material()
    nodes.link(ball.outputs["Mesh"], smooth.inputs["Geometry"])
    nodes.link(smooth.outputs["Geometry"], with_material.inputs["Geometry"])
    large = nodes.add("ShaderNodeVectorMath", 2, -5, operation="SCALE")
    large.inputs["Scale"].default_value = REACH
    nodes.link(nodes.named(SCALE, "FLOAT_VECTOR", 1, -5), large.inputs[0])
    instances = nodes.add("GeometryNodeInstanceOnPoints", 3, -2)
    nodes.link(kept.outputs["Geometry"], instances.inputs["Points"])
    nodes.link(with_material.outputs["Geometry"], instances.inputs["Instance"])
    nodes.link(nodes.named(ROTATION, "QUATERNION", 1, -6), instances.inputs["Rotation"])
    nodes.link(large.outputs["Vector"], instances.inputs["Scale"])
    marked = nodes.add("GeometryNodeStoreNamedAttribute", 4, -2, data_type="FLOAT", domain="INSTANCE")
    marked.inputs["Name"].default_value = INSTANCED
    next(s for s in marked.inputs if s.name == "Value" and s.enabled).default_value = 1.0
    nodes.link(instances.outputs["Instances"], marked.inputs["Geometry"])
    size = nodes.add("GeometryNodeAttributeDomainSize", 3, 0, component="POINTCLOUD")
    nodes.link(kept.outputs["Geometry"], size.inputs["Geometry"])
    is_small = nodes.compare("INT", "LESS_EQUAL", size.outputs["Point Count"], entry.outputs["Most Ellipsoids"], 4, 0)
    choice = nodes.add("GeometryNodeSwitch", 4, -1, input_type="GEOMETRY")
    nodes.link(is_small, choice.inputs["Switch"])
    nodes.link(kept.outputs["Geometry"], choice.inputs["False"])
    nodes.link(marked.outputs["Geometry"], choice.inputs["True"])
    return choice.outputs["Output"]


class _Nodes:
    """Adds nodes on a grid and finds their enabled sockets. A node's settings enable some of its sockets."""

    def __init__(self, group: Any) -> None:
        self._group = group

    def add(self, kind: str, column: float, row: float, **settings: object) -> Any:
        node = self._group.nodes.new(kind)
        node.location = (220 * column, 180 * row)
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def link(self, source: Any, target: Any) -> None:
        self._group.links.new(source, target)

    def named(self, name: str, kind: str, column: float, row: float) -> Any:
        node = self.add("GeometryNodeInputNamedAttribute", column, row, data_type=kind)
        node.inputs["Name"].default_value = name
        return _enabled(node.outputs, "Attribute")

    def compare(self, kind: str, operation: str, a: Any, b: Any, column: float, row: float) -> Any:
        node = self.add("FunctionNodeCompare", column, row, data_type=kind, operation=operation)
        self.link(a, _enabled(node.inputs, "A"))
        if isinstance(b, float):
            _enabled(node.inputs, "B").default_value = b
        else:
            self.link(b, _enabled(node.inputs, "B"))
        return node.outputs[0]


def _enabled(sockets: Iterable[Any], name: str) -> Any:
    return next(s for s in sockets if s.enabled and s.name == name)
