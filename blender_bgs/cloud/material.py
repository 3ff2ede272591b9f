# mypy: disable-error-code="attr-defined, arg-type"
"""The material that shows `bgs_color` (captured colours, labels or both) with opacity, independent of the light."""

from typing import Any

import bpy

from ..logic.attributes import COLOR, INSTANCED
from .typed import SplatScene

NAME = "Gaussian Splat"
VERSION = 2  # of the nodes; a file of an older extension gets a new material beside its own
FALL_OFF = -0.5 * 2.5**2  # exponent of a Gaussian per sin², for ellipsoids of 2.5 standard deviations


def splat_material() -> bpy.types.Material:
    """The material that all splats of the file share. Users may edit it.

    It emits the point's colour. On an ellipsoid (see `geometry_nodes`), alpha is the Gaussian's alpha at the point of
    the ray that is nearest to the centre: opacity x exp(-q / 2) with q = 2.5² sin²(a). a is the angle between the ray
    and the direction to the centre, in the ellipsoid's own space. Balls are opaque.
    """
    material = bpy.data.materials.get(NAME)
    if material is not None and material.get("bgs_version") == VERSION:
        return material
    material = bpy.data.materials.new(NAME)
    material["bgs_version"] = VERSION
    if material.node_tree is None:  # Blender 5 and later give every new material its nodes
        material.use_nodes = True
    tree: Any = material.node_tree
    tree.nodes.clear()

    def add(kind: str, column: float, row: float, **settings: object) -> Any:
        node = tree.nodes.new(kind)
        node.location = (200 * column, 200 * row)
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def math(operation: str, a: Any, b: Any, column: float, row: float) -> Any:
        node = add("ShaderNodeMath", column, row, operation=operation)
        for socket, value in zip(node.inputs, (a, b), strict=False):
            if isinstance(value, float):
                socket.default_value = value
            elif value is not None:
                tree.links.new(value, socket)
        return node.outputs[0]

    own = add("ShaderNodeAttribute", 0, 0, attribute_type="GEOMETRY", attribute_name=COLOR)
    of_instance = add("ShaderNodeAttribute", 0, 1, attribute_type="INSTANCER", attribute_name=COLOR)
    instanced = add("ShaderNodeAttribute", 0, 2, attribute_type="INSTANCER", attribute_name=INSTANCED).outputs["Fac"]
    color = add("ShaderNodeMixRGB", 2, 0.5)
    tree.links.new(instanced, color.inputs[0])
    tree.links.new(own.outputs["Color"], color.inputs[1])
    tree.links.new(of_instance.outputs["Color"], color.inputs[2])
    geometry = add("ShaderNodeNewGeometry", -2, -2)
    turned = add("ShaderNodeVectorTransform", -1, -2, vector_type="VECTOR", convert_from="WORLD", convert_to="OBJECT")
    tree.links.new(geometry.outputs["Incoming"], turned.inputs[0])
    ray = add("ShaderNodeVectorMath", 0, -2, operation="NORMALIZE")
    tree.links.new(turned.outputs[0], ray.inputs[0])
    place = add("ShaderNodeTexCoord", -1, -3)
    out = add("ShaderNodeVectorMath", 0, -3, operation="NORMALIZE")
    tree.links.new(place.outputs["Object"], out.inputs[0])
    dot = add("ShaderNodeVectorMath", 1, -2, operation="DOT_PRODUCT")
    tree.links.new(ray.outputs["Vector"], dot.inputs[0])
    tree.links.new(out.outputs["Vector"], dot.inputs[1])
    cosine = dot.outputs["Value"]
    sine = math("SUBTRACT", 1.0, math("MULTIPLY", cosine, cosine, 2, -2), 3, -2)
    weight = math("EXPONENT", math("MULTIPLY", sine, FALL_OFF, 4, -2), None, 5, -2)
    front = math("SUBTRACT", 1.0, geometry.outputs["Backfacing"], 3, -3)
    alpha = math("MULTIPLY", math("MULTIPLY", weight, of_instance.outputs["Alpha"], 6, -2), front, 7, -2)
    # Transparency is instanced x (1 - alpha), so balls are opaque.
    see_through = math("MULTIPLY", instanced, math("SUBTRACT", 1.0, alpha, 8, -2), 9, -2)
    emission = add("ShaderNodeEmission", 9, 0.5)
    tree.links.new(color.outputs[0], emission.inputs["Color"])
    mix = add("ShaderNodeMixShader", 11, 0)
    tree.links.new(see_through, mix.inputs[0])
    tree.links.new(emission.outputs[0], mix.inputs[1])
    tree.links.new(add("ShaderNodeBsdfTransparent", 9, -1).outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], add("ShaderNodeOutputMaterial", 12, 0).inputs["Surface"])
    return material


def show_colors_as_captured(scene: SplatScene) -> bool:
    """Set the view transform to Standard if it is AgX or Filmic, so that colours are those of the file.

    Returns whether it changed.
    """
    settings = scene.view_settings
    if settings.view_transform in ("AgX", "Filmic"):
        settings.view_transform = "Standard"
        return True
    return False
