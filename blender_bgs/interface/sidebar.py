"""The base class of the panels in the extension's tab of the sidebar, and text that is wrapped to their width."""

import textwrap
from typing import Any

import bpy

from ..cloud.typed import Context

# Pixels at UI scale 1: the average letter of the default font, both margins of a panel together, and an icon.
LETTER, MARGINS, ICON_WIDTH = 6.6, 62, 20
TAB = "Gaussian Splat"  # the name of the sidebar's tab


class SidebarPanel:
    """Mix-in: a panel of the tab Gaussian Splat in the 3D view's sidebar."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = TAB


def wrapped_text(
    box: bpy.types.UILayout, text: str, context: Context, *, icon: Any = "NONE", alert: bool = False, beside: float = 0
) -> None:
    """Draw text on as many lines as it needs at the region's width. Blender cuts off a label that is too long.

    `beside` is the room that something else in the same row takes, in pixels at UI scale 1.
    """
    room = context.region.width / context.preferences.system.ui_scale - MARGINS - (ICON_WIDTH if icon != "NONE" else 0)
    room -= beside
    column = box.column(align=True)
    column.scale_y = 0.8
    column.alert = alert
    for number, line in enumerate(textwrap.wrap(text, max(16, int(room / LETTER)), break_on_hyphens=False)):
        column.label(text=line, icon=icon if number == 0 else "NONE" if icon == "NONE" else "BLANK1")


def duration(seconds: float) -> str:
    """Seconds as readable text, for example "2 min 05 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
