"""Exports point clouds as splat files. Rows that were not edited keep their bytes; transforms of objects are baked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.label_table import build_label_table
from bgs_engine.formats.format import Format
from bgs_engine.formats.raw_splat import SplatLabels
from bgs_engine.formats.read import PLY
from bgs_engine.formats.write import format_to_write, refuse_target, write_splat
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import CHUNK_ROWS, SplatPly, write_ply
from bgs_engine.io.ply_completed import still_added, without
from bgs_engine.io.ply_rows import convert_rows, plain_dtype
from bgs_engine.io.run_folder import codes_in

from ..cloud import code_tables, light, pivot, point_clouds, shapes
from ..cloud.evaluated_splat import shown
from ..cloud.instances import Instance, instances_in
from ..cloud.seen import pieces_of
from ..cloud.typed import SplatObject
from ..logic.attribute_rows import rows_from
from ..logic.attributes import CODE, IN_OBJECTS, ROW
from ..logic.joined_rows import joined_dtype
from ..logic.label_tree import Key
from ..logic.transforms import change_since_import, is_flat, moved_origin, transform_rows
from . import source
from .named_table import automatic_of, colors_known, colors_of, names_of, set_names

WITHOUT_CODES = ", without codes because the splats use the same labels"


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The options of an export."""

    plain: bool = False  # use the 62-float PLY layout of the first 3DGS release, without other properties and codes
    codes: bool = True  # append seg_0..seg_3 if the cloud has codes and its PLY layout has none
    only: frozenset[Key] = frozenset()  # export only these (level, label); empty means all
    transforms: bool = True  # bake the object's transform since import; else write the space of the source file
    names: bool = False  # write a labels file beside a PLY too; beside other formats it is written in any case


@dataclass(frozen=True)
class SplatRows:
    """Rows of a splat: structured PLY rows [N], their `bgs_row` int32 [N] or None, their codes int32 [N] or None."""

    rows: np.ndarray
    numbers: np.ndarray | None
    codes: np.ndarray | None

    def taken(self, points: np.ndarray) -> "SplatRows":
        """Some of the rows: bool [N], or an order, int [K]."""
        numbers, codes = (None if values is None else values[points] for values in (self.numbers, self.codes))
        return SplatRows(self.rows[points], numbers, codes)

    def in_source_order(self) -> "SplatRows":
        """The rows in the order of the source file."""
        if self.numbers is None or not (np.diff(self.numbers) < 0).any():
            return self
        return self.taken(np.argsort(self.numbers, kind="stable"))


def object_rows(obj: SplatObject, config: ExportConfig) -> SplatRows:
    """The rows of one object, in the order of the source file. Of a whole cloud, its label objects do not count.

    Raises:
        UsageError: `config.only` names labels, but the cloud has none.
        InputError: the shapes cannot follow an edit of the points, or the object is scaled to nothing.
    """
    return piece_rows(obj, config, None).in_source_order()


def seen_rows(whole: SplatObject, config: ExportConfig) -> SplatRows:
    """The rows of a splat as one sees it, in the order of the source file.

    Moved label objects are where they were moved to, and the Gaussians of deleted ones are missing. Hidden labels and
    hidden objects are there. These are the Gaussians that Merge Back would make. Those of instances follow.

    Raises:
        UsageError: `config.only` names labels, but the cloud has none; or all label objects were deleted.
    """
    pieces = pieces_of(whole)
    found = [piece_rows(piece.obj, config, piece.points) for piece in pieces]
    if not found:
        raise UsageError(
            f"All label objects of {whole.name} were deleted, so nothing is left of it.",
            "Export the splat as imported, or show the whole cloud again in the outliner.",
        )
    points = {piece.obj.session_uid: piece.points for piece in pieces}
    copies = [one for one in shown_instances() if one.obj.session_uid in points]
    more = [piece_rows(one.obj, config, points[one.obj.session_uid], one.world) for one in copies]
    return _together([_together(found).in_source_order(), *more])


def shown_instances() -> list[Instance]:
    """The instances of splat objects in the current view layer.

    Those that a splat's own modifiers make are Gaussians of that splat, see `cloud.evaluated_splat`.
    """
    found = instances_in(bpy.context.evaluated_depsgraph_get())
    return [one for one in found if not point_clouds.is_splat(one.parent)]


def _together(parts: Sequence[SplatRows]) -> SplatRows:
    """The rows of several pieces, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    dtype = joined_dtype([part.rows.dtype for part in parts])
    rows = [part.rows if part.rows.dtype == dtype else convert_rows(part.rows, dtype) for part in parts]
    return SplatRows(
        np.concatenate(rows), _joined([part.numbers for part in parts]), _joined([part.codes for part in parts])
    )


def imported_rows(whole: SplatObject, config: ExportConfig) -> SplatRows:
    """The rows of a splat as it was imported, with the present codes.

    Raises:
        UsageError: the splat does not have these Gaussians any more, because edits were merged into it.
    """
    made = object_rows(whole, replace(config, transforms=False, only=frozenset()))
    if not source.are_as_imported(whole, made.rows):
        raise UsageError(
            f"{whole.name} does not have the Gaussians as imported any more, because edits were merged into it.",
            "Import its source file again, or export the splat as seen.",
        )
    return object_rows(whole, replace(config, transforms=False)) if config.only else made


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def export_splats(
    objects: Sequence[SplatObject], path: Path, config: ExportConfig, instances: Sequence[Instance] = ()
) -> int:
    """Write the objects and instances to one PLY, each as it is. Returns the number of Gaussians.

    The layout gets as many spherical harmonics as any of the objects has, and codes if any has them.

    Raises:
        UsageError: there are no splats, or the chosen labels have no Gaussians.
        InputError: the file cannot be written.
    """
    splats = [obj for obj in objects if point_clouds.is_splat(obj)]
    if not splats and not instances:
        raise UsageError("No splat is selected.", "Select the splat objects to export.")
    rows = [object_rows(obj, config).rows for obj in splats]
    rows += [piece_rows(one.obj, config, None, one.world).in_source_order().rows for one in instances]
    return write_rows(rows, [*splats, *(one.obj for one in instances)], path, config)


def export_wholes(wholes: Sequence[SplatObject], path: Path, config: ExportConfig, as_imported: bool = False) -> int:
    """Write whole splats to one PLY, as one sees them or as they were imported. Returns the number of Gaussians.

    Raises:
        UsageError: see `seen_rows` and `imported_rows`; or the chosen labels have no Gaussians.
        InputError: the file cannot be written.
    """
    rows = imported_rows if as_imported else seen_rows
    return write_rows([rows(whole, config).rows for whole in wholes], wholes, path, config)


def write_rows(parts: Sequence[np.ndarray], objects: Sequence[SplatObject], path: Path, config: ExportConfig) -> int:
    """Write the rows `parts` of `objects` to one file, in the format of its ending. Returns the number of Gaussians.

    A PLY has the first object's PLY layout, and what only other objects have: harmonics of a higher degree and
    further properties. A file has no labels if the same label would mean things of different splats, see `codes_clash`.

    Raises:
        UsageError: there are no Gaussians, or the file is the splat of a run, whose labels would not fit it any more.
        InputError: the file cannot be written.
        EnvironmentLacksError: the format needs a package that Blender lacks.
    """
    refuse_target(path, None)
    one = format_to_write(path)
    count = sum(map(len, parts))
    if not count and config.only:
        raise UsageError("The chosen labels have no Gaussians.", "Choose other labels.")
    if not count:
        raise UsageError("There are no Gaussians to export: all were deleted.", "Undo, or choose other objects.")
    dtype = plain_dtype() if config.plain else joined_dtype([p.dtype for p in parts], not codes_clash(objects))
    needless = () if config.plain else _needless(parts, objects)

    def chunks(dtype: np.dtype) -> Iterator[np.ndarray]:
        for rows in parts:
            for start in range(0, len(rows), CHUNK_ROWS):
                piece = rows[start : start + CHUNK_ROWS]
                yield piece if rows.dtype == dtype else convert_rows(piece, dtype)

    comments = dict.fromkeys(line for obj in objects for line in obj.bgs.ply_layout.comments)
    kept = () if config.plain else tuple(comments)
    if one is PLY and not config.names:
        dtype = without(dtype, needless)
        write_ply(Path(path), dtype, chunks(dtype), count, kept)
    else:
        ply = SplatPly.of_rows(path, np.concatenate([*chunks(dtype)]), kept, needless)
        write_splat(path, ply, labels_of_rows(ply, objects) if config.codes else None)
    return count


def labels_of_rows(ply: SplatPly, objects: Sequence[SplatObject]) -> SplatLabels | None:
    """The labels of rows that were made of `objects`, with their names; None if the rows have no codes.

    Labels of several splats have names if these use the same bits.
    """
    codes = codes_in(ply)
    wholes = [one for one in dict.fromkeys(obj.bgs.whole or obj for obj in objects) if one.bgs.level_bits]
    if codes is None or not wholes:
        return None
    layout, splat = code_tables.bit_layout_of(wholes[0]), load_gaussians(ply)
    table = build_label_table(layout, codes, splat.means, splat.opacities, splat.base_colors, offset=splat.offset)
    for whole in wholes:  # no label is in two of them, see `codes_clash`
        set_names(table, names_of(whole), {**colors_known(table), **colors_of(whole)}, automatic_of(whole))
    return SplatLabels(codes, layout, table)


def lost(one: Format) -> str:
    """The end of a sentence about an export: what the format does not keep."""
    return "" if one is PLY else f". As {one.name}. {one.loses}".rstrip(".")


def _needless(parts: Sequence[np.ndarray], objects: Sequence[SplatObject]) -> tuple[str, ...]:
    """Properties that no object's source file has and that say nothing more now."""
    pairs = zip(parts, objects, strict=True)
    found = [still_added(rows, obj.bgs.ply_layout.added) for rows, obj in pairs if len(rows)]
    return tuple(name for name in found[0] if all(name in one for one in found)) if found else ()


def codes_clash(objects: Sequence[SplatObject]) -> bool:
    """Whether objects of different splats share a label, so that codes in one file would mix them up.

    A splat without labels counts as one with the label 0, which is what readers see.
    """
    wholes = list(dict.fromkeys(obj.bgs.whole or obj for obj in objects))
    if len(wholes) < 2 or not any(whole.bgs.level_bits for whole in wholes):
        return False
    if len({whole.bgs.level_bits for whole in wholes if whole.bgs.level_bits}) > 1:
        return True
    used = [
        set(code_tables.table_of(w).labels(1).tolist()) if w.bgs.level_bits and w.data.attributes.get(CODE) else {0}
        for w in wholes
    ]
    return len(set().union(*used)) < sum(map(len, used))


def piece_rows(
    obj: SplatObject, config: ExportConfig, points: np.ndarray | None, world: np.ndarray | None = None
) -> SplatRows:
    """The rows of the chosen points, bool [N] or None for all, in the order of the points.

    `world` [4, 4] is the world matrix of an instance, or None for the object itself.
    """
    if not config.transforms:  # the rows of the source file, so nothing that Blender makes of them counts
        shapes.make_true(obj)
        change = change_since_import(np.eye(4), shapes.local_of(obj))
        return _moved_rows(obj, _data_rows(obj, config, points), change)
    with shown(obj) as now:
        if now.changed and points is not None:  # it was for the points without modifiers
            in_objects = point_clouds.get_column(now.obj.data, IN_OBJECTS)
            points = None if in_objects is None else ~in_objects
        made = _data_rows(now.obj, config, points)
        change = pivot.change_of(now.obj, obj.bgs.imported_at, now.world if world is None else world)
    return _moved_rows(obj, made, change)


def _data_rows(obj: SplatObject, config: ExportConfig, points: np.ndarray | None) -> SplatRows:
    """The rows of the chosen points in the splat space."""
    cloud, layout = obj.data, obj.bgs.ply_layout
    if config.codes and cloud.attributes.get(CODE):
        layout = layout.with_codes()
    rows = rows_from(pivot.getter_of(obj), layout, len(cloud.points))
    if config.transforms:  # as one sees it
        rows = light.with_light(obj, rows)
    made = SplatRows(rows, point_clouds.get_column(cloud, ROW), point_clouds.get_column(cloud, CODE))
    if config.only:
        table = code_tables.table_of(obj)
        wanted = np.zeros(len(table.unique), bool)
        for level, label in config.only:
            wanted |= table.labels(level) == np.uint32(label)
        points = wanted[table.inverse] if points is None else points & wanted[table.inverse]
    return made if points is None else made.taken(points)


def _moved_rows(obj: SplatObject, made: SplatRows, change: np.ndarray | None) -> SplatRows:
    """The rows after a change of the object, [4, 4] in the splat space, or None."""
    if change is None:
        return made
    if is_flat(change):
        raise InputError(f"{obj.name} is scaled to nothing in a direction.", "Give it a scale that is not 0.")
    return replace(made, rows=transform_rows(made.rows, moved_origin(change, obj.bgs.ply_layout.offset)))
