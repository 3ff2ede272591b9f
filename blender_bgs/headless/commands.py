"""The headless commands, one function each. They block, because Blender runs no timers without a window."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import cast

import bpy
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import BgsError, CancelledError, ExitCode, InputError, UsageError
from bgs_engine.core.file_names import safe_names
from mathutils import Vector

from ..cloud import code_tables, point_clouds
from ..cloud.typed import SplatObject, SplatScene
from ..engine import segmenting
from ..engine.blocking import ERRORS, complain, finish, say
from ..engine.job import Job
from ..engine.locate import command, find_engine
from ..engine.segment_config import SegmentConfig
from ..files import importer
from ..files.exporter import ExportConfig, export_splats
from ..interface.operator_base import counted
from ..parts import label_objects


def segment(options: argparse.Namespace) -> None:
    """Segment a splat and save the labelled scene.

    Raises:
        BgsError: the splat or the bits cannot be used, or the engine failed.
    """
    _segment_one(options.scene, options.output, options.run, options)


def batch(options: argparse.Namespace) -> None:
    """Segment every PLY of a folder and print which of them failed.

    Raises:
        InputError: the folder has no PLY.
        CancelledError: the user stopped the command.
        BgsError: at least one splat failed. The kind is that of the last failure.
    """
    scenes = sorted(options.folder.glob("*.ply"))
    if not scenes:
        raise InputError(f"{options.folder} has no .ply file.", "Give the folder that has the splats.")
    failed: list[str] = []
    code = ExitCode.DONE
    for number, scene in enumerate(scenes, 1):
        say(f"{scene.name} ({number} of {len(scenes)})")
        try:
            _segment_one(scene, options.output / f"{scene.stem}.blend", options.output / f"{scene.stem}_bgs", options)
        except CancelledError:
            raise
        except BgsError as error:
            failed.append(scene.name)
            code = error.exit_code
            complain(f"{scene.name}: {error}")
    say(f"{len(scenes) - len(failed)} of {len(scenes)} scenes done")
    if failed:
        raise ERRORS.get(int(code), InputError)(f"Failed: {', '.join(failed)}.", "The reasons are above.")


def _segment_one(scene: Path, blend: Path, run: Path | None, options: argparse.Namespace) -> None:
    BitLayout.parse(options.level_bits)
    obj = _fresh(scene, importer.ImportConfig(up_axis=options.up))
    run = run or blend.with_name(f"{blend.stem}_bgs")
    config = SegmentConfig(
        level_bits=options.level_bits,
        iterations=options.iterations,
        device=options.device,
        dataset=options.dataset,
        views=options.views,
        masks_model=options.masks_model,
        seed=options.seed,
        fetch=bpy.app.online_access,
    )
    python = find_engine(options.engine, "") if options.engine else segmenting.engine_python()
    # A fresh import has exactly the rows of the file, so the engine can read the file itself.
    job = Job(command(python, config.arguments(scene.resolve(), run.resolve())), log=blend.with_suffix(".log"))
    identity = segmenting.delivered_identity(finish(job), run)
    answer = segmenting.read_answer(run, segmenting.snapshot_of(obj, in_order=True), identity)
    found = segmenting.apply_answer(obj, answer)
    say(f"{found} labels at level 1")
    if options.level:
        made = label_objects.make_tree(_scene(), obj, options.level)
        say(f"{counted(len(made), 'object')} at level {options.level}")
    _save(blend)


def import_(options: argparse.Namespace) -> None:
    """Import a splat or a run folder and save it as a .blend."""
    bits = BitLayout.parse(options.level_bits).level_bits
    obj = _fresh(options.scene, importer.ImportConfig(up_axis=options.up, level_bits=bits))
    say(f"{len(obj.data.points):,} Gaussians")
    _save(options.output)


def collections(options: argparse.Namespace) -> None:
    """Make label objects and save the scene."""
    obj = _open(options.scene, options.up)
    made = label_objects.make_tree(_scene(), obj, options.level, options.label)
    say(f"{counted(len(made), 'object')} at level {options.level}")
    _save(options.output)


def export(options: argparse.Namespace) -> None:
    """Write one PLY file for the splat, or with `--level` one for each label.

    Raises:
        UsageError: the chosen labels do not exist, or `--label` comes without `--level`.
    """
    obj = _open(options.scene, options.up)
    codes = not options.plain
    if options.level is None:
        if options.label:
            raise UsageError("--label needs --level.", "Add the level of these labels.")
        count = export_splats([obj], options.output, ExportConfig(plain=options.plain, codes=codes))
        say(f"{count:,} Gaussians")
        return
    chosen = [row for row in obj.bgs.labels if row.level == options.level
              and (not options.label or row.label in options.label)]  # fmt: skip
    if not chosen:
        raise UsageError(f"Level {options.level} has no such labels.", "labels.json in the run folder lists them.")
    for row, name in zip(chosen, safe_names([row.name for row in chosen]), strict=True):
        config = ExportConfig(plain=options.plain, codes=codes, only=frozenset({(row.level, row.label)}))
        export_splats([obj], options.output / f"{name}.ply", config)
    say(f"{counted(len(chosen), 'file')} in {options.output}")


def render(options: argparse.Namespace) -> None:
    """Render one picture with Cycles. A scene without a camera gets one that sees the splat's core.

    Raises:
        UsageError: the size or the level is not valid.
        InputError: the picture cannot be written.
    """
    obj = _open(options.scene, options.up)
    if options.level is not None:
        code_tables.bit_layout_of(obj).bits_to(options.level)
        obj.bgs.level, obj.bgs.color_mode = options.level, "LABEL"
    else:
        obj.bgs.color_mode = "COLOR"
    scene = _scene()
    if scene.camera is None:
        _add_camera(scene, obj)
    try:
        width, height = (int(part) for part in options.size.split("x"))
    except ValueError:
        raise UsageError(f"'{options.size}' is not a size.", "Write 640x480.") from None
    settings = scene.render
    settings.engine = "CYCLES"  # type: ignore[assignment]
    settings.resolution_x, settings.resolution_y, settings.resolution_percentage = width, height, 100
    settings.film_transparent = True
    scene.cycles.device, scene.cycles.samples = "CPU", options.samples
    scene.cycles.use_denoising = False  # Debian's Blender comes without the denoiser
    settings.image_settings.file_format = "PNG"
    options.output.parent.mkdir(parents=True, exist_ok=True)
    settings.filepath = str(options.output.resolve())
    with contextlib.redirect_stdout(sys.stderr):
        bpy.ops.render.render(write_still=True)
    if not options.output.is_file():
        raise InputError(f"{options.output} was not written.", "Choose another folder.")
    say(str(options.output))


def _add_camera(scene: SplatScene, obj: SplatObject) -> None:
    low, high = importer.world_box(obj)
    center, size = Vector(((low + high) / 2).tolist()), float(((high - low) ** 2).sum() ** 0.5)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.clip_start, camera.data.clip_end = size / 1000, size * 100
    camera.location = center + Vector((0.35, -1.0, 0.4)).normalized() * size * 1.15
    camera.rotation_euler = (center - camera.location).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(camera)
    scene.camera = camera


def _scene() -> SplatScene:
    return cast(SplatScene, bpy.context.scene)


def _fresh(path: Path, config: importer.ImportConfig) -> SplatObject:
    """Import into an empty scene, because Blender's default cube, lamp and camera do not belong in the result."""
    bpy.data.batch_remove([*bpy.data.objects, *bpy.data.pointclouds, *bpy.data.collections])
    obj = importer.import_splat(_scene(), path, config)
    bpy.context.view_layer.objects.active = obj
    obj.select_set(True)
    bpy.context.view_layer.update()
    return obj


def _open(path: Path, up: str) -> SplatObject:
    """The first splat of a .blend, or a freshly imported one."""
    if path.suffix != ".blend":
        return _fresh(path, importer.ImportConfig(up_axis=up))
    if not path.is_file():
        raise InputError(f"{path} cannot be read: no such file.", "Check the path.")
    bpy.ops.wm.open_mainfile(filepath=str(path.resolve()))
    wholes = [o for o in bpy.data.objects if point_clouds.is_splat(o) and o.bgs.whole is None]
    if not wholes:
        raise InputError(f"{path.name} has no splat.", "Import a splat first.")
    bpy.context.view_layer.update()
    return wholes[0]


def _save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path.resolve()), compress=True)
    except RuntimeError as error:
        raise InputError(f"{path} cannot be written: {error}.", "Choose another folder.") from None
    say(f"saved {path}")
