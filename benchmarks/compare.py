"""The engine beside its peers: same scenes, masks, rasteriser and judge, in one table.

    python benchmarks/compare.py --work FOLDER [--cases room-1 ...] [--dataset SCENE_DIR ...] [--rows ours saga ...]
                                 [--save]

Cases are those of benchmarks/accuracy.py; a dataset brings its truth in SCENE_DIR/gt. Columns beyond accuracy's:
seconds from reading to labels for all three levels (ours also writes its run folder and previews); bytes that a
Gaussian keeps for the three levels; frames a second, label maps of one level in the held-out views, projection and
sorting included (ours draws all levels in that one frame). Every method is judged by the maps that it draws itself and
by its own label of each Gaussian. `--save` keeps the table in benchmarks/results/peers.txt.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import HEAD, RESULTS, as_line, as_row, shared_labels
from benchmarks.accuracy_cases import all_cases
from benchmarks.peers.flashsplat_like import flashsplat_like
from benchmarks.peers.grouping_like import grouping_like
from benchmarks.peers.ids import associated, tracked
from benchmarks.peers.saga_like import saga_like
from benchmarks.peers.scene import LEVELS, Partition, PeerScene, load
from benchmarks.peers.warm_up import warm_up_peers
from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import resolve
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.run_folder import open_run
from bgs_engine.io.transforms import read_transforms
from bgs_engine.output.evaluate import evaluate_run, score_classes
from bgs_engine.pipeline.runs import train_run
from bgs_engine.pipeline.warm_up import warm_up
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.label_maps import label_renderer
from bgs_engine.raster.scene import RasterScene
from bgs_engine.train.config import TrainConfig

CASES = ("room-1", "crowded-1", "repeated-1")
OUR_BYTES = 4 + 4  # the code, and the opacity that is tuned in a copy


@dataclass(frozen=True)
class Scene:
    """What is measured on: a dataset with its truth in gt/."""

    name: str
    folder: Path
    level_bits: tuple[int, ...]


OURS: dict[str, TrainConfig] = {
    "ours": TrainConfig(device="cpu"),
    "ours, association alone": TrainConfig(device="cpu", iterations=0),
}
Peer = Callable[[PeerScene, tuple[int, ...]], Partition]
PEERS: dict[str, Peer] = {
    "flashsplat, tracked ids": lambda scene, bits: flashsplat_like(scene, tracked(scene)),
    "flashsplat, our ids": lambda scene, bits: flashsplat_like(scene, associated(scene, bits, Reporter())),
    "grouping, tracked ids": lambda scene, bits: grouping_like(scene, tracked(scene)),
    "grouping, our ids": lambda scene, bits: grouping_like(scene, associated(scene, bits, Reporter())),
    "saga": lambda scene, bits: saga_like(scene),
}


def main() -> None:
    """Run what was asked for and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the made scenes")
    parser.add_argument("--cases", nargs="*", default=CASES, help="names of benchmarks/accuracy.py's cases")
    parser.add_argument("--dataset", type=Path, nargs="*", default=[], help="more scenes, each with its truth in gt/")
    parser.add_argument("--rows", nargs="+", default=[""], help="methods, by the start of their name; all by default")
    parser.add_argument("--save", action="store_true", help="keep the table in benchmarks/results/peers.txt")
    options = parser.parse_args()
    scenes = [Scene(c.name, c.folder(options.work), c.level_bits) for c in all_cases(None) if c.name in options.cases]
    scenes += [Scene(folder.name, folder, BitLayout().level_bits) for folder in options.dataset]
    names = [name for name in (*OURS, *PEERS) if name.startswith(tuple(options.rows))]
    warm_up(Reporter())
    warm_up_peers()
    text = ""
    for line in table(scenes, names):
        text += line + "\n"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    if options.save:
        (RESULTS / "peers.txt").write_text(text, encoding="utf-8")


def table(scenes: list[Scene], names: list[str]) -> Iterator[str]:
    """Lines: the machine, a head, one for each scene and method, the mean of each method."""
    yield f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start"
    yield f"{HEAD}{'bytes':>7}{'frames/s':>10}{'classes 1/2/3':>20}"
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for scene in scenes:
        for name in names:
            rows[name].append(ours(scene, OURS[name]) if name in OURS else peer(scene, PEERS[name]))
            yield _line(f"{scene.name}: {name}", rows[name][-1])
    if len(scenes) > 1:
        for name in names:
            yield _line(f"MEAN: {name}", {key: np.mean([row[key] for row in rows[name]], 0) for key in rows[name][0]})


def ours(scene: Scene, config: TrainConfig) -> dict[str, Any]:
    """A row of the engine itself."""
    layout, truth = BitLayout(scene.level_bits), scene.folder / "gt"
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        folder = train_run(scene.folder, Path(scratch) / "run", layout, config, Reporter())
        seconds = time.perf_counter() - started
        run = open_run(folder)
        gaussians = load_gaussians(run.ply, colors=False)
        raster = RasterScene.from_gaussians(gaussians)
        codes, opacities = raster.from_file_order(run.codes), raster.from_file_order(run.opacities)
        draw = label_renderer(resolve("cpu"), raster, codes, opacities, layout.total)
        labels = [layout.labels(run.codes, level) for level in range(1, LEVELS + 1)]
        shared = shared_labels(labels, gaussians.opacities, truth / "labels.npz")
        row = as_row(evaluate_run(folder, truth, Reporter()), shared, seconds)
    classes = [len(np.unique(own)) for own in labels]
    return _wider(row, OUR_BYTES, frames_a_second([draw], _held_out(scene)), classes)


def peer(scene: Scene, method: Peer) -> dict[str, Any]:
    """A row of a peer."""
    truth = scene.folder / "gt"
    started = time.perf_counter()
    data = load(scene.folder)
    found = method(data, scene.level_bits)
    seconds = time.perf_counter() - started
    builder = ViewBuilder(data.raster)

    def maps(camera: Camera) -> list[np.ndarray]:
        view = builder.build(camera)
        return [found.draw(view, level).astype(np.int64).ravel() for level in range(1, LEVELS + 1)]

    opacities = data.gaussians.opacities
    labels = [data.raster.to_file_order(own, -1) for own in found.labels]
    scores = score_classes(data.raster, opacities, maps, labels, truth, Reporter())
    row = as_row(scores, shared_labels(labels, opacities, truth / "labels.npz"), seconds)
    draws = [partial(_frame, builder, found, level) for level in range(1, LEVELS + 1)]
    return _wider(row, found.bytes_per_gaussian, frames_a_second(draws, _held_out(scene)), found.classes)


def _frame(builder: ViewBuilder, found: Partition, level: int, camera: Camera) -> np.ndarray:
    return found.draw(builder.build(camera), level)


def frames_a_second(draws: Sequence[Callable[[Camera], np.ndarray]], cameras: list[Camera]) -> float:
    """From the median time of a frame, over all cameras and all of `draws`, each seen once before."""
    times = []
    for draw in draws:
        draw(cameras[0])
        for camera in cameras:
            started = time.perf_counter()
            draw(camera)
            times.append(time.perf_counter() - started)
    return 1 / statistics.median(times)


def _held_out(scene: Scene) -> list[Camera]:
    return read_transforms(scene.folder / "gt" / "transforms_test.json")[0]


def _wider(row: dict[str, Any], size: int, frames: float, classes: Any) -> dict[str, Any]:
    return {**row, "bytes": size, "frames": frames, "classes": np.array(classes)}


def _line(name: str, row: dict[str, Any]) -> str:
    classes = " / ".join(f"{value:.0f}" for value in row["classes"])
    return f"{as_line(name, row)}{row['bytes']:>7.0f}{row['frames']:>10.1f}{classes:>20}"


if __name__ == "__main__":
    main()
