# mypy: disable-error-code="valid-type"
"""The property group of a named set of labels."""

import bpy

from ..logic.label_names import unique_name
from .pausing import is_paused, without_updates


def _set_renamed(self: "BGS_LabelSet", _context: bpy.types.Context) -> None:
    if is_paused():
        return
    others = [one.name for one in self.id_data.bgs.label_sets if one != self]
    wanted = unique_name(self.name.strip() or "Set", others)
    if wanted != self.name:
        with without_updates():
            self.name = wanted


class BGS_LabelSet(bpy.types.PropertyGroup):
    """A named set of labels; see `label_sets`, which reads and writes it."""

    name: bpy.props.StringProperty(name="Name", description="Double-click to change it", update=_set_renamed)
    keys: bpy.props.StringProperty()  # its labels, for example "2:1025 2:1030"
    lost: bpy.props.IntProperty()  # how many of its labels are gone
