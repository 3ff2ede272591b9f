"""Differences between Blender versions that several rooms have to know."""

from typing import Any

import bpy

# Options of a property for a path that may start with "//". Blender 5 warns without it, 4.2 does not know it.
_KNOWN = "is_path_supports_blend_relative" in bpy.types.Property.bl_rna.properties
BLEND_RELATIVE: set[Any] = {"ANIMATABLE", *(["PATH_SUPPORTS_BLEND_RELATIVE"] if _KNOWN else [])}
