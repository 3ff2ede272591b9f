"""The headless command `render`: a picture with Cycles."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np
from bgs_engine.core.errors import InputError, UsageError
from mathutils import Vector

from ..cloud import code_tables
from ..cloud.seen import pieces_of
from ..cloud.typed import SplatObject, SplatScene
from ..engine.blocking import say
from ..files import importer
from ..files.blend_file import check_output, reason_of
from .splats import labelled, open_splats, read_files, scene, wholes_of_file

MOST_PIXELS = 65536  # of a side, as in Blender; larger values would be cut without a word
LEAST_PIXELS = 4


def render(options: argparse.Namespace) -> None:
    """Render one picture with Cycles. A scene without a camera gets one that sees the core of the splats.

    Raises:
        UsageError: the size, the samples or the level is not valid.
        InputError: the scene cannot be read, or the picture cannot be written.
    """
    width, height = _size(options.size)
    if options.samples < 1:
        raise UsageError(f"{options.samples} samples make no picture.", "Give 1 or more.")
    wholes = open_splats(options)
    check_output(options.output, read_files(options, wholes), ".png")
    with_labels = labelled(wholes, options.level, None) if options.level is not None else []
    for obj in wholes:
        if obj in with_labels:
            obj.bgs.level, obj.bgs.color_mode = options.level, "LABEL"
        else:
            obj.bgs.color_mode = "COLOR"
    if options.splat:
        _hide_others(wholes)
    now = scene()
    if now.camera is None:
        _add_camera(now, wholes)
    settings = now.render
    settings.engine = "CYCLES"  # type: ignore[assignment]
    settings.resolution_x, settings.resolution_y, settings.resolution_percentage = width, height, 100
    settings.film_transparent = True
    settings.use_file_extension = False
    now.cycles.device, now.cycles.samples = "CPU", options.samples
    now.cycles.use_denoising = False  # Debian's Blender comes without the denoiser
    settings.image_settings.file_format = "PNG"
    _render_to(options.output, settings)
    say(str(options.output))


def _render_to(path: Path, settings: bpy.types.RenderSettings) -> None:
    """Render to a file beside `path` that takes its place when it is whole."""
    partial = path.with_name(f".{path.name}.partial")
    settings.filepath = str(partial.resolve())
    try:
        with contextlib.redirect_stdout(sys.stderr):
            bpy.ops.render.render(write_still=True)
        partial.replace(path)
    except (RuntimeError, OSError) as error:
        raise InputError(f"{path} was not rendered: {reason_of(error)}", "Check the disk.") from None
    finally:
        with contextlib.suppress(OSError):  # the first failure is the one to report
            partial.unlink(missing_ok=True)


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.split("x"))
    except ValueError:
        raise UsageError(f"'{text}' is not a size.", "Write 640x480.") from None
    if not (min(width, height) >= LEAST_PIXELS and max(width, height) <= MOST_PIXELS):
        raise UsageError(f"A picture cannot have {text} pixels.", f"Sides have {LEAST_PIXELS} to {MOST_PIXELS} pixels.")
    return width, height


def _hide_others(wholes: Sequence[SplatObject]) -> None:
    for other in wholes_of_file():
        if other not in wholes:
            for obj in (other, *code_tables.parts_of(other)):
                obj.hide_render = True


def _add_camera(now: SplatScene, wholes: Sequence[SplatObject]) -> None:
    boxes = [importer.world_box(piece.obj) for whole in wholes for piece in pieces_of(whole)]
    if not boxes:
        boxes = [importer.world_box(whole) for whole in wholes]
    low, high = np.min([low for low, _ in boxes], axis=0), np.max([high for _, high in boxes], axis=0)
    center, size = Vector(((low + high) / 2).tolist()), float(((high - low) ** 2).sum() ** 0.5)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.clip_start, camera.data.clip_end = size / 1000, size * 100
    camera.location = center + Vector((0.35, -1.0, 0.4)).normalized() * size * 1.15
    camera.rotation_euler = (center - camera.location).to_track_quat("-Z", "Y").to_euler()
    now.collection.objects.link(camera)
    now.camera = camera
