"""`bgs views`: renders a dataset from the splat itself."""

import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import bgs_engine
from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.file_set import check_places, replacing
from bgs_engine.core.files import check_writable, read_json, sha256
from bgs_engine.core.input_files import is_file
from bgs_engine.core.view_counts import DATASET_VIEWS
from bgs_engine.formats.read import file_of, open_rows
from bgs_engine.io.dataset import PLY_KEY, UP_KEY
from bgs_engine.io.dataset_files import VIEWS, complete_dataset
from bgs_engine.io.gaussians import Gaussians, load_gaussians
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.pictures import contact_sheet, save_jpg, save_png
from bgs_engine.io.transforms import write_transforms
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.scene import RasterScene
from bgs_engine.views.bulk import MATTER_OPACITY, find_bulk
from bgs_engine.views.choice import TARGETS, VIEWS_WANTED, choose, coverage, try_cameras
from bgs_engine.views.placement import Lens, aimed_cameras, close_cameras, inside_cameras, outside_cameras
from bgs_engine.views.up import given_up, guess_up

ENCLOSED = 0.9  # of the pixels of the median inside view show matter: we are in a room
FIRST_SHARE = 0.75  # of the views are chosen to see what they miss
LOOKS = 3  # at most, for what is missed: each adds some 50 cameras to choose from
PROBE_PLACES = 2  # free places at which to look round and decide between room and object
INSIDE_PLACES = 12
WANTED_COVERAGE = 0.95
VIEW_SHEET_COLUMNS = 8
MADE_FROM_KEY = "bgs_made_from"  # our key in transforms.json, see `identity`


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """Settings of `bgs views`: number of views, picture size, background 0..1, up axis (None: guessed), seed."""

    count: int = DATASET_VIEWS
    size: tuple[int, int] = (640, 480)
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    up: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 10_000 or not all(16 <= side <= 8192 for side in self.size):
            raise UsageError(
                f"{self.count} views of {self.size[0]}x{self.size[1]} pixels cannot be made.",
                "Use 1 to 10000 views of 16 to 8192 pixels a side.",
            )


@dataclass(frozen=True)
class ViewsResult:
    """cameras; up [3]; inside: a room seen from within; and shares of opaque Gaussians that >= 5 of the views see.

    covered: of those that any camera tried sees at all; covered_all: of all, also those buried in matter (the insides
    of things: a fifth of a splat sampled from closed meshes, next to none of a capture).
    """

    cameras: tuple[Camera, ...]
    up: np.ndarray
    inside: bool
    covered: float
    covered_all: float


def make_views(ply_path: Path, out_folder: Path, config: ViewsConfig, reporter: Reporter) -> ViewsResult:
    """Place cameras round (or in) the splat and write images/, transforms.json and preview/views.png.

    The splat is not copied: transforms.json names it (`ply_file_path`), and which way is up (`bgs_up`).

    Raises:
        InputError: the splat cannot be read or holds nothing opaque, or the folder cannot be written.
        EnvironmentLacksError: the splat's format needs a package that is missing.
        UsageError: the folder holds photos or cameras that `bgs views` did not make.
        CancelledError: the user stopped it.
    """
    out_folder = Path(out_folder)
    complete_dataset(out_folder)
    refuse_foreign_dataset(out_folder)
    check_writable(out_folder)
    check_places(out_folder, ("images", "preview"))
    with only_writer(out_folder / VIEWS, called=out_folder):
        return _make_views(file_of(ply_path), out_folder, config, reporter)


def _make_views(ply_path: Path, out_folder: Path, config: ViewsConfig, reporter: Reporter) -> ViewsResult:
    reporter.stage("read splat")
    gaussians = load_gaussians(open_rows(ply_path))
    for sentence in gaussians.oddities:
        reporter.warning(sentence)
    scene = RasterScene.from_gaussians(gaussians)
    result = plan_views(gaussians, scene, config, reporter)
    reporter.metric("views_coverage", round(result.covered, 4))
    reporter.metric("views_coverage_all", round(result.covered_all, 4))
    more = "More views show more (`bgs segment --views`, `bgs views --count`)."
    if len(result.cameras) < VIEWS_WANTED:
        count = "There is 1 view" if len(result.cameras) == 1 else f"There are {len(result.cameras)} views"
        reporter.warning(f"{count}. A label is sure where {VIEWS_WANTED} or more see its Gaussians. {more}")
    elif result.covered < WANTED_COVERAGE:
        reporter.warning(
            f"{result.covered:.0%} of the Gaussians that can be seen are seen by {VIEWS_WANTED} or more of the "
            f"{len(result.cameras)} views. {more}"
        )
    reporter.stage("render views")
    small, images = [], []
    made_from = identity(sha256(ply_path), config)
    shared = {UP_KEY: result.up.tolist(), PLY_KEY: _reference(ply_path, out_folder), MADE_FROM_KEY: made_from}
    with replacing(out_folder, VIEWS) as new:
        new.gone.update(_earlier_images(out_folder))
        for camera in reporter.track(result.cameras, len(result.cameras)):
            picture = render_color(scene, camera, config.background)
            images.append(f"images/{camera.name}.jpg")
            save_jpg(new.folder / images[-1], picture)
            small.append(contact_sheet([picture], 1))
        there = [
            replace(camera.moved(-gaussians.offset), image=new.folder / image)
            for camera, image in zip(result.cameras, images, strict=True)
        ]
        write_transforms(new.folder / "transforms.json", there, shared)
        save_png(new.folder / "preview" / "views.png", contact_sheet(small, VIEW_SHEET_COLUMNS))
    cameras = tuple(replace(c, image=out_folder / Path(c.image).relative_to(new.folder)) for c in there if c.image)
    return replace(result, cameras=cameras)


def identity(source_sha256: str, config: ViewsConfig) -> dict[str, Any]:
    """What views were made from, as transforms.json keeps it: the splat's SHA-256, the settings, the version."""
    return json.loads(json.dumps({"sha256": source_sha256, **asdict(config), "version": bgs_engine.__version__}))


def views_in(folder: Path) -> dict[str, Any] | None:
    """The `identity` of the views in a dataset folder, or None if there are no views of `bgs views`."""
    transforms = folder / "transforms.json"
    info = read_json(transforms) if is_file(transforms) else None
    made_from = info.get(MADE_FROM_KEY) if isinstance(info, dict) else None
    return made_from if isinstance(made_from, dict) else None


def _earlier_images(folder: Path) -> set[str]:
    """Images of the views that an earlier `bgs views` rendered into the folder, relative to it."""
    if not is_file(folder / "transforms.json"):
        return set()
    frames = read_json(folder / "transforms.json").get("frames", ())  # `refuse_foreign_dataset` has looked at it
    files = {str(frame.get("file_path")) for frame in frames if isinstance(frame, dict)}
    return {file for file in files if re.fullmatch(r"images/view_[0-9]+[.]jpg", file)}


def refuse_foreign_dataset(folder: Path) -> None:
    """Raise `UsageError` where `folder` holds a dataset that was not rendered here: its files would be overwritten."""
    transforms = folder / "transforms.json"
    if is_file(transforms):
        info = read_json(transforms)
        if not isinstance(info, dict) or UP_KEY not in info:
            raise UsageError(f"{transforms} was not made by bgs views.", "Choose a new or empty folder with -o.")
        return
    for name in ("images", "sparse", "preview"):
        if (folder / name).is_dir() and any((folder / name).iterdir()):
            raise UsageError(
                f"{folder / name} holds files of another dataset.", "Choose a new or empty folder with -o."
            )


def plan_views(gaussians: Gaussians, scene: RasterScene, config: ViewsConfig, reporter: Reporter) -> ViewsResult:
    """Choose the cameras. Nothing is written.

    Raises:
        InputError: the splat holds nothing opaque, or no camera sees anything.
    """
    reporter.stage("place cameras")
    bulk = find_bulk(gaussians, config.seed)
    up = given_up(config.up) if config.up else guess_up(bulk, config.seed)
    lens = Lens(*config.size)
    targets = matter_rows(gaussians, config.seed)
    solid = gaussians.means[targets].astype(np.float64)
    probes = inside_cameras(bulk, up, lens, solid, PROBE_PLACES)
    trials = try_cameras(scene, probes, targets, bulk.radius, reporter)
    inside = bool(trials) and float(np.median([trial.covered for trial in trials])) >= ENCLOSED
    cameras = inside_cameras(bulk, up, lens, solid, INSIDE_PLACES) if inside else outside_cameras(bulk, up, lens)
    trials = try_cameras(scene, cameras, targets, bulk.radius, reporter)
    if not trials:
        raise InputError(
            "No place was found from which a camera sees this splat.", "Give photos with poses (--dataset) instead."
        )
    near = np.linalg.norm(solid - bulk.center, axis=1) < 2 * bulk.radius
    for look in range(LOOKS):
        _, times = coverage(choose(trials, max(1, round(FIRST_SHARE * config.count))))
        missed = near & (times < VIEWS_WANTED)
        if look > 0:  # what even the cameras aimed at it never showed is buried
            missed &= coverage(trials)[1] > 0
        if not missed.any():
            break
        if inside:
            cameras = aimed_cameras(solid[missed], bulk, up, lens, solid, INSIDE_PLACES)
        else:
            cameras = close_cameras(solid[missed], bulk, up, lens, config.seed + look)
        trials += try_cameras(scene, cameras, targets, bulk.radius, reporter)
        if coverage(trials)[0] >= WANTED_COVERAGE:
            break
    chosen = choose(trials, config.count)
    covered_all, times = coverage(chosen)
    visible = np.any([trial.seen for trial in trials], axis=0)
    covered = float((times[visible] >= VIEWS_WANTED).mean()) if visible.any() else 0.0
    digits = max(3, len(str(len(chosen) - 1)))
    named = tuple(replace(trial.camera, name=f"view_{k:0{digits}d}") for k, trial in enumerate(chosen))
    return ViewsResult(named, up.direction, inside, covered, covered_all)


def matter_rows(gaussians: Gaussians, seed: int) -> np.ndarray:
    """File rows of opaque Gaussians, at most TARGETS of them, drawn at random."""
    solid = np.flatnonzero(gaussians.opacities >= MATTER_OPACITY)
    if not len(solid):
        solid = np.flatnonzero(gaussians.opacities >= gaussians.opacities.max() / 2)
    if len(solid) > TARGETS:
        solid = np.sort(np.random.default_rng(seed).choice(solid, TARGETS, replace=False))
    return solid


def _reference(ply_path: Path, out_folder: Path) -> str:
    """The splat's path relative to the dataset, absolute where there is no relative one (another Windows drive)."""
    try:
        return Path(os.path.relpath(Path(ply_path).resolve(), Path(out_folder).resolve())).as_posix()
    except ValueError:
        return Path(ply_path).resolve().as_posix()
