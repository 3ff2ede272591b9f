"""What an export writes if the user says nothing: what is selected, else what is shown."""

from pathlib import Path

import bpy
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.core.file_names import safe_names

from ..cloud.active_splat import selected_splats
from ..cloud.label_selection import selected_labels
from ..cloud.properties import BGS_Label
from ..cloud.typed import Context, SplatObject
from ..logic.label_tree import Key

CHOICES = (
    ("SELECTED", "Selected Objects", "The selected splats and label objects, and instances of selected objects"),
    ("LABEL", "Selected Labels", "The Gaussians of the selected labels, where their objects are"),
    ("SHOWN", "Shown Labels", "The Gaussians of all labels whose eye is open, where their objects are"),
    (
        "WHOLE",
        "Whole Splat",
        "The active splat with its label objects, hidden labels too: moved ones where they are, without the deleted "
        "ones",
    ),
    (
        "SOURCE",
        "Splat as Imported",
        "All Gaussians of the active splat where its file had them. No moved or deleted object counts",
    ),
)


def likely(context: Context, whole: SplatObject) -> str:
    """The choice that fits what is selected and shown."""
    objects = selected_splats(context)
    if len(objects) > 1 or any(obj.bgs.whole is not None for obj in objects):
        return "SELECTED"
    if not whole.bgs.level_bits:
        return "SELECTED" if objects else "WHOLE"
    if selected_labels(whole):
        return "LABEL"
    return "SHOWN" if any(row.hidden for row in whole.bgs.labels) else "WHOLE"


def shown_keys(whole: SplatObject) -> frozenset[Key]:
    """The finest labels whose eye is open; empty for a splat without labels.

    Raises:
        UsageError: all labels are hidden.
    """
    rows = _finest(whole)
    keys = frozenset((row.level, row.label) for row in rows if not row.hidden)
    if rows and not keys:
        raise UsageError("No label is shown.", "Open an eye in the list, or press Show All.")
    return keys


def gaussians(context: Context, whole: SplatObject, what: str) -> int:
    """How many Gaussians a choice writes, without those of instances."""
    if what == "SELECTED":
        return sum(len(obj.data.points) for obj in selected_splats(context))
    if what == "LABEL":
        return sum(row.seen for row in selected_labels(whole))
    rows = _finest(whole)
    if what == "SOURCE" or not rows:
        return len(whole.data.points)
    return sum(row.seen for row in rows if what == "WHOLE" or not row.hidden)


def file_name(context: Context, whole: SplatObject, what: str) -> str:
    """A name for the file: of the one label or object that is written, else of the splat."""
    rows, objects = selected_labels(whole), selected_splats(context)
    name = whole.name
    if what == "LABEL" and len(rows) == 1:
        name = rows[0].name
    elif what == "SELECTED" and len(objects) == 1:
        name = objects[0].name
    return f"{safe_names([name])[0]}.ply"


def folder_of(path: str) -> Path:
    """The folder to propose: that of the last export, else that of the .blend, else the user's own."""
    if path:
        return Path(bpy.path.abspath(path)).parent
    return Path(bpy.data.filepath).parent if bpy.data.filepath else Path.home()


def _finest(whole: SplatObject) -> list[BGS_Label]:
    if not whole.bgs.level_bits:
        return []
    levels = BitLayout.parse(whole.bgs.level_bits).levels
    return [row for row in whole.bgs.labels if row.level == levels]
