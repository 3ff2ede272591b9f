"""Training speed on the CPU: a dataset from start to end, and a made scene of a million Gaussians step by step.

    python benchmarks/train.py --dataset SCENE_DIR [--truth SCENE_DIR/gt] [--iterations N] [--save]
    python benchmarks/train.py --million [--views 200] [--save]
    python benchmarks/train.py --million-scene FOLDER [--save]

The last makes a whole scene of a million Gaussians with 100 views in FOLDER, if it is not there yet, and trains on it.

`--save` keeps the table in benchmarks/results/.
"""

import argparse
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.made_scenes import SceneConfig, make_scene
from bgs_engine.made_scenes.cameras import ring_cameras
from bgs_engine.made_scenes.layout import furnished_room
from bgs_engine.made_scenes.splat import make_splat
from bgs_engine.output.evaluate import as_table, evaluate_run
from bgs_engine.pipeline.runs import train_run
from bgs_engine.pipeline.warm_up import warm_up
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.stage_timer import StageTimer
from bgs_engine.train.start import training_start
from bgs_engine.train.steps import make_steps

RESULTS = Path(__file__).parent / "results"
MILLION = 1_000_000
SIZE = (1000, 750)
STEPS = 60


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--iterations", type=int, help="steps; as many as suit the objective by default")
    parser.add_argument("--objective", default=TrainConfig().objective, choices=("association", "contrastive"))
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--million-scene", type=Path, metavar="FOLDER")
    parser.add_argument("--views", type=int, default=40)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    warm_up(Reporter())
    lines = [f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start"]
    name = "train"
    if options.million_scene:
        name, scene = "train_million_scene", options.million_scene
        if not (scene / "gt").is_dir():
            config = SceneConfig(gaussians=MILLION, views=100, test_views=4, size=SIZE, noise=2, seed=5)
            make_scene(scene, config, Reporter())
        lines += dataset_lines(scene, scene / "gt", options.iterations, options.objective)
    if options.dataset:
        name = f"train_{options.objective}"
        lines += dataset_lines(options.dataset, options.truth, options.iterations, options.objective)
    if options.million:
        name = "train_million"
        lines += million_lines(options.views)
    lines.append(f"peak memory of the process: {peak_gb():.2f} GB")
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.save:
        (RESULTS / f"{name}.txt").write_text(text, encoding="utf-8")


def dataset_lines(dataset: Path, truth: Path | None, iterations: int | None, objective: str) -> list[str]:
    """A whole run with its stages and, where the truth is known, its accuracy."""
    reporter = Reporter()
    config = TrainConfig(iterations=iterations, objective=objective)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        run = train_run(dataset, Path(scratch) / "run", BitLayout(), config, reporter)
        seconds = time.perf_counter() - started
        given = "" if iterations is None else f", {iterations} steps"
        lines = [f"{dataset.name}, {objective}{given}: {seconds:.1f} s from reading to written run"]
        lines += [f"  {stage}: {value:.1f} s" for stage, value in reporter.timings.items()]
        if truth:
            lines.append(as_table(evaluate_run(run, truth, Reporter())))
    return lines


def million_lines(views: int) -> list[str]:
    """Stages of a step at a million Gaussians; the cache holds all views."""
    rng = np.random.default_rng(0)
    layout_of_room = furnished_room(rng)
    splat = make_splat(layout_of_room, MILLION, rng)
    fields = (splat.means, splat.quats, splat.scales, splat.opacities)
    means, quats, scales, opacities = (field.astype(np.float32) for field in fields)
    scene = RasterScene.from_gaussians(Gaussians(means, quats, scales, opacities, None, np.ones(MILLION, bool)))
    names = [f"v{k}" for k in range(views)]
    cameras = ring_cameras(names, layout_of_room, SIZE, splat.means[::50], 0.0, rng)
    builder = ViewBuilder(scene)
    build = [timed(lambda c=camera: builder.build(c)) for camera in cameras[:10]]  # type: ignore[misc]
    views_of_room = MaskedViews(scene, cameras, lambda _: blocks(), BitLayout())
    config, cpu = TrainConfig(objective="contrastive"), Device("cpu", "", "measured")
    start = training_start(views_of_room, config, cpu, Reporter())
    steps = make_steps(cpu, views_of_room, start, config, Reporter())
    for step in range(views + STEPS):
        if step == views:  # every view is cached by now
            steps.timer = StageTimer()
        steps.take(step % views, np.random.default_rng(step), config.first_feature_rate, config.opacity_rate)
    assert steps.timer is not None
    medians = {name: statistics.median(values) * 1e3 for name, values in steps.timer.seconds.items()}
    memory = steps.memory()
    of_view = memory.views / memory.held / 1e6  # MB
    return [
        f"made room, {MILLION:,} Gaussians, {views} views {SIZE[0]}x{SIZE[1]}, D = {BitLayout().total}; medians",
        f"  view build: {statistics.median(build) * 1e3:.0f} ms; a view holds {of_view:.1f} MB",
        f"  step, view cached: {sum(medians.values()):.0f} ms",
        *(f"    {name}: {value:.0f} ms" for name, value in medians.items()),
    ]


def blocks() -> np.ndarray:
    """Nested label maps int32 [3, H, W]: blocks in blocks in blocks."""
    ys, xs = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    return np.stack([(ys // s) * (SIZE[0] // s) + xs // s + 1 for s in (250, 125, 25)]).astype(np.int32)


def timed(function: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def peak_gb() -> float:
    """Largest resident size so far."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 1e6 if sys.platform != "darwin" else kib / 1e9


if __name__ == "__main__":
    main()
