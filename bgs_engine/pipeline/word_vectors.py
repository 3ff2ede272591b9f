"""One vector for each label of a run, from an image-text model. The run keeps them in half precision."""

import hashlib
from dataclasses import dataclass

import numpy as np

from bgs_engine.clicks.embedding_files import EmbeddingFiles
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import resolve
from bgs_engine.io.run_folder import Run
from bgs_engine.pipeline.opening import same_run, session_views
from bgs_engine.pipeline.scene import load_scene
from bgs_engine.raster.label_maps import label_renderer
from bgs_engine.words.crops import Crop, best_crops
from bgs_engine.words.model import ImageTextModel

AT_ONCE = 64  # crops held at a time


@dataclass(frozen=True)
class WordVectors:
    """The labels of a level that a view shows, ascending, [K], and their vectors, float32 [K, D], of length 1."""

    labels: np.ndarray
    vectors: np.ndarray


def word_vectors(
    run: Run, model: ImageTextModel, reporter: Reporter, device: str = "auto", keep: bool = True
) -> dict[int, WordVectors]:
    """The vectors of all labels that a view shows, by level. They are made anew if codes or model are others.

    Without `keep` the run gets no file.

    Raises:
        InputError: the run holds nothing that a view shows.
    """
    files, key = EmbeddingFiles(run.folder, same_run(run)), vectors_key(run, model)
    kept = _from_arrays(files.load(key), run.layout.levels)
    if kept is not None:
        return kept
    found = _made(run, model, reporter, device)
    arrays: dict[str, np.ndarray] = {}
    for level, one in found.items():
        arrays[f"labels_{level}"] = one.labels
        arrays[f"vectors_{level}"] = one.vectors.astype(np.float16)
    if keep and not files.keep(key, arrays, [key]):
        reporter.warning("The vectors of the labels could not be kept in the run; the next search makes them again.")
    again = _from_arrays(arrays, run.layout.levels)
    return found if again is None else again  # the next search computes with the same numbers


def vectors_key(run: Run, model: ImageTextModel) -> str:
    """The name under which the run keeps the vectors, 32 hexadecimal digits: of the codes, the splat and the model."""
    digest = hashlib.sha256(f"words 1 {model.signature} {run.layout.level_bits} {run.info.get('scene')}".encode())
    digest.update(np.ascontiguousarray(run.codes).tobytes())
    return digest.hexdigest()[:32]


def _from_arrays(arrays: dict[str, np.ndarray] | None, levels: int) -> dict[int, WordVectors] | None:
    found = {}
    for level in range(1, levels + 1):
        labels, vectors = ((arrays or {}).get(f"{name}_{level}") for name in ("labels", "vectors"))
        if labels is None or vectors is None or vectors.ndim != 2 or labels.shape != vectors.shape[:1]:
            return None
        found[level] = WordVectors(labels, vectors.astype(np.float32))
    return found


def _made(run: Run, model: ImageTextModel, reporter: Reporter, device: str) -> dict[int, WordVectors]:
    scene = load_scene(run.folder / "scene.ply", reporter)
    cameras, pictures = session_views(scene, run, reporter)
    codes, opacities = scene.raster.from_file_order(run.codes), scene.raster.from_file_order(run.opacities)
    code_map = label_renderer(resolve(device), scene.raster, codes, opacities, run.layout.total)
    sums: dict[tuple[int, int], np.ndarray] = {}
    reporter.stage("Looking at labels")
    waiting: list[Crop] = []

    def add() -> None:
        for one, vector in zip(waiting, model.pictures([one.pixels for one in waiting]), strict=True):
            sums[one.key] = sums.get(one.key, 0) + vector
        waiting.clear()

    for crop in best_crops(cameras, code_map, lambda number: pictures[number].pixels(), run.layout):
        reporter.check()
        waiting.append(crop)
        if len(waiting) == AT_ONCE:
            add()
    if waiting:
        add()
    found = {}
    width = len(next(iter(sums.values()))) if sums else 1
    for level in range(1, run.layout.levels + 1):
        labels = sorted(label for own, label in sums if own == level)
        vectors = np.array([sums[level, label] for label in labels], np.float32).reshape(len(labels), width)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        found[level] = WordVectors(np.array(labels, np.int64), vectors)
    return found
