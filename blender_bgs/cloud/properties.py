# mypy: disable-error-code="valid-type"
"""The property group of every splat object and its labels. Blender saves them in the .blend."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bgs_engine.core.codes import BitLayout

from ..logic.attributes import PlyLayout
from . import identity
from .compatibility import BLEND_RELATIVE
from .pausing import is_paused
from .pausing import without_updates as without_updates
from .set_properties import BGS_LabelSet

UP_AXES = (
    ("NEG_Y", "-Y Up (captures)", "For captures from photos and COLMAP, where y points down. This is the usual case"),
    ("Z", "Z Up", "For files that are already upright in Blender"),
    ("Y", "Y Up", "For files from game engines and many viewers"),
)


def _nothing(*_: object) -> None:
    """The hook while the extension is not registered."""


@dataclass
class Hooks:
    """The functions to call when a property or the selection of a splat object changes. `registration` sets them.

    They are in modules that import this one, so this module cannot import them.
    """

    active_changed: Callable[[Any], None] = _nothing
    color_changed: Callable[[Any], None] = _nothing
    appearance_changed: Callable[[Any], None] = _nothing
    eye_changed: Callable[[Any, Any], None] = _nothing
    level_changed: Callable[[Any], None] = _nothing
    name_changed: Callable[[Any, Any], None] = _nothing
    selection_changed: Callable[[Any], None] = _nothing
    up_axis_changed: Callable[[Any], None] = _nothing


hooks = Hooks()


def _appearance_changed(self: bpy.types.bpy_struct, _context: bpy.types.Context) -> None:
    if not is_paused():
        hooks.appearance_changed(self.id_data)


def _level_changed(self: "BGS_Splat", _context: bpy.types.Context) -> None:
    if is_paused():
        return
    if self.level_bits and self.color_mode == "COLOR":
        with without_updates():
            self.color_mode = "LABEL"  # a user who moves the level slider wants to see labels
    hooks.level_changed(self.id_data)


def _name_changed(self: "BGS_Label", _context: bpy.types.Context) -> None:
    if not is_paused():
        hooks.name_changed(self.id_data, self)


def _color_changed(self: "BGS_Label", _context: bpy.types.Context) -> None:
    if not is_paused():
        hooks.color_changed(self.id_data)


def _eye_changed(self: "BGS_Label", _context: bpy.types.Context) -> None:
    if not is_paused():
        hooks.eye_changed(self.id_data, self)


def _active_changed(self: "BGS_Splat", _context: bpy.types.Context) -> None:
    if not is_paused():
        hooks.active_changed(self.id_data)


def _up_axis_changed(self: "BGS_Splat", _context: bpy.types.Context) -> None:
    if not is_paused():
        hooks.up_axis_changed(self.id_data)


class BGS_Label(bpy.types.PropertyGroup):
    """One label of one level. `key` is the label's 32 bits as Blender's signed integer."""

    level: bpy.props.IntProperty()
    key: bpy.props.IntProperty()
    parent: bpy.props.IntProperty()
    count: bpy.props.IntProperty()
    seen: bpy.props.IntProperty()  # of these, how many are left in label objects, or in none; see `seen`
    name: bpy.props.StringProperty(
        name="Name", description="Double-click to change it. The run folder keeps it too", update=_name_changed
    )
    automatic: bpy.props.StringProperty()  # the name that describes it; it has this until a person names it
    color: bpy.props.FloatVectorProperty(
        name="Color",
        description="The colour of this label",
        subtype="COLOR_GAMMA",
        size=3,
        min=0,
        max=1,
        default=(0.5, 0.5, 0.5),
        update=_color_changed,
    )
    hidden: bpy.props.BoolProperty(
        name="Hide", description="Hide these Gaussians, and the object of this label", update=_eye_changed
    )
    locked: bpy.props.BoolProperty(
        name="Lock", description="Protect this label, and all that it contains, against edits of labels"
    )
    tint: bpy.props.FloatVectorProperty(
        name="Tint",
        description="Multiplies the captured light of these Gaussians. It is exported too",
        subtype="COLOR",
        size=3,
        min=0,
        soft_max=1,
        default=(1, 1, 1),
        update=_appearance_changed,
    )
    exposure: bpy.props.FloatProperty(
        name="Exposure",
        description="Brightens these Gaussians by so many stops: 1 is twice the light, -1 is half. It is exported too",
        min=-10,
        max=10,
        soft_min=-3,
        soft_max=3,
        update=_appearance_changed,
    )
    selected: bpy.props.BoolProperty()  # all Gaussians are selected; `label_selection` sets it
    partly: bpy.props.BoolProperty()  # some Gaussians are selected

    @property
    def label(self) -> int:
        """The label as an unsigned integer."""
        return self.key & 0xFFFFFFFF

    @property
    def is_lit(self) -> bool:
        """Whether its light is not the captured one."""
        return self.exposure != 0 or tuple(self.tint) != (1, 1, 1)


class BGS_ObjectName(bpy.types.PropertyGroup):
    """The name of an object, in the inherited property `name`."""


class BGS_Splat(bpy.types.PropertyGroup):
    """The properties of a splat object: a whole cloud or a label object."""

    is_splat: bpy.props.BoolProperty()
    source_path: bpy.props.StringProperty(name="Source", subtype="FILE_PATH", options=BLEND_RELATIVE)
    source_mark: bpy.props.StringProperty()  # tells whether the source file still has the Gaussians that were imported
    source_state: bpy.props.StringProperty()  # size and times of that file, when the mark was seen to be right
    source_count: bpy.props.IntProperty()  # Gaussians of that file; 0 in files of older versions
    run_folder: bpy.props.StringProperty(name="Run Folder", subtype="DIR_PATH", options=BLEND_RELATIVE)
    run_id: bpy.props.StringProperty()  # identity of the run that the codes came from
    run_in_order: bpy.props.BoolProperty()  # the run's rows are the points sorted by bgs_row, not the source's rows
    run_changed: bpy.props.BoolProperty()  # labels changed since the run folder was read or written
    layout: bpy.props.StringProperty()
    import_matrix: bpy.props.FloatVectorProperty(size=16)
    # From the space of the source file to that of the points, [4, 4] row by row. Apply changes it, see `shapes`.
    local_matrix: bpy.props.FloatVectorProperty(size=16, default=np.eye(4).ravel().tolist())
    source: bpy.props.IntProperty()  # the number of the import, see `added_points`
    checked_points: bpy.props.IntProperty()  # the number of points when their rows and sources were last checked
    up_axis: bpy.props.EnumProperty(
        name="Up",
        description="Which axis of the file points up",
        items=UP_AXES,
        default="NEG_Y",
        update=_up_axis_changed,
    )
    level_bits: bpy.props.StringProperty()
    levels: bpy.props.IntProperty()
    level: bpy.props.IntProperty(
        name="Level",
        description="The level that is shown, from coarse (1) to fine",
        default=1,
        min=1,
        soft_max=3,
        update=_level_changed,
    )
    color_mode: bpy.props.EnumProperty(
        name="Show",
        description="The colours in the 3D view and in renders (F12)",
        items=(
            ("COLOR", "Color", "The captured colours"),
            ("LABEL", "Labels", "One colour per label of the level"),
            ("MIXED", "Mixed", "Captured colours tinted by label"),
            ("CONFIDENCE", "Confidence", "The confidence of each Gaussian's label: red is low, green is high"),
        ),
        update=_appearance_changed,
    )
    labels: bpy.props.CollectionProperty(type=BGS_Label)
    label_index: bpy.props.IntProperty(  # the active row, whatever its level
        name="Active Label", description="Click to select this label alone", update=_active_changed
    )
    label_sets: bpy.props.CollectionProperty(type=BGS_LabelSet)
    set_index: bpy.props.IntProperty(name="Active Set", description="Click to choose this set")
    picked_row: bpy.props.IntProperty(default=-1)
    picked_level: bpy.props.IntProperty()
    splat_id: bpy.props.StringProperty()  # of a whole cloud: its label objects find it by this, see `identity`
    whole_id: bpy.props.StringProperty()  # of a label object: the identity of its whole cloud
    # Of a label object: the place of its origin in the space of its whole cloud's points, see `pivot`.
    pivot: bpy.props.FloatVectorProperty(size=3)
    part_level: bpy.props.IntProperty()
    part_key: bpy.props.IntProperty()
    obstacles: bpy.props.CollectionProperty(type=BGS_ObjectName)  # solid objects that reached in at the import
    parts_stale: bpy.props.BoolProperty()  # on a whole cloud: labels changed since its label objects were made

    @property
    def whole(self) -> Any:
        """The whole cloud that a label object was made from; None for a whole cloud, and for an object without its."""
        return identity.whole_of(self.id_data)

    @whole.setter
    def whole(self, whole: Any) -> None:
        identity.set_whole(self.id_data, whole)

    @property
    def part_collection(self) -> bpy.types.Collection | None:
        """The collection of the label objects of a whole cloud, or None."""
        return identity.collection_of(self.id_data)

    @part_collection.setter
    def part_collection(self, collection: bpy.types.Collection | None) -> None:
        identity.set_collection(self.id_data, collection)

    @property
    def is_alone(self) -> bool:
        """Whether it is a label object whose whole cloud is not in this file: it was appended or pasted by itself."""
        return bool(self.part_level) and self.whole is None

    @property
    def bits(self) -> BitLayout | None:
        """The bit layout of `bgs_code`, or None if the cloud has no codes."""
        return BitLayout.parse(self.level_bits) if self.level_bits else None

    @property
    def shown_level(self) -> int:
        """The level that is shown, limited to the levels that exist."""
        return min(max(1, self.level), max(1, self.levels))

    @property
    def ply_layout(self) -> PlyLayout:
        """The PLY layout of the source file."""
        return PlyLayout.parse(self.layout)

    @property
    def imported_at(self) -> np.ndarray:
        """The object-to-world matrix right after the import, float64 [4, 4]."""
        return np.array(self.import_matrix, np.float64).reshape(4, 4)

    @property
    def source_file(self) -> Path | None:
        """The source file, whether it exists or not; None for a splat without one."""
        return self.path_of(self.source_path)

    def path_of(self, text: str) -> Path | None:
        """A path property as a path, or None if it is empty. // is the folder of the .blend that holds the splat."""
        return Path(bpy.path.abspath(text, library=self.id_data.library)) if text else None

    def active_label(self) -> BGS_Label | None:
        """The active label of the list, or None if it is not of the shown level."""
        if 0 <= self.label_index < len(self.labels):
            label = self.labels[self.label_index]
            return label if label.level == self.shown_level else None
        return None


CLASSES = (BGS_Label, BGS_LabelSet, BGS_ObjectName, BGS_Splat)


def signed(label: int) -> int:
    """An unsigned 32-bit label as the signed integer that Blender stores."""
    return label - (1 << 32) if label >= 1 << 31 else label


def add_to_blender() -> None:
    """Add the property group to all objects."""
    bpy.types.Object.bgs = bpy.props.PointerProperty(type=BGS_Splat)  # type: ignore[attr-defined]


def remove_from_blender() -> None:
    """Remove the property group."""
    del bpy.types.Object.bgs  # type: ignore[attr-defined]
