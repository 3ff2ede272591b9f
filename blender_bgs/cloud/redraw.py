"""Asks Blender to draw regions of the windows anew. Blender does so by itself only where the mouse is."""

from collections.abc import Collection

import bpy

SIDEBARS = {("VIEW_3D", "UI")}


def regions(kinds: Collection[tuple[str, str]]) -> None:
    """Draw all regions of these kinds anew. A kind is the type of the area and that of the region in it."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if (area.type, region.type) in kinds:
                    region.tag_redraw()


def sidebars() -> None:
    """Draw the sidebars anew, where the label list is, but not the 3D views: each view would cost a frame."""
    regions(SIDEBARS)
