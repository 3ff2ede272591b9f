"""The masks stage: every image of a dataset → nested label maps and pictures of them.

A mask model gives many overlapping candidates for each image (slow, in parallel, each kept in the cache at once). With
a splat, what the candidates of all views agree on decides (`agreement`). Without one, each image nests its own
candidates, and the sizes of the whole dataset give the limits at which all of them are cut into levels. Between the
passes only the cache holds the candidates, so memory does not grow with the number of images.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import BgsError, CancelledError, InputError, MemoryExhaustedError, OutputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import sha256
from bgs_engine.io.dataset import Dataset
from bgs_engine.io.dataset_files import complete_dataset
from bgs_engine.io.images import read_image
from bgs_engine.io.job_lock import only_writer
from bgs_engine.masks.agreement.stage import agreed
from bgs_engine.masks.automatic import PromptConfig
from bgs_engine.masks.bits import MaskStack
from bgs_engine.masks.cache import CandidateCache, key_of
from bgs_engine.masks.config import MasksConfig
from bgs_engine.masks.levels import check_levels, cut_levels, size_limits
from bgs_engine.masks.nesting import Forest, NestingConfig, build_forest
from bgs_engine.masks.output import check_mask_place, write_results
from bgs_engine.masks.photos import chosen_photos
from bgs_engine.masks.proposer import MaskProposer
from bgs_engine.masks.sizes import node_sizes
from bgs_engine.masks.sources.table import model_from_text
from bgs_engine.masks.where import SceneDepth
from bgs_engine.raster.scene import RasterScene

CACHE_FOLDER = ".bgs-cache/masks"
MAX_WORKERS = 4  # images in work at once; each needs its own activations (about 0.5 GB with SAM-sized encoders)
SOFT_BORDER = 2  # pixels
FRAME_MARGIN = 0.08  # of the side; objects that touch the edge of their picture are recognised less well
POLL = 0.1  # seconds between two looks at whether the user asked to stop
SURE = 0.77  # score of a candidate that one picture alone may trust: SAM's own 0.86 and 0.9 multiplied
PICTURE_LEVELS = 3  # without a splat
LIMIT_QUANTILES = {1: (0.9,), 2: (0.9,), 3: (0.9, 0.65), 4: (0.9, 0.75, 0.5)}  # docs/lab-book.md has the trials


@dataclass
class MasksReport:
    """Counts and figures of a finished masks stage."""

    images: int = 0
    made: int = 0
    reused: int = 0
    skipped: list[str] = field(default_factory=list)  # names of views without usable image or masks
    segments: list[int] = field(default_factory=list)  # per level, summed over the views
    labelled_share: float = 0.0  # of all pixels


def make_masks(
    dataset: Dataset,
    config: MasksConfig,
    reporter: Reporter,
    scene: RasterScene | None = None,
    proposer: MaskProposer | None = None,
) -> MasksReport:
    """Write DATASET/masks/level_1 ... level_L and DATASET/preview/masks_level_l.png.

    Args:
        scene: the splat, through which views are compared. Without it each image decides alone.
        proposer: a ready backend instead of the one that `config.model` names.

    Raises:
        InputError: no image could be used.
        OutputError: the folder cannot be written. Finished images stay in the cache.
        CancelledError: finished images stay in the cache and are not made again.
    """
    if scene is None:
        check_levels(config.levels or PICTURE_LEVELS)
    complete_dataset(dataset.folder)
    check_mask_place(dataset.folder)
    with only_writer(dataset.folder / "masks"):
        return _make_masks(dataset, config, reporter, scene, proposer)


def open_mask_model(config: MasksConfig, reporter: Reporter) -> MaskProposer:
    """The mask model that `config.model` names, ready for use: it may be opened before there are images.

    Raises:
        UsageError: the text names no source.
        InputError: a model or folder cannot be read.
        EnvironmentLacksError: a package or the model is missing.
    """
    reporter.stage("Load mask model")
    prompting = PromptConfig(thoroughness=config.thoroughness, crops=config.crops, batch=config.batch)
    _, threads = _share_processors(config.workers)
    return model_from_text(config.model, prompting, threads, config.device, config.fetch)


def _make_masks(
    dataset: Dataset, config: MasksConfig, reporter: Reporter, scene: RasterScene | None, proposer: MaskProposer | None
) -> MasksReport:
    workers, _ = _share_processors(config.workers)
    if proposer is None:
        proposer = open_mask_model(config, reporter)
    cache = CandidateCache(dataset.folder / CACHE_FOLDER)
    cache.remove_leftovers()
    # Files of masks take no time, so all of them are used.
    asked = chosen_photos(dataset.cameras, config.photos if scene is not None and proposer.crops else 0)
    report = MasksReport(images=len(asked))
    job = _Job(proposer, cache, SceneDepth(scene))
    keys = _find_masks(asked, job, workers, reporter, report)
    cameras = [camera for camera in asked if camera.name in keys]
    nesting = NestingConfig(min_area=config.min_area)

    def candidates(number: int) -> MaskStack:
        return cache.needed(keys[cameras[number].name], cameras[number])

    level_bits = None
    if scene is None:
        maps = _maps_of_pictures(cameras, candidates, config.levels or PICTURE_LEVELS, nesting, reporter)
    else:
        agreement = agreed(scene, cameras, candidates, config.levels, reporter)
        maps, level_bits = agreement.maps, agreement.level_bits
    label_maps = zip(cameras, maps, strict=True)
    written = write_results(dataset, label_maps, len(cameras), level_bits, reporter)
    report.segments = written.segments
    report.labelled_share = written.labelled / max(written.pixels, 1)
    reporter.metric("masks_labelled_share", round(report.labelled_share, 4))
    return report


def _maps_of_pictures(
    cameras: Sequence[Camera],
    candidates: Callable[[int], MaskStack],
    levels: int,
    nesting: NestingConfig,
    reporter: Reporter,
) -> Iterator[np.ndarray]:
    """The level maps of each view, uint16 [L, H, W], from its own candidates that the model is sure of."""
    reporter.stage("Measure segments")

    def forest_of(number: int) -> Forest:
        stack = candidates(number)
        return build_forest(stack.take(np.flatnonzero(stack.scores >= SURE)), nesting)

    numbers = range(len(cameras))
    sizes = [node_sizes(forest_of(k), cameras[k]) for k in reporter.track(numbers, len(numbers))]
    limits = size_limits([found[1:] for found in sizes], LIMIT_QUANTILES[levels])
    for k in numbers:
        yield cut_levels(forest_of(k), sizes[k], limits, levels)


def _share_processors(workers: int) -> tuple[int, int]:
    """(images at once, threads of each): one thread an image wastes least, as long as there are few processors."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = workers or min(MAX_WORKERS, count)
    return workers, max(1, count // workers)


@dataclass(frozen=True)
class _Job:
    """One image's work, run in a worker thread."""

    proposer: MaskProposer
    cache: CandidateCache
    depth: SceneDepth
    stopped: threading.Event = field(default_factory=threading.Event)

    def key(self, camera: Camera) -> str:
        """Name of the cache entry of a view."""
        assert camera.image is not None
        pixels = bytes.fromhex(sha256(camera.image))
        size = f"{camera.width}x{camera.height}"
        geometry = self.depth.key(camera)  # decides where the image is worth asking
        return key_of(pixels, size, self.proposer.key(camera.name), geometry)

    def run(self, camera: Camera, key: str, where: np.ndarray | None) -> None:
        """Propose and keep."""
        assert camera.image is not None
        self.check()
        image = read_image(camera.image, (camera.width, camera.height))
        if where is None or not where.any():
            masks = self.proposer.propose(image, camera.name, self.check, where)
        else:
            whole = slice(0, where.shape[0]), slice(0, where.shape[1])
            box = _frame(where) if self.proposer.crops else whole
            masks = self.proposer.propose(np.ascontiguousarray(image[box]), camera.name, self.check, where[box])
            masks = masks.placed(where.shape[0], where.shape[1], box[0].start, box[1].start)
            # A little wider than what the splat covers by half: soft borders belong to what they border.
            masks = masks.within(ndimage.binary_dilation(where, iterations=SOFT_BORDER))
        self.check()
        self.cache.store(key, masks)

    def check(self) -> None:
        """Raise once the user asked to stop."""
        if self.stopped.is_set():
            raise CancelledError

    def stop(self) -> None:
        """Make all workers return."""
        self.stopped.set()
        self.proposer.stop()


def _frame(where: np.ndarray) -> tuple[slice, slice]:
    """The part of an image with all of `where`, bool [H, W], and a margin; a model sees best what fills its input."""
    sides = []
    for axis, length in enumerate(where.shape):
        used = np.nonzero(where.any(1 - axis))[0]
        margin = max(SOFT_BORDER, round(FRAME_MARGIN * (used[-1] + 1 - used[0])))
        sides.append(slice(max(0, used[0] - margin), min(length, used[-1] + 1 + margin)))
    return sides[0], sides[1]


def _find_masks(
    cameras: Sequence[Camera], job: _Job, workers: int, reporter: Reporter, report: MasksReport
) -> dict[str, str]:
    """Cache keys of all views that have candidates now, by view name."""
    reporter.stage("Find masks")
    keys: dict[str, str] = {}
    problems: list[BgsError] = []
    waiting = []
    for camera in cameras:
        try:
            if camera.image is None:
                raise InputError(f"The view {camera.name} has no image.", "Run bgs views, or add the photos.")
            keys[camera.name] = key = job.key(camera)
            if job.cache.load(key, camera) is None:
                waiting.append(camera)
        except InputError as error:
            _skip(camera, error, keys, problems, reporter, report)
    report.reused = len(cameras) - len(waiting) - len(report.skipped)
    reporter.progress(report.reused, len(cameras))
    for camera, problem in _in_parallel(waiting, keys, job, workers, reporter, report.reused):
        if problem is None:
            report.made += 1
        else:
            _skip(camera, problem, keys, problems, reporter, report)
    if not keys:
        raise problems[0] if problems else InputError("The dataset has no views.", "Run bgs views first.")
    return keys


def _skip(
    camera: Camera,
    error: BgsError,
    keys: dict[str, str],
    problems: list[BgsError],
    reporter: Reporter,
    report: MasksReport,
) -> None:
    """Go on without a view whose image is unusable; the rest of the scene may well do."""
    keys.pop(camera.name, None)
    problems.append(error)
    report.skipped.append(camera.name)
    reporter.warning(f"{camera.name} is left out: {error.message}")


def _in_parallel(
    cameras: list[Camera], keys: dict[str, str], job: _Job, workers: int, reporter: Reporter, done: int
) -> Iterator[tuple[Camera, InputError | None]]:
    """Run the job on every view; yields as they finish, with the error where the image was to blame.

    Depth is rendered and used in this thread alone: Numba's threads allow one caller.
    """
    total = done + len(cameras)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="bgs-masks")
    running: dict[Future[None], Camera] = {}
    following = iter(cameras)
    try:
        while True:
            while len(running) < workers and (camera := next(following, None)) is not None:
                running[pool.submit(job.run, camera, keys[camera.name], job.depth.where(camera))] = camera
            if not running:
                return
            finished, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
            reporter.check()
            for future in finished:
                camera = running.pop(future)
                try:
                    future.result()
                    yield camera, None
                except OutputError:  # the disk is at fault and not the image
                    raise
                except InputError as error:
                    yield camera, error
                except MemoryError:
                    raise MemoryExhaustedError(
                        f"Memory ran out while making the masks of {camera.name}.",
                        "Close other programs, use --workers 1 or smaller images.",
                    ) from None
                done += 1
                reporter.progress(done, total)
    finally:
        if running:
            job.stop()
        pool.shutdown(wait=True, cancel_futures=True)
