# ruff: noqa: E402 - the repository is put on the path first
"""How long the extension keeps Blender waiting: a made splat of degree 3, through a bpy wheel, one figure a line.

    python benchmarks/extension.py [--save] [--rows 1000000] [--rows 3000000 ...] [--repeats 5] [--no-objects]

Run it with a Python that has a bpy wheel (`python build.py test` makes .venv-bpy-VERSION). Times are wall clock on the
main thread, best of the repeats (other programs only ever add); memory is the process's peak resident size. "Codes
arrive" is what happens when a segmentation of this splat is done: a thread reads and sorts the run folder, then the
main thread is called once per step, and each of these calls is timed by itself. The file is warm in the disk cache.
"Select" figures are whole operators on 500 labels of level 2, with 2,520 rows in the list: what Blender does around
them counts too. "First" ones measure all labels, and are for the first press after a change of labels.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="bgs-blender-"))  # not the user's own

import bpy
import numpy as np

import blender_bgs
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.label_table import build_label_table
from bgs_engine.io.ply import read_ply, write_ply
from bgs_engine.io.ply_rows import plain_dtype
from bgs_engine.io.run_folder import finish, partial_folder, write_run
from blender_bgs.cloud import code_tables, label_selection, labels, point_clouds
from blender_bgs.cloud.typed import SplatObject
from blender_bgs.engine import segmenting

RESULTS = Path(__file__).parent / "results" / "extension.txt"
COARSE, FINE = 20, 10  # labels of level 1, and children of each: 200 labels at level 2
# What issue and design ask of 1,000,000 Gaussians, milliseconds.
SELECT_LIMIT = 100  # milliseconds; the figures that begin with "select" and are no first ones
LIMITS = {"import": 3000, "level switch": 150, "codes arrive, longest call": 100, "200 collections": 3000}


def make_scene(folder: Path, rows: int) -> None:
    """A splat of `rows` Gaussians x 62 floats, and a run folder of it with 20 x 10 x 1 labels."""
    rng = np.random.default_rng(0)
    table = np.zeros(rows, plain_dtype())
    for name in table.dtype.names or ():
        table[name] = rng.random(rows, np.float32) * (0.2 if name.startswith("f_") else 1)
    table["opacity"] = rng.random(rows, np.float32) * 4
    for axis in range(3):
        table[f"scale_{axis}"] -= 5
    scene = folder / "made.ply"
    write_ply(scene, table.dtype, iter([table]), rows)
    layout = BitLayout()
    codes = layout.pack([rng.integers(0, COARSE, rows), rng.integers(0, FINE, rows), np.zeros(rows, np.int64)])
    means = np.stack([table[axis] for axis in "xyz"], axis=1)
    ones, grey = np.ones(rows, np.float32), np.full((rows, 3), 0.5, np.float32)
    run = folder / "made_bgs"
    names = build_label_table(layout, codes, means, ones, grey)
    write_run(partial_folder(run), read_ply(scene), codes, ones, names, {"source": str(scene)})
    finish(run)


def show_level(level: int) -> None:
    """Colour the splat by the labels of a level."""
    splat().bgs.level = level


def timed(work: Callable[[], object]) -> float:
    """Wall-clock milliseconds of one call."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def peak() -> float:
    """Peak resident size of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def splat() -> SplatObject:
    """The whole cloud."""
    return next(o for o in bpy.data.objects if point_clouds.is_splat(o) and o.bgs.whole is None)


def empty() -> None:
    """No objects, no clouds."""
    bpy.data.batch_remove([*bpy.data.objects, *bpy.data.pointclouds, *bpy.data.collections])
    code_tables.forget()


def measure(folder: Path, rows: int, repeats: int, objects: bool) -> dict[str, float]:
    """Every figure of one size: milliseconds, and memory in GB under names that say so."""
    command = [sys.executable, __file__, "--rows", rows, "--make", folder]  # its memory is not ours
    subprocess.run([str(part) for part in command], check=True)
    scene, run = folder / "made.ply", folder / "made_bgs"
    before, out = peak(), {}
    times = []
    for _ in range(repeats):
        empty()
        times.append(timed(lambda: bpy.ops.bgs.import_splat(filepath=str(scene))))
        if len(times) == 1:
            out["GB after import"] = peak()
            out["of these, GB before"] = before
    out["import"] = min(times)
    snapshot = segmenting.snapshot_of(splat(), in_order=False)
    out["codes arrive, thread"] = min(timed(lambda: segmenting.read_answer(run, snapshot)) for _ in range(repeats))
    calls: dict[str, list[float]] = {}
    for _ in range(repeats):
        empty()
        bpy.ops.bgs.import_splat(filepath=str(scene))
        bpy.ops.ed.undo_push(message="before")
        answer = segmenting.read_answer(run, segmenting.snapshot_of(splat(), in_order=False))
        for name, step in segmenting.steps_of(splat(), answer):
            calls.setdefault(name, []).append(timed(step))
        calls.setdefault("undo step", []).append(timed(lambda: bpy.ops.ed.undo_push(message="Segment")))
    out |= {f"codes arrive, {name}": min(spent) for name, spent in calls.items()}
    out["codes arrive, longest call"] = max(min(spent) for spent in calls.values())
    levels = [timed(partial(show_level, level)) for level in (2, 1, 3) * repeats]
    out["level switch"] = min(levels)
    out["level switch, median"] = float(np.median(levels))
    out |= selecting(repeats)
    if not objects:
        return out | {"GB in the end": peak()}
    segmenting.apply_answer(splat(), segmenting.read_answer(run, segmenting.snapshot_of(splat(), in_order=False)))
    made, shown, merged = [], [], []
    for _ in range(max(2, repeats // 2)):
        splat().bgs.level = 2
        made.append(timed(lambda: bpy.ops.bgs.make_collections()))
        assert len(code_tables.parts_of(splat())) == COARSE * FINE
        shown += [timed(partial(show_level, level)) for level in (1, 2)]
        merged.append(timed(lambda: bpy.ops.bgs.merge_back()))
    out["200 collections"], out["level switch of 200 objects"], out["merge back"] = map(min, (made, shown, merged))
    target = folder / "out.ply"
    out["export"] = min(timed(lambda: bpy.ops.bgs.export_splat(filepath=str(target), what="WHOLE", codes=False))
                        for _ in range(2))  # fmt: skip
    assert target.read_bytes() == scene.read_bytes(), "an untouched splat came out changed"
    out["GB in the end"] = peak()
    return out


def selecting(repeats: int) -> dict[str, float]:
    """Milliseconds of the operators that select, on 20 x 25 x 4 labels in the cells of a grid."""
    obj, layout = splat(), BitLayout()
    position = point_clouds.need_column(obj.data, "position")
    low, high = position.min(0), position.max(0)
    x, y, z = (((position - low) / (high - low) * 0.999999) * np.array([20, 25, 4])).astype(np.int64).T
    labels.attach(obj, layout.pack([x, y, z]), layout)
    obj.bgs.level = 2
    obj.bgs.label_index = next(i for i, row in enumerate(obj.bgs.labels) if row.level == 2)
    out = {}
    by = bpy.ops.bgs.select_by_condition
    out["select by size, first"] = timed(lambda: by(kind="SIZE"))
    out["select by touching, first"] = timed(lambda: by(kind="TOUCHING"))
    for kind in ("SIZE", "COLOR", "HEIGHT", "BOX", "SPHERE", "VISIBILITY", "TOUCHING", "ABOVE"):
        out[f"select by {kind.lower()}"] = min(timed(lambda: by(kind=kind)) for _ in range(repeats))  # noqa: B023
    label_selection.select_labels(obj, [(2, obj.bgs.active_label().label)])
    bpy.ops.bgs.save_set(name="one")
    rest = {
        "select set": lambda: bpy.ops.bgs.select_set(),
        "select set, subtract": lambda: bpy.ops.bgs.select_set(mode="SUB"),
        "select by name": lambda: bpy.ops.bgs.select_by_name(text="2_0"),
        "select grown to neighbours": lambda: bpy.ops.bgs.grow_to_neighbours(),
        "select similar, first": lambda: bpy.ops.bgs.select_similar(),
    }
    for name, work in rest.items():
        spent = []
        for _ in range(1 if "first" in name else repeats):
            label_selection.select_labels(obj, [(2, obj.bgs.active_label().label)])
            spent.append(timed(work))
        out[name] = min(spent)
    label_selection.select_labels(obj, [(2, obj.bgs.active_label().label)])
    out["select similar"] = timed(lambda: bpy.ops.bgs.select_similar())
    return out


def limit_of(name: str) -> int | None:
    """The milliseconds that are asked for at 1,000,000 Gaussians, or None."""
    return SELECT_LIMIT if name.startswith("select") and "first" not in name else LIMITS.get(name)


def main() -> None:
    """Measure each size and print, and with --save keep, a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, action="append", help="Gaussians; may be repeated")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", action="store_true", help=f"append to {RESULTS.name}")
    parser.add_argument("--no-objects", action="store_true", help="leave out collections, merging and export")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_scene(options.make, options.rows[0])
        os._exit(0)
    blender_bgs.register()
    lines = []
    for rows in options.rows or [1_000_000]:
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), rows, options.repeats, not options.no_objects)
        lines.append(f"{rows:,} Gaussians x 62 floats, {rows * 248 // 1_000_000} MB; bpy {bpy.app.version_string}, "
                     f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}, "
                     f"{os.cpu_count()} processors; load {load:.1f} before; best of {options.repeats}")  # fmt: skip
        for name, value in found.items():
            asked = limit_of(name)
            limit = f"  (asked: {asked})" if rows == 1_000_000 and asked is not None else ""
            unit = "GB" if "GB" in name else "ms"
            label = name.replace("GB ", "memory ") if unit == "GB" else name
            lines.append(
                f"  {label:<40}{value:>10.2f} GB" if unit == "GB" else f"  {label:<40}{value:>10.1f} ms{limit}"
            )
        lines.append("")
        print("\n".join(lines), flush=True)
    if options.save:
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    blender_bgs.unregister()
    sys.stdout.flush()
    os._exit(0)  # some bpy wheels hang or crash while Python ends


if __name__ == "__main__":
    main()
