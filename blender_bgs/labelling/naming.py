"""Name Labels: gives labels short names that say what they look like. Names that people gave stay."""

import bpy
import numpy as np
from bgs_engine.core.label_table import is_automatic
from bgs_engine.io.gaussians import SH_C0
from bgs_engine.naming.label_names import label_names

from ..cloud import code_tables, point_clouds, shapes
from ..cloud import label_names as names_of_objects
from ..cloud.active_splat import need_splat
from ..cloud.properties import without_updates
from ..cloud.typed import Context, SplatObject
from ..files import save_to_run
from ..interface.operator_base import NeedsLabels, counted
from ..logic import attributes as at
from ..logic.label_tree import Key


def name_labels(obj: SplatObject) -> tuple[int, int]:
    """Name all labels of all levels by what their Gaussians show. Returns how many got a new name, and how many kept
    one that a person gave.

    Raises:
        UsageError: the cloud has no labels.
        InputError: it has lost an attribute, or shapes cannot follow an edit.
    """
    shapes.make_true(obj)
    table, world = code_tables.table_of(obj), point_clouds.world_of(obj)
    up = np.linalg.inv(world[:3, :3]) @ np.array([0.0, 0.0, 1.0])
    means, scales, base = (point_clouds.need_column(obj.data, name) for name in (at.POSITION, at.SCALE, at.BASE))
    colors = base[:, :3] * np.float32(SH_C0) + np.float32(0.5)
    found: dict[Key, str] = {}
    given = {(row.level, row.label): row.name for row in obj.bgs.labels if not is_automatic(row.name, row.automatic)}
    for level in range(1, table.layout.levels + 1):
        ids, of_code = np.unique(table.labels(level), return_inverse=True)
        of = of_code.reshape(-1)[table.inverse]
        taken = {name for (one, _), name in given.items() if one == level}
        names = label_names(means, scales, base[:, 3], colors, of, len(ids), up, taken)
        found.update(((level, int(label)), name) for label, name in zip(ids, names, strict=True))
    changed: dict[Key, str] = {}
    with without_updates():
        for row in obj.bgs.labels:
            key = row.level, row.label
            if not found[key]:  # one of very many
                continue
            row.automatic = found[key]
            if key not in given and row.name != row.automatic:
                row.name = changed[key] = row.automatic
    names_of_objects.rename_objects(obj, changed)
    save_to_run.save_names(obj)  # it tells the label objects too
    return len(changed), len(given)


class BGS_OT_name_labels(NeedsLabels, bpy.types.Operator):
    """Name labels by what they look like, such as "small red box, left". Names that you gave stay."""

    bl_idname = "bgs.name_labels"
    bl_label = "Name Labels"
    in_edit_mode = True

    def work(self, context: Context) -> str:
        changed, kept = name_labels(need_splat(context))
        text = f"{counted(changed, 'new name')}"
        return f"{text}. {counted(kept, 'name')} of yours {'stays' if kept == 1 else 'stay'}" if kept else text


CLASSES = (BGS_OT_name_labels,)
