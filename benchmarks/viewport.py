"""How fast the splat display is: run inside a Blender with a window and the extension enabled.

    blender -P benchmarks/viewport.py -- --gaussians 1000000 -o viewport.json

A made splat of that many Gaussians, degree 3, is imported and the view turned about it. Measured: upload (attributes
to textures), colours of the level, the sort in its thread, Python's time in a redraw that moves and in one that does
not (calls to the driver apart: a software renderer does its work in them), those calls, and the whole redraw until it
is on the screen; the last two say something only where the card is a real one.
"""

import argparse
import json
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType

import bpy
import numpy as np
from mathutils import Quaternion

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Blender runs this file, and knows nothing of the repository
from tests.helpers import made_splat  # noqa: E402

options = argparse.ArgumentParser()
options.add_argument("--gaussians", type=int, default=1_000_000)
options.add_argument("--frames", type=int, default=24)
options.add_argument("--mesh", action="store_true", help="with a mesh in the scene: its depth is read for every frame")
options.add_argument("-o", "--output", type=Path)
chosen = options.parse_args(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [])
bpy.context.preferences.view.show_splash = False


def extension() -> ModuleType:
    """The package, installed as an extension or beside this file."""
    try:
        import bl_ext.user_default.binary_gaussian_segmentation as found
    except ImportError:
        import blender_bgs as found
    return found


def window() -> bpy.types.Window:
    """The window."""
    return bpy.context.window_manager.windows[0]


def area() -> bpy.types.Area:
    """The 3D view."""
    return max((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.width * a.height)


def draw_now() -> float:
    """One redraw, and the time until it is on the screen."""
    started = time.perf_counter()
    with bpy.context.temp_override(window=window()):
        area().tag_redraw()
        bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
    return time.perf_counter() - started


def made_file() -> Path:
    """A splat of the wanted size, with codes."""
    path = Path(bpy.app.tempdir) / "made.ply"
    rows, codes = made_splat.made_splat(per_object=chosen.gaussians // 4)
    for axis in range(3):  # as dense as a capture of that size, not as blurred as the small one
        rows[f"scale_{axis}"] -= np.log(max(1.0, (chosen.gaussians / 6000) ** (1 / 3)))
    return made_splat.write(path, made_splat.with_codes(rows, codes))


def measure() -> dict[str, float]:
    """Everything, in seconds."""
    import importlib

    name = extension().__name__
    rooms = ("viewport.draw", "viewport.atlas", "viewport.look", "viewport.ordering", "viewport.timing")
    draw, atlases, looks, ordering, timing, importer, first_view = (
        importlib.import_module(f"{name}.{module}") for module in (*rooms, "files.importer", "files.first_view")
    )
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    path = made_file()
    started = time.perf_counter()
    obj = importer.import_splat(bpy.context.scene, path, importer.ImportConfig())
    out = {"gaussians": len(obj.data.points), "import": time.perf_counter() - started}
    first_view.frame(bpy.context.screen or window().screen, obj)
    if chosen.mesh:
        bpy.ops.mesh.primitive_cube_add(size=1)
    out["first redraw"] = draw_now()
    started = time.perf_counter()
    atlas = atlases.build([obj])
    out["upload"] = time.perf_counter() - started
    started = time.perf_counter()
    looks.build(atlas, {obj.session_uid: obj}, None)
    out["colours of the level"] = time.perf_counter() - started
    slab = ordering.Slab(0, len(atlas), (0.3, 0.5, 0.8), 0.0)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        ordering.back_to_front(ordering.Request(atlas.means, (slab,), None))
        times.append(time.perf_counter() - started)
    out["sort, in its thread"] = min(times)
    del atlas
    view = area().spaces.active.region_3d
    python, whole, card = [], [], []
    for _ in range(chosen.frames):
        view.view_rotation = view.view_rotation @ Quaternion((0, 1, 0), 0.02)
        whole.append(draw_now())
        card.append(timing.driver_seconds)
        python.append(draw.display.python_seconds)
    out["Python, moving: median"] = float(np.median(python))
    out["Python, moving: longest"] = float(np.max(python))
    out["driver calls, moving: median"] = float(np.median(card))
    out["whole redraw, moving: median"] = float(np.median(whole))
    while draw.display.sorter.busy:
        time.sleep(0.01)
    draw_now()
    still = []
    for _ in range(chosen.frames):
        draw_now()
        still.append(draw.display.python_seconds)
    values = np.arange(len(draw.display.atlas), dtype=np.float32)
    values = np.resize(values, -(-len(values) // draw.display.atlas.width) * draw.display.atlas.width)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        atlases.texture(values, draw.display.atlas.width, "R32F")
        times.append(time.perf_counter() - started)
    out["upload of an order"] = float(np.median(times))
    out["Python, at rest: median"] = float(np.median(still))
    return out


def run() -> None:
    """Measure, say it, end Blender."""
    import gpu

    try:
        numbers = measure()
        card = f"{gpu.platform.renderer_get()}, {gpu.platform.backend_type_get()}"
        result = {"blender": bpy.app.version_string, "card": card, "mesh": chosen.mesh}
        result |= {k: v if isinstance(v, int) else round(v, 5) for k, v in numbers.items()}
        text = json.dumps(result, indent=1)
        print(text, flush=True)
        if chosen.output:
            chosen.output.write_text(text + "\n")
    except Exception:
        traceback.print_exc()
    bpy.ops.wm.quit_blender()


bpy.app.timers.register(run, first_interval=2.0)
