"""Blender's classes with more exact types, for type checkers.

In Blender's stubs, members can be None that always exist while an operator runs. The stubs also lack the properties
that `registration` adds to objects and scenes. At run time these names are Blender's own classes.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

import bpy

if TYPE_CHECKING:
    from .properties import BGS_Splat

    class SplatObject(bpy.types.Object):
        """A point-cloud object with the property group of this extension."""

        data: bpy.types.PointCloud
        bgs: BGS_Splat

    class SplatScene(bpy.types.Scene):
        """A scene, with the members that the extension uses."""

        collection: bpy.types.Collection
        render: bpy.types.RenderSettings
        view_settings: bpy.types.ColorManagedViewSettings
        cycles: Any

    class Context(bpy.types.Context):
        """The context members that exist whenever an operator or panel of this extension runs."""

        scene: SplatScene
        view_layer: bpy.types.ViewLayer
        window: bpy.types.Window
        window_manager: bpy.types.WindowManager
        workspace: bpy.types.WorkSpace
        region: bpy.types.Region
        region_data: bpy.types.RegionView3D
        preferences: bpy.types.Preferences
        space_data: Any

else:
    SplatObject, SplatScene, Context = bpy.types.Object, bpy.types.Scene, bpy.types.Context

# The return type of an operator's methods. The stubs' own names for it differ between versions.
Returned: TypeAlias = set[Any]
