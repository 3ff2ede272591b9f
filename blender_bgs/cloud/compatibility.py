"""Differences between Blender versions that several folders of the extension share."""

from typing import Any

import bpy

# Options of a property for a path that may start with "//". Blender 5 warns if the flag is missing; 4.2 lacks the flag.
_KNOWN = "is_path_supports_blend_relative" in bpy.types.Property.bl_rna.properties
BLEND_RELATIVE: set[Any] = {"ANIMATABLE", *(["PATH_SUPPORTS_BLEND_RELATIVE"] if _KNOWN else [])}
