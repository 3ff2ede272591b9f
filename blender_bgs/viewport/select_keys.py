# mypy: disable-error-code="arg-type, attr-defined"
"""Gives the operators of `select_operators` the keys of Blender's own selection, whatever the user's keymap is.

An add-on's key comes before Blender's for the same event. If the operator finds no splat, Blender's comes next.
"""

import bpy

from .select_operators import BGS_OT_select_object, BGS_OT_select_objects_in

TOOLS = ("Tweak", "Select Box", "Select Lasso")
MAPS = ("3D View", "Object Mode", *(f"3D View Tool: {tool}{end}" for tool in TOOLS for end in ("", " (fallback)")))
EVENT = ("type", "value", "any", "shift", "ctrl", "alt", "oskey", "key_modifier")
WAIT_SECONDS = 0.5  # Blender makes its keymaps after it enables add-ons

_added: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def _add() -> float | None:
    keys = bpy.context.window_manager.keyconfigs
    if keys.addon is None:
        return None  # no window
    if keys.active is None or keys.active.keymaps.get("3D View") is None:
        return WAIT_SECONDS
    for name in MAPS:
        theirs = keys.active.keymaps.get(name)
        for item in list(theirs.keymap_items) if theirs is not None else []:
            _copy(keys.addon, name, item)
    return None


def _copy(addon: bpy.types.KeyConfig, name: str, item: bpy.types.KeyMapItem) -> None:
    """Add the splats' operator for the event of one of Blender's selection operators."""
    props = item.properties
    if item.idname == "view3d.select":
        if props.center or props.enumerate or props.object or props.extend or props.deselect:
            return  # Blender's own has these without splats
        if item.value != "PRESS" and "Tool" in name:
            return  # the press decides
        new = _new(addon, name, item, BGS_OT_select_object.bl_idname)
        new.properties.toggle = props.toggle
        new.properties.drag = item.value == "PRESS" and "Tool" in name
    elif item.idname in ("view3d.select_box", "view3d.select_lasso"):
        new = _new(addon, name, item, BGS_OT_select_objects_in.bl_idname)
        new.properties.shape = "BOX" if item.idname == "view3d.select_box" else "LASSO"
        new.properties.mode = props.mode
        new.properties.wait = item.type not in {"LEFTMOUSE", "RIGHTMOUSE", "MIDDLEMOUSE"}


def _new(addon: bpy.types.KeyConfig, name: str, item: bpy.types.KeyMapItem, idname: str) -> bpy.types.KeyMapItem:
    mine = addon.keymaps.new(name=name, space_type="VIEW_3D" if name != "Object Mode" else "EMPTY")
    found = {key: getattr(item, key) for key in EVENT}
    new = mine.keymap_items.new(idname, **found)
    if hasattr(item, "direction"):
        new.direction = item.direction
    _added.append((mine, new))
    return new


def start() -> None:
    """Add the keys as soon as Blender has its own."""
    if not bpy.app.background:
        bpy.app.timers.register(_add, first_interval=WAIT_SECONDS, persistent=True)


def stop() -> None:
    """Remove the keys."""
    if bpy.app.timers.is_registered(_add):
        bpy.app.timers.unregister(_add)
    for keymap, item in _added:
        keymap.keymap_items.remove(item)
    _added.clear()
