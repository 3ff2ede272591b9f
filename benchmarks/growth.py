"""How the processor time of each stage of training grows with Gaussians and with views, on made rooms.

    python benchmarks/growth.py [--gaussians 250000 500000 1000000] [--views 25 50 100] [--save]

Gaussians vary at the fewest views, views at the fewest Gaussians. An exponent is the slope of the straight line through
the logarithms: 1 = twice the work for twice the size. Processor time is that of all threads, so that other programs
on the machine change little. Masks have faults, as those of automatic generators have.
"""

import argparse
import os
import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np

from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.made_scenes.cameras import ring_cameras
from bgs_engine.made_scenes.faults import with_faults
from bgs_engine.made_scenes.rooms import furnished_room
from bgs_engine.made_scenes.splat import make_splat
from bgs_engine.made_scenes.truth import TruthMaps
from bgs_engine.pipeline.warm_up import warm_up
from bgs_engine.raster.scene import RasterScene
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.start import training_start
from bgs_engine.train.steps import make_steps

RESULT = Path(__file__).parent / "results" / "growth.txt"
SIZE = (480, 360)
NOISE = 2
CPU = Device("cpu", "", "measured")


class Clock(Reporter):
    """Processor seconds of each stage."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        self._running, self._since = "", 0.0

    def stage(self, name: str) -> None:
        """Begin a stage."""
        self.close()
        self._running = name
        super().stage(name)

    def close(self) -> None:
        """End the last stage."""
        now = time.process_time()
        if self._running:
            self.seconds[self._running] = self.seconds.get(self._running, 0.0) + now - self._since
        self._running, self._since = "", now


def made_views(gaussians: int, views: int) -> MaskedViews:
    """A made room with masks of all views in memory."""
    rng = np.random.default_rng(5)
    room = furnished_room(rng)
    splat = make_splat(room, gaussians, rng)
    fields = (splat.means, splat.quats, splat.scales, splat.opacities)
    means, quats, scales, opacities = (field.astype(np.float32) for field in fields)
    scene = RasterScene.from_gaussians(Gaussians(means, quats, scales, opacities, None, np.ones(gaussians, bool)))
    solid = splat.means[splat.labels[:, 0] > 0]
    cameras = ring_cameras([f"v{k}" for k in range(views)], room, SIZE, solid, 0.0, rng)
    truth = TruthMaps(scene, splat.labels)
    maps = [with_faults(truth.draw(camera), NOISE, rng).astype(np.int32) for camera in cameras]
    return MaskedViews(scene, cameras, lambda number: maps[number], BitLayout())


def measured(views: MaskedViews) -> dict[str, float]:
    """Processor seconds of votes, merging and training with the usual number of steps."""
    clock, config = Clock(), TrainConfig()
    start = training_start(views, config, CPU, clock)
    clock.stage("Training")
    steps = make_steps(CPU, views, start, config, clock)
    count = len(views.cameras)
    for step in range(config.steps(count)):
        rng = np.random.default_rng(step)
        steps.take(step % count, rng, config.first_feature_rate, config.opacity_rate)
    clock.close()
    clock.seconds["Training, a step"] = clock.seconds.pop("Training") / config.steps(count)
    return clock.seconds


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Slope of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def main() -> None:
    """Measure, print as it comes, and save after each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, nargs="+", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--views", type=int, nargs="+", default=[25, 50, 100])
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    warm_up(Reporter())
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        if options.save:
            RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")

    say(f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    say(f"processor seconds of all threads; views of {SIZE[0]}x{SIZE[1]}")
    rows: dict[tuple[int, int], dict[str, float]] = {}
    sizes = [(count, options.views[0]) for count in options.gaussians]
    for count, views in [*sizes, *((options.gaussians[0], number) for number in options.views[1:])]:
        rows[count, views] = measured(made_views(count, views))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        parts = ", ".join(f"{name} {seconds:.3g}" for name, seconds in rows[count, views].items())
        say(f"{count:>9,} Gaussians, {views:>3} views: {parts}; peak so far {peak:.2f} GB")
    for name in rows[sizes[0]]:
        by_size = exponent(options.gaussians, [rows[size][name] for size in sizes])
        counts = [rows[options.gaussians[0], number][name] for number in options.views]
        say(f"{name}: exponent {by_size:.2f} in Gaussians, {exponent(options.views, counts):.2f} in views")


if __name__ == "__main__":
    main()
