"""The material that shows `bgs_color` as it is, in rendered view and in renders, under any light."""

import bpy

from .logic.attributes import COLOR
from .typed import SplatScene

NAME = "Gaussian Splat"


def splat_material() -> bpy.types.Material:
    """The shared material: emission of the point's colour. Made once a file; users may edit it."""
    material = bpy.data.materials.get(NAME)
    if material is not None:
        return material
    material = bpy.data.materials.new(NAME)
    if material.node_tree is None:  # Blender 5 and later give every new material its nodes
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    attribute = tree.nodes.new("ShaderNodeAttribute")
    attribute.attribute_type, attribute.attribute_name = "GEOMETRY", COLOR
    emission = tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    attribute.location, emission.location, output.location = (-400, 0), (-150, 0), (100, 0)
    tree.links.new(attribute.outputs["Color"], emission.inputs["Color"])
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])
    return material


def show_colors_as_captured(scene: SplatScene) -> bool:
    """Switch a scene that still has Blender's filmic default to Standard, so that colours are those of the file.

    Returns whether anything was changed.
    """
    settings = scene.view_settings
    if settings.view_transform in ("AgX", "Filmic"):
        settings.view_transform = "Standard"
        return True
    return False
