"""From a dataset with masks to a run folder, and from a bare splat to a run folder.

Every stage is reported. A run is made in a partial folder, which is moved into place when it is complete.
"""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import sha256
from bgs_engine.core.view_counts import SEGMENT_VIEWS
from bgs_engine.devices.choice import Device, resolve
from bgs_engine.io.dataset import Dataset, open_dataset
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.masks import load_level_maps, masked_cameras
from bgs_engine.io.output_place import checked_run_place
from bgs_engine.io.run_folder import finish, run_id_of
from bgs_engine.masks.output import announce
from bgs_engine.masks.pipeline import MasksConfig, make_masks
from bgs_engine.masks.sources.table import fetch_model
from bgs_engine.pipeline.scene import Scene, load_scene
from bgs_engine.pipeline.warm_up import warm_up
from bgs_engine.pipeline.work_folder import work_folder
from bgs_engine.pipeline.write import RunFacts, write_segmentation
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.result import segmentation_of
from bgs_engine.train.self_test import usable
from bgs_engine.train.start import training_start
from bgs_engine.train.steps import make_steps
from bgs_engine.train.trainer import Checkpoint, train

NOT_IN_CHECKPOINT = ("cache_gb", "checkpoint_seconds", "device")  # settings that a resumed run may change


def train_run(
    dataset_folder: Path,
    out: Path,
    layout: BitLayout,
    config: TrainConfig,
    reporter: Reporter,
    ply: Path | None = None,
    resume: bool = False,
) -> Path:
    """`bgs train`: make the run folder `out` from a dataset with masks; returns its path without links.

    Args:
        dataset_folder: images, poses and masks.
        out: the run folder to write.
        layout: the bits of each level.
        config: settings of the training.
        reporter: told of everything.
        ply: the splat, if it is not in the dataset folder.
        resume: go on from the checkpoint of a stopped run.

    Raises:
        InputError: the data are wrong, or the output cannot be written.
        UsageError: settings that contradict the data, files of the user's in the place of the run, or another job
            that writes there.
        EnvironmentLacksError: the device cannot be used here.
        CancelledError: the user stopped the run. A checkpoint is left for `resume`.
    """
    device = resolve(config.device)
    place = checked_run_place(out, [dataset_folder, *([ply] if ply else [])])
    with only_writer(place):
        with work_folder(place, reporter, resume) as partial:
            dataset = open_dataset(dataset_folder, ply, reporter)
            scene = load_scene(dataset.scene, reporter)
            _train_into(partial, scene, dataset, layout, config, device, reporter)
        return _deliver(place, reporter)


def segment_run(
    ply: Path,
    out: Path,
    layout: BitLayout,
    config: TrainConfig,
    masks: MasksConfig,
    reporter: Reporter,
    dataset_folder: Path | None = None,
    view_count: int = SEGMENT_VIEWS,
    resume: bool = False,
) -> Path:
    """`bgs segment`: make the run folder `out` from a splat, with photos or without; returns its path.

    Missing views and masks are made first. Rendered views stay in the run folder.

    Args:
        ply: the splat.
        out: the run folder to write.
        layout: the bits of each level.
        config: settings of the training.
        masks: settings of the masks, used only where masks are missing.
        reporter: told of everything.
        dataset_folder: photos with poses, and masks if there are any; None: views are rendered.
        view_count: the number of views to render.
        resume: go on from the checkpoint of a stopped run.

    Raises:
        As `train_run`.
    """
    device = resolve(config.device)  # asked first: making the masks takes minutes
    place = checked_run_place(out, [ply, *([dataset_folder] if dataset_folder else [])])
    with only_writer(place):
        with work_folder(place, reporter, resume) as partial:
            scene = load_scene(ply, reporter)
            rendered = partial / "dataset"
            if dataset_folder is None and not masks.fetch and not (rendered / "transforms.json").is_file():
                fetch_model(masks.model, allowed=False)  # it says what is missing before views are rendered
            folder = dataset_folder or _rendered_views(rendered, ply, view_count, config.seed, reporter)
            dataset = open_dataset(folder, ply, reporter)
            if not dataset.mask_levels:
                settings = replace(masks, levels=layout.levels)
                if settings.device == "auto":
                    settings = replace(settings, device=device.for_torch)
                make_masks(dataset, settings, reporter, scene.raster)
                if not folder.is_relative_to(partial):  # files inside the run are announced in their final place
                    announce(folder, reporter)
                dataset = open_dataset(folder, ply)
            _train_into(partial, scene, dataset, layout, config, device, reporter)
        return _deliver(place, reporter)


def _rendered_views(folder: Path, ply: Path, count: int, seed: int, reporter: Reporter) -> Path:
    """Render views of the splat into `folder`, unless a stopped run has done so; returns `folder`."""
    if not (folder / "transforms.json").is_file():
        from bgs_engine.views import ViewsConfig, make_views

        make_views(ply, folder, ViewsConfig(count=count, seed=seed), reporter)
    return folder


def _deliver(out: Path, reporter: Reporter) -> Path:
    """Move the finished run into place and report its files."""
    with reporter.saving("run"):
        finish(out)
    reporter.deliver(out, run_id_of(out))
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
    """Associate, train and write: from a dataset with masks to the files of a run in `folder`."""
    views = _masked_views(scene, dataset, layout, reporter)
    warm_up(reporter)
    device = usable(device, config.device, reporter)
    reporter.metric("device", device.choice)
    facts = RunFacts(scene, sha256(scene.ply.path), dataset.folder, views, config, device)

    start = training_start(views, config, device, reporter)
    steps = make_steps(device, views, start, config, reporter)
    checkpoint_file = folder / "checkpoint.npz"
    train(steps, len(views.cameras), config, _checkpoint(checkpoint_file, facts), reporter)

    reporter.stage("Writing")
    write_segmentation(folder, facts, segmentation_of(steps, start, layout), reporter)
    checkpoint_file.unlink(missing_ok=True)


def _masked_views(scene: Scene, dataset: Dataset, layout: BitLayout, reporter: Reporter) -> MaskedViews:
    """The views that have masks. Warns where the dataset has more levels than the layout."""
    cameras = masked_cameras(dataset, reporter)
    if len(dataset.mask_levels) > layout.levels:
        reporter.warning(
            f"The dataset has {len(dataset.mask_levels)} mask levels; the {layout.levels} coarsest are used."
        )
    used = replace(dataset, mask_levels=dataset.mask_levels[: layout.levels])
    return MaskedViews(scene.raster, cameras, lambda number: load_level_maps(used, cameras[number]), layout)


def _checkpoint(path: Path, facts: RunFacts) -> Checkpoint:
    """A checkpoint that only a run with the same inputs and settings can continue."""
    config = asdict(facts.config)
    identity = [
        facts.source_sha256,
        facts.views.layout.level_bits,
        {name: value for name, value in config.items() if name not in NOT_IN_CHECKPOINT},
        facts.device.choice,
        [(c.name, c.width, c.height, c.viewmat.tolist()) for c in facts.views.cameras],
    ]
    fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return Checkpoint(path, facts.config.checkpoint_seconds, fingerprint)
