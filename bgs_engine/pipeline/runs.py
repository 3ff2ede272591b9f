"""From a dataset with masks to a run folder, and from a bare splat to the same.

Reads top to bottom: open, associate, train, write, draw. Every stage is reported; nothing is moved into place before
it is whole.
"""

import hashlib
import json
import logging
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import bgs_engine
from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import EnvironmentLacksError, InputError, UsageError
from bgs_engine.core.events import Reporter, log_to
from bgs_engine.core.files import check_writable, sha256
from bgs_engine.core.label_table import build_label_table
from bgs_engine.devices.choice import Device, resolve
from bgs_engine.io.dataset import Dataset, open_dataset
from bgs_engine.io.gaussians import Gaussians, load_gaussians
from bgs_engine.io.masks import load_level_maps, masked_cameras
from bgs_engine.io.ply import SplatPly, read_ply
from bgs_engine.io.run_folder import finish, open_run, partial_folder, write_run
from bgs_engine.masks.output import announce
from bgs_engine.masks.pipeline import MasksConfig, make_masks
from bgs_engine.output.previews import write_previews
from bgs_engine.pipeline.warm_up import warm_up
from bgs_engine.raster.scene import RasterScene
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.self_test import usable
from bgs_engine.train.start import first_codes, first_features
from bgs_engine.train.steps import make_steps
from bgs_engine.train.trainer import Checkpoint, snap_to_used, train


@dataclass(frozen=True)
class Scene:
    """A splat in the three forms that the stages need."""

    ply: SplatPly
    gaussians: Gaussians
    raster: RasterScene


def load_scene(path: Path, reporter: Reporter) -> Scene:
    """Read a splat; warns of Gaussians that are left out."""
    reporter.stage("Reading scene")
    ply = read_ply(path)
    gaussians = load_gaussians(ply)
    broken = int((~gaussians.valid).sum())
    if broken:
        reporter.warning(f"{broken:,} Gaussians have non-finite values; they take no part and get code 0.")
    reporter.metric("gaussians", len(gaussians))
    return Scene(ply, gaussians, RasterScene.from_gaussians(gaussians))


@contextmanager
def work_folder(out: Path, reporter: Reporter, resume: bool) -> Iterator[Path]:
    """The partial folder of a run: emptied first unless resuming, logged into.

    It stays when the job is cancelled, killed or out of memory (`--resume` goes on), and goes on a mistake of input.
    """
    partial = partial_folder(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file.", "Give a folder for the run with -o.")
    if not resume:
        shutil.rmtree(partial, ignore_errors=True)
    check_writable(partial)
    handler = logging.FileHandler(partial / "engine.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("bgs_engine")
    root.addHandler(handler)

    def log(event: dict[str, Any]) -> None:
        if event["event"] != "progress":
            root.info("%s", " ".join(f"{key}={value}" for key, value in event.items()))

    reporter.sinks.append(log)
    worth_keeping = True
    try:
        with log_to(reporter, partial / "events.jsonl"):
            yield partial
    except (InputError, UsageError, EnvironmentLacksError):
        worth_keeping = resume  # a mistake found before the work began; what an earlier run left stays
        raise
    finally:
        reporter.sinks.remove(log)
        root.removeHandler(handler)
        handler.close()
        if not worth_keeping:
            shutil.rmtree(partial, ignore_errors=True)


def train_run(
    dataset_folder: Path,
    out: Path,
    layout: BitLayout,
    config: TrainConfig,
    reporter: Reporter,
    ply: Path | None = None,
    resume: bool = False,
) -> Path:
    """`bgs train`: a dataset with masks → the run folder `out`.

    Raises:
        InputError: anything wrong with the data, or an output that cannot be written.
        UsageError: settings that contradict the data.
        CancelledError: stopped; a checkpoint is left for `resume`.
    """
    device = resolve(config.device)
    with work_folder(out, reporter, resume) as partial:
        dataset = open_dataset(dataset_folder, ply, reporter)
        scene = load_scene(dataset.scene, reporter)
        _train_into(partial, scene, dataset, layout, config, device, reporter)
    return _deliver(out, reporter)


def segment_run(
    ply: Path,
    out: Path,
    layout: BitLayout,
    config: TrainConfig,
    masks: Callable[[], MasksConfig],
    reporter: Reporter,
    dataset_folder: Path | None = None,
    view_count: int = 20,
    resume: bool = False,
) -> Path:
    """`bgs segment`: a splat, with photos and poses or alone → the run folder `out`.

    Views and masks that are missing are made first, inside the run folder, where they stay for a second look.
    `masks` is asked for its settings only then: its model may have to be fetched.
    """
    device = resolve(config.device)  # asked before the masks are made, which takes minutes
    with work_folder(out, reporter, resume) as partial:
        scene = load_scene(ply, reporter)
        if dataset_folder is None:
            dataset_folder = partial / "dataset"
            if not (dataset_folder / "transforms.json").is_file():
                from bgs_engine.views import ViewsConfig, make_views

                make_views(ply, dataset_folder, ViewsConfig(count=view_count, seed=config.seed), reporter)
        dataset = open_dataset(dataset_folder, ply, reporter)
        if not dataset.mask_levels:
            make_masks(dataset, replace(masks(), levels=layout.levels), reporter, scene.raster)
            if not dataset_folder.is_relative_to(partial):  # what is made inside the run is announced where it ends up
                announce(dataset_folder, reporter)
            dataset = open_dataset(dataset_folder, ply)
        _train_into(partial, scene, dataset, layout, config, device, reporter)
    return _deliver(out, reporter)


def _deliver(out: Path, reporter: Reporter) -> Path:
    """Move the finished run into place and say what is there."""
    finish(out)
    for folder in (out / "dataset" / "preview", out / "preview"):
        for picture in sorted(folder.glob("*.png")):
            reporter.artifact("preview", picture)
    reporter.artifact("run", out)
    return out


def _train_into(
    folder: Path,
    scene: Scene,
    dataset: Dataset,
    layout: BitLayout,
    config: TrainConfig,
    device: Device,
    reporter: Reporter,
) -> None:
    cameras = masked_cameras(dataset, reporter)
    if len(dataset.mask_levels) > layout.levels:
        reporter.warning(
            f"The dataset has {len(dataset.mask_levels)} mask levels; the {layout.levels} coarsest are used."
        )
    used = replace(dataset, mask_levels=dataset.mask_levels[: layout.levels])

    def level_maps(number: int) -> np.ndarray:
        return load_level_maps(used, cameras[number])

    warm_up(reporter)
    device = usable(device, config.device, reporter)
    reporter.metric("device", device.choice)
    first, association = first_codes(
        scene.raster, scene.ply.count, cameras, level_maps, layout, config, device, reporter
    )
    features = first_features(first, len(scene.raster), layout, config)
    mask_codes = None
    if config.objective == "association":
        assert association is not None
        mask_codes = association.mask_children
    steps = make_steps(device, scene.raster, cameras, features, level_maps, layout, config, mask_codes, reporter)
    source = sha256(scene.ply.path)
    checkpoint = Checkpoint(
        folder / "checkpoint.npz", config.checkpoint_seconds, _fingerprint(source, layout, config, device, cameras)
    )
    train(steps, len(cameras), config, checkpoint, reporter)

    reporter.stage("Writing")
    features = steps.features
    if first is None:
        codes, confidence = layout.from_features(features), np.abs(features * 2 - 1).mean(1)
    else:
        codes = snap_to_used(features, first, layout)
        confidence = np.abs(features * 2 - 1).mean(1) if association is None else association.confidence_of(codes)
    _write(
        folder, scene, layout, config, device, codes, steps.opacities, confidence, source, dataset, cameras, reporter
    )
    checkpoint.path.unlink(missing_ok=True)  # type: ignore[union-attr]


def _fingerprint(source: str, layout: BitLayout, config: TrainConfig, device: Device, cameras: list[Camera]) -> str:
    kept = {k: v for k, v in asdict(config).items() if k not in ("cache_gb", "checkpoint_seconds", "device")}
    facts = [
        source,
        layout.level_bits,
        kept,
        device.choice,
        [(c.name, c.width, c.height, c.viewmat.tolist()) for c in cameras],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _write(
    folder: Path,
    scene: Scene,
    layout: BitLayout,
    config: TrainConfig,
    device: Device,
    codes: np.ndarray,
    opacities: np.ndarray,
    confidence: np.ndarray,
    source: str,
    dataset: Dataset,
    cameras: list[Camera],
    reporter: Reporter,
) -> None:
    to_file = scene.raster.to_file_order
    in_file = to_file(codes)
    table = build_label_table(
        layout,
        in_file,
        scene.gaussians.means,
        scene.gaussians.opacities,
        scene.gaussians.base_colors,
        to_file(confidence.astype(np.float32)),
    )
    for level, labels in enumerate(table.levels, 1):
        reporter.metric(f"labels_level_{level}", len(labels))
    info = {
        "source": {"path": str(scene.ply.path), "sha256": source, "gaussians": scene.ply.count},
        "left_out": int((~scene.gaussians.valid).sum()),
        "dataset": _dataset_place(dataset.folder, folder),
        "views": len(cameras),
        "configuration": asdict(config),
        "seed": config.seed,
        "device": device.choice,
        "versions": versions() | device.versions,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "timings": reporter.timings,
        "warnings": reporter.warnings,
        "metrics": reporter.metrics,
    }
    write_run(folder, scene.ply, in_file, to_file(opacities), table, info, to_file(confidence.astype(np.float32)))
    write_previews(open_run(folder), scene.raster, cameras, folder / "preview", reporter)


def _dataset_place(dataset: Path, run: Path) -> str:
    """Relative to the run folder where the dataset is part of it (the run folder is moved when done), else absolute."""
    dataset, run = dataset.resolve(), run.resolve()
    return dataset.relative_to(run).as_posix() if dataset.is_relative_to(run) else str(dataset)


def versions() -> dict[str, str]:
    """Versions worth knowing when two runs differ."""
    import numba
    import torch

    return {
        "bgs_engine": bgs_engine.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "torch": torch.__version__,
    }
