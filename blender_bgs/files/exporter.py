"""Exports point clouds as PLY. Rows that were not edited keep their bytes; transforms of objects are baked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bgs_engine.core.codes import CODE_BYTE_NAMES
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.io.ply import CHUNK_ROWS, write_ply
from bgs_engine.io.ply_rows import convert_rows, plain_dtype

from ..cloud import code_tables, point_clouds, shapes
from ..cloud.typed import SplatObject
from ..logic.attributes import CODE, ROW, PlyLayout, rows_from
from ..logic.label_tree import Key
from ..logic.transforms import change_since_import, is_flat, transform_rows


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The options of an export."""

    plain: bool = False  # use the 62-float PLY layout of the first 3DGS release, without other properties and codes
    codes: bool = True  # append seg_0..seg_3 if the cloud has codes and its PLY layout has none
    only: frozenset[Key] = frozenset()  # export only these (level, label); empty means all
    transforms: bool = True  # bake the object's transform since import; else write the space of the source file


def splat_rows(obj: SplatObject, config: ExportConfig, layout: PlyLayout | None = None) -> np.ndarray:
    """The structured PLY rows of one object, in the order of the source file.

    Raises:
        UsageError: `config.only` names labels, but the cloud has none.
        InputError: the shapes cannot follow an edit of the points, or the object is scaled to nothing.
    """
    shapes.make_true(obj)
    cloud = obj.data
    layout = layout or obj.bgs.ply_layout
    if config.codes and cloud.attributes.get(CODE):
        layout = layout.with_codes()
    rows = rows_from(lambda name: point_clouds.get_column(cloud, name), layout, len(cloud.points))
    numbers = point_clouds.get_column(cloud, ROW)
    if config.only:
        table = code_tables.table_of(obj)
        wanted = np.zeros(len(table.unique), bool)
        for level, label in config.only:
            wanted |= table.labels(level) == np.uint32(label)
        keep = wanted[table.inverse]
        rows, numbers = rows[keep], None if numbers is None else numbers[keep]
    if numbers is not None and (np.diff(numbers) < 0).any():
        rows = rows[np.argsort(numbers, kind="stable")]
    if config.transforms:
        change = change_since_import(point_clouds.world_of(obj), obj.bgs.imported_at)
    else:
        change = change_since_import(np.eye(4), shapes.local_of(obj))
    if change is None:
        return rows
    if is_flat(change):
        raise InputError(f"{obj.name} is scaled to nothing in a direction.", "Give it a scale that is not 0.")
    return transform_rows(rows, change)


def export_splats(objects: Sequence[SplatObject], path: Path, config: ExportConfig) -> int:
    """Write the objects to one PLY in the first object's PLY layout. Returns the number of Gaussians.

    The layout gets as many spherical harmonics as any of the objects has, and codes if any has them.

    Raises:
        UsageError: there are no splats, or the chosen labels have no Gaussians.
        InputError: the file cannot be written.
    """
    splats = [obj for obj in objects if point_clouds.is_splat(obj)]
    if not splats:
        raise UsageError("No splat is selected.", "Select the splat objects to export.")
    parts = [splat_rows(obj, config) for obj in splats]
    layout = splats[0].bgs.ply_layout
    dtype = plain_dtype() if config.plain else _widest([rows.dtype for rows in parts])
    count = sum(map(len, parts))
    if not count:
        raise UsageError("The chosen labels have no Gaussians.", "Choose other labels.")

    def chunks() -> Iterator[np.ndarray]:
        for rows in parts:
            for start in range(0, len(rows), CHUNK_ROWS):
                piece = rows[start : start + CHUNK_ROWS]
                yield piece if rows.dtype == dtype else convert_rows(piece, dtype)

    write_ply(Path(path), dtype, chunks(), count, () if config.plain else layout.comments)
    return count


def _widest(dtypes: Sequence[np.dtype]) -> np.dtype:
    """The type of the first rows, with what other rows have of spherical harmonics and codes."""
    layouts = [PlyLayout(tuple((name, dtype[name].str) for name in dtype.names or ())) for dtype in dtypes]
    first, rest = layouts[0], max(layout.rest for layout in layouts)
    if first.rest < rest:
        first = first.with_rest(rest)
    coded = any(CODE_BYTE_NAMES[0] in (dtype.names or ()) for dtype in dtypes)
    return (first.with_codes() if coded else first).dtype
