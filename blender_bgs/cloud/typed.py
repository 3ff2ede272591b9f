"""Names for type checkers: Blender's classes with what this extension knows of them.

Blender's types say "maybe None" of what is always there while an operator runs, and cannot know the properties that
`registration` hangs on objects and scenes. At run time these are Blender's own classes.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

import bpy

if TYPE_CHECKING:
    from .properties import BGS_Splat

    class SplatObject(bpy.types.Object):
        """A point-cloud object with our property group."""

        data: bpy.types.PointCloud
        bgs: BGS_Splat

    class SplatScene(bpy.types.Scene):
        """A scene with our settings."""

        collection: bpy.types.Collection
        render: bpy.types.RenderSettings
        view_settings: bpy.types.ColorManagedViewSettings
        cycles: Any

    class Context(bpy.types.Context):
        """What is there whenever one of our operators or panels runs."""

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

Returned: TypeAlias = set[Any]  # what an operator's methods return: the checker's own names differ between versions
