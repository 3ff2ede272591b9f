"""What Blender is told about, in one list: property groups first."""

from typing import Any

import bpy

from . import (
    collection_operators,
    command_line,
    display,
    engine_operators,
    file_operators,
    jobs,
    label_operators,
    labels,
    panels,
    pick,
    preferences,
    properties,
    render_splats_operators,
    run_files,
    segment_settings,
)
from .splats import settings

CLASSES = (
    *properties.CLASSES,
    *preferences.CLASSES,
    *segment_settings.CLASSES,
    *engine_operators.CLASSES,
    *file_operators.CLASSES,
    *label_operators.CLASSES,
    *collection_operators.CLASSES,
    *pick.CLASSES,
    *panels.CLASSES,
    *render_splats_operators.CLASSES,
    *settings.CLASSES,
)
_factory: Any = bpy.utils.register_classes_factory(CLASSES)
_register_classes, _unregister_classes = _factory


def register() -> None:
    """Classes, properties, menus, drawing, the `bgs` command."""
    _register_classes()
    properties.add_to_blender()
    segment_settings.add_to_blender()
    render_splats_operators.add_to_blender()
    settings.add_to_blender()
    file_operators.add_menus()
    panels.add_menus()
    display.start()
    run_files.start()
    command_line.add_command()


def unregister() -> None:
    """The same backwards; a running job is stopped."""
    jobs.stop_now()
    command_line.remove_command()
    run_files.stop()
    display.stop()
    panels.remove_menus()
    file_operators.remove_menus()
    settings.remove_from_blender()
    render_splats_operators.remove_from_blender()
    segment_settings.remove_from_blender()
    properties.remove_from_blender()
    _unregister_classes()
    labels.forget()
