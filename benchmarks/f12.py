"""How long Cycles needs for a splat on the processor, and how far the picture is from one with many samples.

    python benchmarks/f12.py SPLAT.ply --samples 1 4 16 --reference 64 -o f12.txt

It needs a Python with the bpy module. Every row is one render of 320x240 pixels, with the seconds on the clock, the
seconds of the processor, and the PSNR to the picture of `--reference` samples without denoising.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import blender_bgs  # noqa: E402
from blender_bgs.cloud import point_clouds  # noqa: E402
from blender_bgs.files import importer  # noqa: E402
from blender_bgs.logic.attributes import BASE, POSITION  # noqa: E402
from blender_bgs.logic.framing import core_box  # noqa: E402

WIDTH, HEIGHT = 320, 240
FOLDER = Path(tempfile.mkdtemp())


def scene_of(path: Path) -> Any:
    """A scene with the splat and a camera that sees its core."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene: Any = bpy.context.scene
    obj = importer.import_splat(scene, path, importer.ImportConfig())
    base = point_clouds.need_column(obj.data, BASE)
    low, high = core_box(point_clouds.need_column(obj.data, POSITION), base[:, 3])
    center = obj.matrix_world @ Vector(((low + high) / 2).tolist())
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera, scene.world = camera, None
    camera.location = center + Vector((1, -1, 0.6)).normalized() * 1.3 * float(np.linalg.norm(high - low))
    camera.rotation_euler = (center - camera.location).to_track_quat("-Z", "Y").to_euler()
    scene.render.engine, scene.cycles.device, scene.cycles.use_adaptive_sampling = "CYCLES", "CPU", False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = WIDTH, HEIGHT, 100
    scene.render.film_transparent = True
    return scene


def rendered(scene: Any, samples: int, **settings: object) -> tuple[np.ndarray, float, float]:
    """The picture, premultiplied [H, W, 3], the seconds on the clock, and those of the processor."""
    scene.cycles.samples, scene.cycles.use_denoising = samples, False
    for name, value in settings.items():
        setattr(scene.cycles, name, value)
    scene.render.filepath = str(FOLDER / "picture.png")
    started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    bpy.ops.render.render(write_still=True)
    clock, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    image = bpy.data.images.load(scene.render.filepath, check_existing=False)
    flat = np.empty(HEIGHT * WIDTH * 4, np.float32)
    image.pixels.foreach_get(flat)
    values = flat.reshape(HEIGHT, WIDTH, 4)
    bpy.data.images.remove(image)
    return values[..., :3] * values[..., 3:], clock, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def main() -> None:
    """Render and print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("splat", type=Path)
    options.add_argument("--samples", type=int, nargs="+", default=[1, 4, 16])
    options.add_argument("--reference", type=int, default=64)
    options.add_argument("-o", "--output", type=Path)
    chosen = options.parse_args()
    blender_bgs.register()
    scene = scene_of(chosen.splat)
    lines = [f"{chosen.splat.name}, {WIDTH}x{HEIGHT}, Blender {bpy.app.version_string}"]
    lines.append(f"{'samples':>8} {'denoised':>9} {'bounces':>8} {'clock s':>8} {'CPU s':>8} {'PSNR dB':>8}")
    reference, *_ = rendered(scene, chosen.reference)
    least = scene.cycles.transparent_max_bounces
    cases: list[tuple[int, dict[str, Any]]] = [(n, {}) for n in chosen.samples]
    cases += [(n, {"use_denoising": True}) for n in chosen.samples]
    cases += [(chosen.samples[-1], {"transparent_max_bounces": 8})]
    for samples, settings in cases:
        picture, clock, processor = rendered(scene, samples, **settings)
        psnr = -10 * np.log10(max(float(((picture - reference) ** 2).mean()), 1e-12))
        bounces, denoised = settings.get("transparent_max_bounces", least), settings.get("use_denoising", False)
        lines.append(f"{samples:8d} {denoised!s:>9} {bounces:8d} {clock:8.1f} {processor:8.1f} {psnr:8.1f}")
    text = "\n".join(lines) + "\n"
    if chosen.output:
        chosen.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
