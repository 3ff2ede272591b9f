"""From a dataset with masks to a run folder, and from a bare splat to a run folder.

Every stage is reported. A run is made in a partial folder, which is moved into place when it is complete.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.core import disk
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import OutputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import cannot_write, sha256
from bgs_engine.core.view_counts import SEGMENT_VIEWS
from bgs_engine.devices.choice import Device, resolve
from bgs_engine.formats.read import file_of
from bgs_engine.io.dataset import Dataset, find_levels, open_dataset
from bgs_engine.io.dataset_files import complete_dataset
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.masks import load_level_maps, masked_cameras, shared_level_bits
from bgs_engine.io.output_place import checked_run_place
from bgs_engine.io.run_folder import finish, run_id_of
from bgs_engine.masks.output import announce
from bgs_engine.masks.pipeline import MasksConfig, make_masks, open_mask_model
from bgs_engine.pipeline.keeping import KeptLabels, labels_to_keep
from bgs_engine.pipeline.rendered_views import VIEWS_FOLDER, render_views, useful_views
from bgs_engine.pipeline.room import check_room, room_for_run, room_for_views
from bgs_engine.pipeline.scene import Scene, load_scene
from bgs_engine.pipeline.stages import stages_of_segment, stages_of_training
from bgs_engine.pipeline.warm_up import warm_up
from bgs_engine.pipeline.work_folder import work_folder
from bgs_engine.pipeline.write import RESULT_FILES, RunFacts, write_segmentation
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.result import segmentation_of
from bgs_engine.train.self_test import usable
from bgs_engine.train.start import training_start
from bgs_engine.train.steps import make_steps
from bgs_engine.train.trainer import Checkpoint, save_checkpoint, train
from bgs_engine.views import ViewsConfig
from bgs_engine.views.alignment import aligned

NOT_IN_CHECKPOINT = ("cache_gb", "checkpoint_seconds", "device")  # settings that a resumed run may change


def train_run(
    dataset_folder: Path,
    out: Path,
    layout: BitLayout | None,
    config: TrainConfig,
    reporter: Reporter,
    ply: Path | None = None,
    resume: bool = False,
    trust_cameras: bool = False,
    keep: Path | None = None,
) -> Path:
    """`bgs train`: make the run folder `out` from a dataset with masks; returns its path without links.

    Args:
        dataset_folder: images, poses and masks.
        out: the run folder to write.
        layout: the bits of each level; None: what the masks need, or those of `keep`.
        config: settings of the training.
        reporter: told of everything.
        ply: the splat, if it is not in the dataset folder.
        resume: go on from the checkpoint of a stopped run.
        trust_cameras: do not compare the photos with the splat.
        keep: a run of the same splat whose mended labels are fixed in this one. It may be the one that is replaced.

    Raises:
        InputError: the data are wrong.
        OutputError: the output cannot be written, or the disk is full. What was made is left for `resume`.
        UsageError: settings that contradict the data, files of the user's in the place of the run, or another job
            that writes there.
        EnvironmentLacksError: the device cannot be used here.
        CancelledError: the user stopped the run. A checkpoint is left for `resume`.
    """
    device, ply = resolve(config.device), file_of(ply) if ply else None
    place = checked_run_place(out, [dataset_folder, *([ply] if ply else [])])
    kept = labels_to_keep(keep, layout, reporter)
    layout = kept.mended.layout if kept and layout is None else layout
    with only_writer(place):
        with work_folder(place, reporter, resume) as partial:
            complete_dataset(dataset_folder)
            reporter.plan(stages_of_training(compared=not trust_cameras))
            dataset = open_dataset(dataset_folder, ply, reporter)
            scene = load_scene(dataset.scene, reporter)
            if kept:
                kept.refuse_other_splat(scene.ply)
            dataset = dataset.moved(scene.gaussians.offset)
            check_room(partial, room_for_run(scene.ply, layout or BitLayout()))
            device = _ready(device, config, reporter)
            if not trust_cameras:
                dataset = aligned(dataset, scene.raster, reporter)
            _train_into(partial, scene, dataset, layout, config, device, kept, reporter)
        return _deliver(place, reporter)


def segment_run(
    ply: Path,
    out: Path,
    layout: BitLayout | None,
    config: TrainConfig,
    masks: MasksConfig,
    reporter: Reporter,
    dataset_folder: Path | None = None,
    view_count: int = SEGMENT_VIEWS,
    resume: bool = False,
    trust_cameras: bool = False,
    keep: Path | None = None,
) -> Path:
    """`bgs segment`: make the run folder `out` from a splat, with photos or without; returns its path.

    Missing views and masks are made first. Rendered views stay in the run folder.

    Args:
        ply: the splat, of any format.
        out: the run folder to write.
        layout: the bits of each level; None: what the masks need, or those of `keep`.
        config: settings of the training.
        masks: settings of the masks, used only where masks are missing.
        reporter: told of everything.
        dataset_folder: photos with poses, and masks if there are any; None: views are rendered.
        view_count: the number of views to render.
        resume: go on from the checkpoint of a stopped run.
        trust_cameras: do not compare the photos with the splat.
        keep: a run of the same splat whose mended labels are fixed in this one. It may be the one that is replaced.

    Raises:
        As `train_run`.
    """
    device, ply = resolve(config.device), file_of(ply)
    place = checked_run_place(out, [ply, *([dataset_folder] if dataset_folder else [])])
    kept = labels_to_keep(keep, layout, reporter)
    layout = kept.mended.layout if kept and layout is None else layout
    views = ViewsConfig(count=view_count, seed=config.seed)
    with only_writer(place):
        with work_folder(place, reporter, resume, lambda partial: useful_views(partial, ply, views)) as partial:
            folder = dataset_folder or partial / VIEWS_FOLDER
            complete_dataset(folder)
            masked = bool(find_levels(folder))
            photos = dataset_folder is not None
            reporter.plan(stages_of_segment(photos=photos, compared=not trust_cameras, masked=masked))
            dataset = open_dataset(folder, ply, reporter) if dataset_folder else None
            scene = load_scene(ply, reporter)
            if kept:
                kept.refuse_other_splat(scene.ply)
            # What the job needs is checked before the views are rendered and the masks are made, which take minutes.
            device = _ready(device, config, reporter)
            settings = replace(masks, levels=layout.levels) if layout else masks
            if dataset_folder is None:  # rendered views show the splat as large as they can
                settings = replace(settings, crops=False)
            if settings.device == "auto":
                settings = replace(settings, device=device.for_torch)
            proposer = None if masked else open_mask_model(settings, reporter)
            pictures = 0 if dataset_folder else room_for_views(views)
            check_room(partial, room_for_run(scene.ply, layout or BitLayout()) + pictures)
            if dataset is None:
                render_views(folder, ply, views, resume, reporter)
                dataset = open_dataset(folder, ply, reporter)
            dataset = dataset.moved(scene.gaussians.offset)
            if dataset_folder and not trust_cameras:
                dataset = aligned(dataset, scene.raster, reporter)
            if not dataset.mask_levels:
                make_masks(dataset, settings, reporter, scene.raster, proposer)
                if not folder.is_relative_to(partial):  # files inside the run are announced in their final place
                    announce(folder, reporter)
                dataset = open_dataset(folder, ply).moved(scene.gaussians.offset).in_frame(dataset.frame_change)
            _train_into(partial, scene, dataset, layout, config, device, kept, reporter)
        return _deliver(place, reporter)


def _ready(device: Device, config: TrainConfig, reporter: Reporter) -> Device:
    """The device of the training, after a test. All kernels are compiled.

    Raises:
        EnvironmentLacksError: the device was asked for and fails.
    """
    warm_up(reporter)
    device = usable(device, config.device, reporter)
    reporter.metric("device", device.choice)
    return device


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
    layout: BitLayout | None,
    config: TrainConfig,
    device: Device,
    kept: KeptLabels | None,
    reporter: Reporter,
) -> None:
    """Associate, train and write: from a dataset with masks to the files of a run in `folder`."""
    views = _masked_views(scene, dataset, layout, reporter)
    facts = RunFacts(scene, sha256(scene.ply.path), dataset, views, config, device, kept)

    start = training_start(views, config, device, reporter)
    steps = make_steps(device, views, start, config, reporter)
    checkpoint_file = folder / "checkpoint.npz"
    checkpoint = _checkpoint(checkpoint_file, facts)
    train(steps, len(views.cameras), config, checkpoint, reporter)

    reporter.stage("Writing")
    try:
        write_segmentation(folder, facts, segmentation_of(steps, start, views.layout), reporter)
    except (OutputError, UsageError):
        for name in RESULT_FILES:  # they are made again, and what they free may do for the checkpoint
            disk.discard(folder / name)
        with suppress(OutputError):
            save_checkpoint(steps, config.steps(len(views.cameras)), checkpoint)
        raise
    try:
        disk.remove_file(checkpoint_file)
    except OSError as error:
        raise cannot_write(checkpoint_file, error) from None


def _masked_views(scene: Scene, dataset: Dataset, layout: BitLayout | None, reporter: Reporter) -> MaskedViews:
    """The views that have masks. Warns where the dataset has more levels than the layout."""
    shared = shared_level_bits(dataset)
    layout = layout or shared or BitLayout()
    cameras = masked_cameras(dataset, reporter)
    if len(dataset.mask_levels) > layout.levels:
        reporter.warning(
            f"The dataset has {len(dataset.mask_levels)} mask levels; the {layout.levels} coarsest are used."
        )
    used = replace(dataset, mask_levels=dataset.mask_levels[: layout.levels])
    return MaskedViews(
        scene.raster, cameras, lambda number: load_level_maps(used, cameras[number]), layout, shared is not None
    )


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
