"""Reads the user's preferences. It uses defaults if the extension is not enabled, as with the bpy wheel."""

import sys
from typing import cast

import bpy

ADDON = __package__.rpartition(".")[0]  # the extension's own name in Blender's preferences


class Preferred:
    """The default preferences. `preferences.BGS_Preferences` has the same attributes."""

    engine_python = ""
    install_folder = ""
    base_python = ""
    device = "auto"
    untested = False
    show_guide = True
    words_model = ""


def preferences() -> Preferred:
    """The user's preferences, or the defaults."""
    addon = bpy.context.preferences.addons.get(ADDON)
    return Preferred() if addon is None or addon.preferences is None else cast(Preferred, addon.preferences)


def base_python() -> str:
    """The Python that makes the engine's environment."""
    return preferences().base_python or sys.executable
