"""Merges label objects back into one cloud. Unchanged parts come back bit for bit; transforms are baked."""

import numpy as np
from bgs_engine.core.errors import UsageError

from ..cloud import appearance, code_tables, labels, point_clouds
from ..cloud.typed import SplatObject
from ..logic import attributes as at
from ..logic.transforms import change_since_import, transform_rows
from . import label_objects

# These attributes are recomputed for the whole cloud, so they are not merged.
DERIVED = (at.LABEL, at.COLOR, at.RADIUS, at.SELECTED)


def merge_back(whole: SplatObject) -> int:
    """Merge the parts into one cloud in the source file's row order and delete them. Returns the number of Gaussians.

    Edits are kept: deleted Gaussians stay deleted, and transforms of parts are baked. If only some labels had parts,
    the other labels keep the whole cloud's Gaussians.

    Raises:
        UsageError: the cloud has no parts.
    """
    parts = code_tables.parts_of(whole)
    if not parts:
        raise UsageError(f"{whole.name} has no label objects.", "Press Make Collections first.")
    in_objects = point_clouds.get_column(whole.data, at.IN_OBJECTS)
    world = point_clouds.world_of(whole)
    pieces = [_baked(part, world) for part in parts]
    if in_objects is not None:
        pieces.append({c.name: (c.data_type, c.values[~in_objects]) for c in point_clouds.columns(whole.data)})
    names = [name for name in pieces[0] if all(name in piece for piece in pieces)]
    order = np.argsort(np.concatenate([piece[at.ROW][1] for piece in pieces]), kind="stable")
    cloud = point_clouds.new_cloud(whole.data.name, len(order))
    for name in names:
        if name not in DERIVED:
            values = np.concatenate([piece[name][1] for piece in pieces])[order]
            point_clouds.set_column(cloud, at.Column(name, pieces[0][name][0], values))
    for material in whole.data.materials:
        cloud.materials.append(material)
    label_objects.replace_cloud(whole, cloud)
    label_objects.remove_tree(whole)
    labels.list_labels(whole)
    appearance.refresh(whole)
    return len(order)


def _baked(part: SplatObject, world: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    """The part's attributes in the space of the whole cloud: name → (data type, values)."""
    out = {c.name: (c.data_type, c.values) for c in point_clouds.columns(part.data)}
    change = change_since_import(point_clouds.world_of(part), world)
    if change is None:
        return out
    # `transform_rows` works on PLY rows, so the attributes are converted to rows first.
    layout = at.PlyLayout(tuple((n, "<f4") for n, _ in part.bgs.ply_layout.properties if at.is_standard(n)))
    rows = at.rows_from(lambda name: out[name][1] if name in out else None, layout, len(part.data.points))
    rows = transform_rows(rows, change)
    rest = layout.rest
    raw_scale = _side_by_side(rows, [f"scale_{k}" for k in range(3)])
    raw_rotation = _side_by_side(rows, [f"rot_{k}" for k in range(4)])
    out[at.POSITION] = ("FLOAT_VECTOR", _side_by_side(rows, ["x", "y", "z"]))
    out[at.RAW_SCALE] = ("FLOAT_VECTOR", raw_scale)
    out[at.SCALE] = ("FLOAT_VECTOR", at.activate_scale(raw_scale))
    out[at.RAW_ROTATION] = ("FLOAT_COLOR", raw_rotation)
    out[at.ROTATION] = ("QUATERNION", at.activate_rotation(raw_rotation))
    for k in range(rest):
        names = [f"f_rest_{k + channel * rest}" for channel in range(3)]
        out[f"radiance:sh_{k}"] = ("FLOAT_VECTOR", _side_by_side(rows, names))
    return out


def _side_by_side(rows: np.ndarray, names: list[str]) -> np.ndarray:
    return np.stack([rows[name] for name in names], axis=1)
