"""Opens the splats that a headless command works on."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import bpy
from bgs_engine.core.errors import EnvironmentLacksError, InputError, UsageError

from ..cloud import code_tables, point_clouds
from ..cloud.typed import SplatObject, SplatScene
from ..engine.blocking import say
from ..files import by_engine, importer
from ..files.blend_file import open_blend


def scene() -> SplatScene:
    """The scene of the open file."""
    return cast(SplatScene, bpy.context.scene)


def fresh(path: Path, config: importer.ImportConfig) -> SplatObject:
    """Import into an empty scene, because Blender's default cube, lamp and camera do not belong in the result.

    Raises:
        InputError: the file is no splat.
        EnvironmentLacksError: only the engine can read it, and there is none.
    """
    bpy.data.batch_remove([*bpy.data.objects, *bpy.data.pointclouds, *bpy.data.collections])
    obj = _imported(path, config)
    bpy.context.view_layer.objects.active = obj
    obj.select_set(True)
    bpy.context.view_layer.update()
    return obj


def _imported(path: Path, config: importer.ImportConfig) -> SplatObject:
    try:
        return importer.import_splat(scene(), path, config, warn=say)
    except EnvironmentLacksError:
        pass
    made, remove = by_engine.temporary_file("scene.ply")
    found: list[SplatObject] = []

    def finish() -> str:
        found.append(importer.import_splat(scene(), made, config, say, origin=path))
        return ""

    by_engine.convert(f"Import {path.name}", path, made, finish, remove, True)
    return found[0]


def open_splats(options: argparse.Namespace) -> list[SplatObject]:
    """The splats of `options.scene`: the imported one, or those of a .blend that `--splat` names, by default all.

    Raises:
        InputError: the file cannot be read, or has no splat.
        UsageError: it has no splat with a name that `--splat` gives.
    """
    path: Path = options.scene
    if path.suffix.lower() != ".blend":
        wholes = [fresh(path, importer.ImportConfig(up_axis=options.up))]
    else:
        open_blend(path)
        bpy.context.view_layer.update()
        wholes = wholes_of_file()
        if not options.splat:
            _refuse_missing(path, bpy.data.objects)
    if not wholes:
        raise InputError(f"{path.name} has no splat.", "Import a splat first.")
    found = chosen(wholes, options.splat or (), path)
    _refuse_missing(path, found)
    return found


def _refuse_missing(path: Path, objects: Iterable[bpy.types.Object]) -> None:
    """Raise `InputError` where objects or their points are in another .blend that is not there: it may be a splat."""
    for obj in objects:
        lost = next((one for one in (obj, obj.data) if one is not None and one.is_missing), None)
        if lost is not None:
            place = lost.library.filepath if lost.library else "another file"
            raise InputError(
                f"{path.name} has {obj.name} from {place}, which cannot be read.",
                "Put that file back, or choose splats with --splat.",
            )


def wholes_of_file() -> list[SplatObject]:
    """The splats of the open file, sorted by name. A label object without its whole cloud counts as a splat.

    An object that is in no scene does not count: nobody sees it, and the next opening of the file drops it.
    """
    splats = [obj for obj in bpy.data.objects if point_clouds.is_splat(obj) and obj.bgs.whole is None]
    there = [o for o in splats if o.users_scene or any(part.users_scene for part in code_tables.parts_of(o))]
    return sorted(there, key=lambda obj: obj.name)


def chosen(wholes: Sequence[SplatObject], names: Sequence[str], path: Path) -> list[SplatObject]:
    """The splats with these names, all if there are no names.

    Raises:
        UsageError: no splat has one of the names.
    """
    for name in names:
        if name not in {obj.name for obj in wholes}:
            have = ", ".join(obj.name for obj in wholes)
            raise UsageError(f"{path.name} has no splat named '{name}'.", f"It has: {have}.")
    return [obj for obj in wholes if not names or obj.name in names]


def labelled(wholes: Sequence[SplatObject], level: int, labels: Sequence[int] | None) -> list[SplatObject]:
    """Those of the splats that have labels. The others are named.

    Args:
        wholes: the chosen splats.
        level: it must exist in every one of them.
        labels: the labels that the user chose. Their numbers mean something within one splat only.

    Raises:
        UsageError: none has labels, one lacks the level, or labels of several splats were chosen.
    """
    without = [obj.name for obj in wholes if not obj.bgs.level_bits]
    found = [obj for obj in wholes if obj.bgs.level_bits]
    if not found:
        raise UsageError(f"{', '.join(without)} has no labels.", "Segment it first.")
    if labels and len(found) > 1:
        have = ", ".join(obj.name for obj in found)
        raise UsageError("--label means labels of one splat.", f"Choose the splat with --splat: {have}.")
    for obj in found:
        code_tables.bit_layout_of(obj).bits_to(level)
    if without:
        say(f"left out, because without labels: {', '.join(without)}")
    return found


def read_files(options: argparse.Namespace, wholes: Sequence[SplatObject]) -> list[Path]:
    """The files that must not be written over: what the command reads, and what the splats came from."""
    sources = [obj.bgs.source_file for obj in wholes]
    return [options.scene, *(path for path in sources if path is not None)]
