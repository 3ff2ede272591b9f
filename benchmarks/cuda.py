"""The CUDA backend's speed: steps and their stages, label frames, votes, a whole training; gsplat beside it if present.

    python benchmarks/cuda.py --save                                    a made room at 0.5M, 1M and 3M Gaussians
    python benchmarks/cuda.py --dataset SCENE_DIR --truth SCENE_DIR/gt  also a whole training, with its accuracy
    python benchmarks/cuda.py --device warp-cpu --small                 a smoke run on Warp's CPU device, figures void

`--save` keeps the table in benchmarks/results/cuda.txt. Stages are timed with the host waiting after each; the step's
own time is that of many steps with one wait at the end, as in training.
"""

import argparse
import gc
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bgs_engine.associate.device_votes import collect_votes_on
from bgs_engine.associate.mask_children import MaskChildren
from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import BgsError
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device, resolve
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.made_scenes import SceneConfig, make_scene
from bgs_engine.output.evaluate import as_table, evaluate_run
from bgs_engine.pipeline.runs import train_run
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.warp import wp
from bgs_engine.raster.warp.compiled import load_kernels
from bgs_engine.raster.warp.label_maps import DeviceLabelRenderer
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.device_steps import DeviceSteps
from bgs_engine.train.measure import StageTimer

RESULTS = Path(__file__).parent / "results"
LAYOUT = BitLayout()
ROOM = np.array([6.0, 2.6, 5.0])  # metres: width, height, depth
BOXES = 40  # pieces of furniture


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "warp-cpu"))
    parser.add_argument("--small", action="store_true", help="a few thousand Gaussians and steps, to see it work")
    parser.add_argument("--counts", type=int, nargs="+", help="Gaussians of the made rooms")
    parser.add_argument("--views", type=int, help="views of the made rooms")
    parser.add_argument("--dataset", type=Path, help="train on this dataset; --small makes one")
    parser.add_argument("--truth", type=Path, help="its truth, for the accuracy")
    parser.add_argument("--iterations", type=int, help="of the whole training; by default what suits the objective")
    parser.add_argument("--kernels", action="store_true", help="also the time of each kernel of a step and a frame")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    small = options.small
    size = (160, 120) if small else (1000, 750)
    counts = options.counts or ([2_000] if small else [500_000, 1_000_000, 3_000_000])
    views, steps = options.views or (4 if small else 200), 4 if small else 300
    try:
        device = resolve(options.device)
    except BgsError as error:
        raise SystemExit(str(error)) from None
    report = Report(RESULTS / "cuda.txt" if options.save else None)
    report.add([f"{platform.machine()}, {device.why}; warp-lang {wp.__version__}; {views} views {size[0]}x{size[1]}"])
    report.add([f"kernels loaded or compiled in {timed(lambda: list(load_kernels(device.name))):.1f} s"])
    for count in counts:
        scene, cameras = made_room(count, views, size)
        report.add([f"made room, {count:,} Gaussians"])
        sections = [step_lines, label_lines, vote_lines, *([kernel_lines] if options.kernels else []), gsplat_lines]
        for section in sections:
            report.add(f"  {line}" for line in section(device, scene, cameras, steps))
    report.add(training_lines(device, options.dataset, options.truth, options.iterations, small))


class Report:
    """Lines that are printed, and kept in a file, as soon as they are known: a lent card can go before the end."""

    def __init__(self, file: Path | None) -> None:
        self.lines: list[str] = []
        self.file = file
        self.last = file.read_text(encoding="utf-8").splitlines() if file and file.exists() else []

    def add(self, lines: Iterable[str]) -> None:
        """Print and keep the lines one by one; the first says what differs from the last kept results."""
        for line in lines:
            if not self.lines and self.last and self.last[0] != line:
                print(f"The last kept results are from: {self.last[0]}", flush=True)
            print(line, flush=True)
            self.lines.append(line)
            if self.file:
                self.file.write_text("\n".join(self.lines) + "\n", encoding="utf-8")


def made_room(count: int, views: int, size: tuple[int, int]) -> tuple[RasterScene, list[Camera]]:
    """Flat discs on the inside of a room and on boxes standing in it, and cameras on an ellipse that look across."""
    rng = np.random.default_rng(0)
    low = np.vstack([-ROOM / 2, np.column_stack([rng.uniform(-2.6, 2.2, BOXES), np.full(BOXES, -ROOM[1] / 2),
                                                 rng.uniform(-2.1, 1.7, BOXES)])])  # fmt: skip
    sides = np.vstack([ROOM, rng.uniform(0.2, 0.8, (BOXES, 3))])
    areas = np.stack([sides[:, (a + 1) % 3] * sides[:, (a + 2) % 3] for a in range(3)], 1).repeat(2, 1)  # [B, 6]
    face = rng.choice(areas.size, count, p=areas.ravel() / areas.sum())
    box, axis, far = face // 6, face % 6 // 2, face % 2
    unit = rng.random((count, 3))
    unit[np.arange(count), axis] = far
    means = low[box] + unit * sides[box]
    radius = np.sqrt(areas.sum() / count) * rng.uniform(0.5, 1.2, (count, 1))
    scales = np.repeat(radius, 3, 1)
    scales[np.arange(count), axis] = radius[:, 0] * 0.05
    quats = np.repeat([[1.0, 0, 0, 0]], count, 0)
    opacities = rng.beta(4, 1.5, count).clip(0.01, 0.99)
    fields = [field.astype(np.float32) for field in (means, quats, scales, opacities)]
    gaussians = Gaussians(fields[0], fields[1], fields[2], fields[3], None, np.ones(count, bool))
    angles = np.linspace(0, 2 * np.pi, views, endpoint=False)
    focal = 0.7 * size[0]
    cameras = []
    for number, angle in enumerate(angles):
        eye = np.array([2.0 * np.cos(angle), 0.4, 1.6 * np.sin(angle)])
        viewmat = look_at(eye, np.array([0.0, -0.4, 0.0]), np.array([0.0, 1.0, 0.0]))
        cameras.append(Camera(f"v{number}", *size, focal, focal, size[0] / 2, size[1] / 2, viewmat))
    return RasterScene.from_gaussians(gaussians), cameras


def block_maps(camera: Camera) -> np.ndarray:
    """Nested label maps int32 [3, H, W]: blocks in blocks in blocks, the finest 40 across."""
    ys, xs = np.mgrid[0 : camera.height, 0 : camera.width]
    edge = camera.width // 40
    return np.stack([(ys // s) * 1000 + xs // s + 1 for s in (edge * 10, edge * 5, edge)]).astype(np.int32)


def step_lines(device: Device, scene: RasterScene, cameras: list[Camera], count: int) -> Iterator[str]:
    """A step and its stages for both objectives, what a view costs once, and the memory."""
    for _, steps, config in both_objectives(device, scene, cameras):
        yield from objective_lines(device, steps, config, len(cameras), count)
        del steps  # else the next objective's peak of memory counts both; its parts refer to each other
        gc.collect()


def both_objectives(
    device: Device, scene: RasterScene, cameras: list[Camera]
) -> Iterator[tuple[str, DeviceSteps, TrainConfig]]:
    """(Name, fresh steps, their settings) of each objective."""
    maps, rng = block_maps(cameras[0]), np.random.default_rng(0)
    features = rng.random((len(scene), LAYOUT.total), np.float32)
    children = MaskChildren(
        tuple(
            {(c, int(i)): int(i) % (1 << bits) for c in range(len(cameras)) for i in np.unique(level)}
            for level, bits in zip(maps, LAYOUT.level_bits, strict=True)
        )
    )
    views = MaskedViews(scene, cameras, lambda _: maps, LAYOUT)
    for objective, mask_children in (("association", children), ("contrastive", None)):
        config = training(objective, len(scene) < 10_000)
        yield objective, DeviceSteps(device.name, views, features, mask_children, config, print_warning), config


def objective_lines(device: Device, steps: DeviceSteps, config: TrainConfig, views: int, count: int) -> Iterator[str]:
    """The lines of one objective."""
    wait = waiter(device)
    first = timed(lambda: take_all(steps, config, range(views)), wait)
    held = min(views, steps.memory().held)  # the last ones; views that were pushed out are not timed
    visits = [views - held + k % held for k in range(count)]
    seconds = timed(lambda: take_all(steps, config, visits), wait)
    steps.timer = StageTimer(wait)
    take_all(steps, config, visits[:60])
    listed = ", ".join(f"{name} {statistics.median(each) * 1e3:.2f}" for name, each in steps.timer.seconds.items())
    yield f"{config.objective}: {seconds / count * 1e3:.2f} ms a step, view held; each alone, ms: {listed}"
    yield f"  first visit of a view, index and lists and step: {first / views * 1e3:.1f} ms"
    memory = steps.memory()
    kept = (memory.views + memory.pixels) / 1e9
    yield (
        f"  device memory: {memory.fixed / 1e9:.2f} GB fixed, {kept:.2f} GB for {held} of {views} views"
        f"{peak(device)}; steps left out: {steps.model.settle()}"
    )


def take_all(steps: DeviceSteps, config: TrainConfig, numbers: Iterable[int]) -> None:
    """One training step on each of the views `numbers`."""
    for step, number in enumerate(numbers):
        steps.take(number, np.random.default_rng(step), config.first_feature_rate, config.opacity_rate)


def gsplat_lines(device: Device, scene: RasterScene, cameras: list[Camera], count: int) -> Iterator[str]:
    """The same work by gsplat: a whole picture of 32 channels, torch's autograd, dense fused Adam."""
    from bgs_engine.devices.gsplat import check_gsplat
    from bgs_engine.train.gsplat_model import GsplatModel

    try:
        check_gsplat()
    except BgsError as error:
        yield f"gsplat: not measured. {error}"
        return
    import torch

    rng = np.random.default_rng(0)
    model = GsplatModel(scene, cameras[:20], rng.random((len(scene), LAYOUT.total), np.float32), int(4e9))
    features = torch.tensor(model.features, device="cuda", requires_grad=True)
    logits = torch.tensor(model.state()["logits"], device="cuda", requires_grad=True)
    adam = torch.optim.Adam([{"params": [features], "lr": 0.005}, {"params": [logits], "lr": 0.001}], fused=True)

    def step(number: int) -> None:
        picture = model.rasterize(number, features, torch.sigmoid(logits))
        ((picture - 0.5) ** 2).mean().backward()
        adam.step()
        adam.zero_grad(set_to_none=True)

    def render(number: int) -> None:
        with torch.no_grad():
            model.rasterize(number, features, torch.sigmoid(logits))

    for number in range(20):
        step(number)
    for name, what in (("step", step), ("32-channel picture only", render)):
        seconds = timed(lambda what=what: [what(k % 20) for k in range(count)], torch.cuda.synchronize)  # type: ignore[misc]
        yield f"gsplat, lists held, {name}: {seconds / count * 1e3:.2f} ms"


def label_lines(device: Device, scene: RasterScene, cameras: list[Camera], count: int) -> Iterator[str]:
    """Label frames a second: a moving camera with projection and sorting, and a fixed view with its lists held."""
    # 200 segments, each a stretch of the scene's Morton order: neighbours share their code, as in a segmented scene.
    codes = (np.arange(len(scene)) * 200 // len(scene) * 21474836).astype(np.uint32).view(np.int32)
    wait = waiter(device)
    path = [cameras[k % len(cameras)] for k in range(count)]

    def frames(renderer: DeviceLabelRenderer) -> tuple[float, float]:
        for camera in cameras[:3]:  # the buffers find their size
            renderer.label_map(camera)
        moving = timed(lambda: [renderer.render(camera) for camera in path], wait)
        lists = renderer.lists(cameras[0])
        return moving, timed(lambda: [renderer.draw(lists) for _ in range(count)], wait)

    for tile in (8, 16):
        moving, fixed = frames(DeviceLabelRenderer(scene, codes, scene.opacities, LAYOUT.total, device.name, tile))
        yield f"labels, tiles of {tile}: {count / moving:,.0f} frames/s moving, {count / fixed:,.0f} fixed view"


def kernel_lines(device: Device, scene: RasterScene, cameras: list[Camera], count: int) -> Iterator[str]:
    """Microseconds on the card of each kernel of a step of both objectives, and of a label frame."""
    codes = (np.arange(len(scene)) * 200 // len(scene) * 21474836).astype(np.uint32).view(np.int32)
    renderer = DeviceLabelRenderer(scene, codes, scene.opacities, LAYOUT.total, device.name)
    renderer.label_map(cameras[0])
    todo: dict[str, Callable[[], object]] = {"frame": lambda: renderer.render(cameras[0])}
    for objective, steps, config in both_objectives(device, scene, cameras[:2]):
        take_all(steps, config, range(2))
        todo[objective] = lambda steps=steps, config=config: take_all(steps, config, [1])  # type: ignore[misc]
    for name, what in todo.items():
        what()
        wp.timing_begin(cuda_filter=wp.TIMING_ALL)
        for _ in range(10):
            what()
        total: dict[str, float] = {}
        for result in wp.timing_end():
            total[result.name] = total.get(result.name, 0) + result.elapsed * 100
        yield f"{name}, microseconds: {sum(total.values()):.0f}"
        yield from (f"  {value:6.0f} {kernel}" for kernel, value in sorted(total.items(), key=lambda item: -item[1]))


def vote_lines(device: Device, scene: RasterScene, cameras: list[Camera], count: int) -> Iterator[str]:
    """Association's votes of up to 60 views."""
    chosen, maps = cameras[:60], block_maps(cameras[0])
    views = MaskedViews(scene, chosen, lambda _: maps, LAYOUT)
    seconds = timed(lambda: collect_votes_on(device.name, views, Reporter()), waiter(device))
    yield f"votes of {len(chosen)} views: {seconds:.2f} s"


def training_lines(
    device: Device, dataset: Path | None, truth: Path | None, iterations: int | None, small: bool
) -> Iterator[str]:
    """Whole runs of both objectives with stages and, where the truth is known, accuracy."""
    with tempfile.TemporaryDirectory() as scratch:
        if dataset is None and small:
            dataset, iterations = Path(scratch) / "scene", 100
            make_scene(dataset, SceneConfig(gaussians=6_000, views=6, test_views=2, size=(120, 90)), Reporter())
            truth = dataset / "gt"
        if dataset is None:
            yield "whole training: not measured, no --dataset given"
            return
        choice = "warp-cpu" if device.name == "cpu" else "cuda"
        for objective in ("association", "contrastive"):
            reporter = Reporter()
            config = replace(training(objective, small), device=choice, iterations=iterations)
            out = Path(scratch) / objective
            started = time.perf_counter()
            train_run(dataset, out, LAYOUT, config, reporter)
            seconds = time.perf_counter() - started
            steps = "its own number of" if iterations is None else f"{iterations:,}"
            yield f"{dataset.name}, {objective}, {steps} steps: {seconds:.1f} s from reading to written run"
            yield from (f"  {stage}: {value:.1f} s" for stage, value in reporter.timings.items())
            if truth:
                yield as_table(evaluate_run(out, truth, Reporter()))


def training(objective: str, small: bool) -> TrainConfig:
    """The default settings; with a tenth of the pixels where only the script itself is tried."""
    config = TrainConfig(objective=objective)
    return replace(config, uniform_pixels=200, balanced_pixels=800, balanced_masks=16) if small else config


def timed(function: Callable[[], object], wait: Callable[[], None] = lambda: None) -> float:
    """Seconds of one call, waiting before and after."""
    wait()
    started = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - started


def waiter(device: Device) -> Callable[[], None]:
    """Waits for everything that was launched."""
    return lambda: wp.synchronize_device(device.name)


def peak(device: Device) -> str:
    """Most memory that Warp's pool ever held, where there is a pool."""
    if not wp.get_device(device.name).is_cuda or not wp.is_mempool_enabled(device.name):
        return ""
    return f", peak of the pool {wp.get_mempool_used_mem_high(device.name) / 1e9:.2f} GB"


def print_warning(text: str) -> None:
    """A warning belongs into the log, not into the table."""
    print(f"warning: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
