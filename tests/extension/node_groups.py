"""Geometry-nodes modifiers for tests: each changes the points of a splat in one way."""

import bpy


def modify(obj, build, name="User", **settings):
    """Add a modifier whose nodes `build(nodes, geometry)` makes; it returns the socket of the result."""
    group = bpy.data.node_groups.new(name, "GeometryNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    first, last = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    group.links.new(build(Nodes(group), first.outputs[0]), last.inputs[0])
    modifier = obj.modifiers.new(name, "NODES")
    modifier.node_group = group
    for key, value in settings.items():
        setattr(modifier, key, value)
    bpy.context.view_layer.update()
    return modifier


class Nodes:
    """Adds nodes to a group. Inputs are sockets to link or values to set."""

    def __init__(self, group) -> None:
        self.group = group

    def add(self, kind, settings=None, **inputs):
        """A node with its inputs, by their names with underscores for spaces."""
        node = self.group.nodes.new(kind)
        for key, value in (settings or {}).items():
            setattr(node, key, value)
        for key, value in inputs.items():
            socket = next(s for s in node.inputs if s.enabled and s.name == key.replace("_", " "))
            if isinstance(value, bpy.types.NodeSocket):
                self.group.links.new(value, socket)
            else:
                socket.default_value = value
        return node

    def out(self, kind, settings=None, **inputs):
        """The first enabled output of a new node."""
        return next(s for s in self.add(kind, settings, **inputs).outputs if s.enabled)

    def attribute(self, name, kind):
        """The values of a named attribute."""
        return self.out("GeometryNodeInputNamedAttribute", {"data_type": kind}, Name=name)

    def store(self, geometry, name, kind, value):
        """The geometry with a stored attribute."""
        return self.out(
            "GeometryNodeStoreNamedAttribute", {"data_type": kind}, Geometry=geometry, Name=name, Value=value
        )

    def less(self, a, b):
        """Whether a number is smaller than another."""
        return self.out("FunctionNodeCompare", {"data_type": "FLOAT", "operation": "LESS_THAN"}, A=a, B=b)


def transform(**inputs):
    """Transform Geometry."""
    return lambda nodes, geometry: nodes.out("GeometryNodeTransform", Geometry=geometry, **inputs)


def delete_below(row):
    """Delete the Gaussians of the rows before `row`."""

    def build(nodes, geometry):
        few = nodes.less(nodes.attribute("bgs_row", "INT"), float(row))
        return nodes.out("GeometryNodeDeleteGeometry", Geometry=geometry, Selection=few)

    return build


def move_below(row, offset):
    """Move the Gaussians of the rows before `row`."""

    def build(nodes, geometry):
        few = nodes.less(nodes.attribute("bgs_row", "INT"), float(row))
        return nodes.out("GeometryNodeSetPosition", Geometry=geometry, Selection=few, Offset=offset)

    return build


def array(count, step, rotation, scale):
    """Instances of the splat on the points of a line."""

    def build(nodes, geometry):
        line = nodes.out("GeometryNodeMeshLine", Count=count, Offset=step)
        return nodes.out("GeometryNodeInstanceOnPoints", Points=line, Instance=geometry, Rotation=rotation, Scale=scale)

    return build


def with_mirrored(nodes, geometry):
    """The splat and its mirror image."""
    mirrored = nodes.out("GeometryNodeTransform", Geometry=geometry, Scale=(-1, 1, 1))
    join = nodes.group.nodes.new("GeometryNodeJoinGeometry")
    nodes.group.links.new(mirrored, join.inputs[0])
    nodes.group.links.new(geometry, join.inputs[0])
    return join.outputs[0]


def bend(nodes, geometry):
    """Move points by the square of their position."""
    position = nodes.out("GeometryNodeInputPosition")
    square = nodes.out("ShaderNodeVectorMath", {"operation": "MULTIPLY"}, Vector=position)
    nodes.group.links.new(position, square.node.inputs[1])
    return nodes.out("GeometryNodeSetPosition", Geometry=geometry, Offset=square)


def spin(euler, offset=(0, 0, 0)):
    """Turn every Gaussian about its own centre by its attribute `rotation`, and move it."""

    def build(nodes, geometry):
        own = nodes.attribute("rotation", "QUATERNION")
        turned = nodes.out("FunctionNodeRotateRotation", {"rotation_space": "GLOBAL"}, Rotation=own, Rotate_By=euler)
        moved = nodes.out("GeometryNodeSetPosition", Geometry=geometry, Offset=offset)
        return nodes.store(moved, "rotation", "QUATERNION", turned)

    return build


def remove(name):
    """Remove an attribute."""
    return lambda nodes, geometry: nodes.out("GeometryNodeRemoveAttribute", Geometry=geometry, Name=name)


def retyped(name):
    """Store an attribute as one number."""
    return lambda nodes, geometry: nodes.store(geometry, name, "FLOAT", 1.0)


def as_mesh(nodes, geometry):
    """A vertex for every point."""
    return nodes.out("GeometryNodePointsToVertices", Points=geometry)


def with_points(stored):
    """The splat with two more points, with the attributes of a Gaussian if `stored`."""

    def build(nodes, geometry):
        new = nodes.out("GeometryNodePoints", Count=2, Position=(50, 0, 0))
        if stored:
            new = nodes.store(new, "scale", "FLOAT_VECTOR", (0.1, 0.2, 0.3))
            new = nodes.store(new, "rotation", "QUATERNION", (0.0, 0.0, 0.0))
            new = nodes.store(new, "radiance:base", "FLOAT_COLOR", (0.1, 0.2, 0.3, 0.5))
        join = nodes.group.nodes.new("GeometryNodeJoinGeometry")
        nodes.group.links.new(new, join.inputs[0])
        nodes.group.links.new(geometry, join.inputs[0])
        return join.outputs[0]

    return build


def simulation(nodes, geometry):
    """A simulation that does nothing."""
    start, end = (nodes.group.nodes.new(f"GeometryNodeSimulation{side}") for side in ("Input", "Output"))
    start.pair_with_output(end)
    nodes.group.links.new(geometry, start.inputs[0])
    nodes.group.links.new(start.outputs[1], end.inputs["Geometry"])
    return end.outputs["Geometry"]


def instances_of(other):
    """The splat, and another splat as one instance three to the right."""

    def build(nodes, geometry):
        info = nodes.add("GeometryNodeObjectInfo", {"transform_space": "ORIGINAL"}, Object=other, As_Instance=True)
        moved = nodes.out("GeometryNodeTransform", Geometry=info.outputs["Geometry"], Translation=(3, 0, 0))
        join = nodes.group.nodes.new("GeometryNodeJoinGeometry")
        nodes.group.links.new(moved, join.inputs[0])
        nodes.group.links.new(geometry, join.inputs[0])
        return join.outputs[0]

    return build
