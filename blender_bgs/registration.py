"""What Blender is told about, in one list: property groups first."""

import bpy

from . import (
    display,
    file_operators,
    labels,
    properties,
)

CLASSES = (
    *properties.CLASSES,
    *file_operators.CLASSES,
)
_register_classes, _unregister_classes = bpy.utils.register_classes_factory(CLASSES)


def register() -> None:
    """Classes, properties, menus, drawing."""
    _register_classes()
    properties.add_to_blender()
    file_operators.add_menus()
    display.start()


def unregister() -> None:
    """The same backwards."""
    display.stop()
    file_operators.remove_menus()
    properties.remove_from_blender()
    _unregister_classes()
    labels.forget()
