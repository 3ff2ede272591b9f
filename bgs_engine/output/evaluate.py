"""`bgs eval`: compares a run with true labels.

Truth folder: transforms_test.json (held-out cameras), level_<l>/<stem>.png (16-bit maps, ids of the whole scene, 0 =
nothing), and, where they are known, labels.npz with the true labels [N, L] of every Gaussian.

Per level, over all segments of at least `LEAST_PIXELS` in a view:
    click       mean over random clicks into a segment of the IoU of the clicked class with the segment
    best        mean IoU of the class that fits the segment best
    boundary    mean IoU of the segment's majority class, counted only within `BORDER` px of the segment's outline
    collisions  pairs of segments of one view with the same majority class
    gaussians   mean IoU of true and found sets of opaque, seen Gaussians (cut-out objects are what an artist gets)
and snapped: the share of covered pixels whose blended code no Gaussian has.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.input_files import is_file, is_folder
from bgs_engine.core.label_table import SOLID_OPACITY
from bgs_engine.io.arrays import open_arrays
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.images import read_label_png
from bgs_engine.io.run_folder import Run, open_run
from bgs_engine.io.transforms import read_views
from bgs_engine.raster.color_frames import seen_weights
from bgs_engine.raster.cpu.label_maps import label_map
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.semantics import EMPTY_CODE

LEAST_PIXELS = 50
CLICKS = 20
BORDER = 3  # px
MOST_LEVELS = 32  # a level has at least one of a code's 32 bits
NOTHING = -1  # class of a pixel without label


ClassMaps = Callable[[Camera], Sequence[np.ndarray]]
"""From a camera to the class of each pixel, one int64 [H * W] a level, coarse to fine; NOTHING = no label."""


def evaluate_run(run_folder: Path, truth: Path, reporter: Reporter) -> dict[str, Any]:
    """Scores of a run. The result holds plain numbers only.

    Raises:
        InputError: the run or the truth folder is incomplete, or they do not fit together.
    """
    run = open_run(run_folder)
    gaussians = load_gaussians(run.ply, colors=False)
    scene = RasterScene.from_gaussians(gaussians)
    maps = _RunMaps(run, scene)
    labels = [run.layout.labels(run.codes, level) for level in range(1, run.layout.levels + 1)]

    in_scene = mover(run, gaussians.offset)
    result = score_classes(scene, gaussians.opacities, maps, labels, truth, reporter, in_scene)
    result["snapped"] = round(maps.strange / max(maps.covered, 1), 5)
    return result


def mover(run: Run, offset: np.ndarray) -> Callable[[Camera], Camera]:
    """A function that moves a camera of the run's dataset into the frame in which its Gaussians are computed.

    Args:
        run: says how its dataset was moved.
        offset: float64 [3], of the Gaussians.
    """

    def in_scene(camera: Camera) -> Camera:
        camera = camera.moved(offset)
        return run.frame_change.moved(camera) if run.frame_change else camera

    return in_scene


def score_classes(
    scene: RasterScene,
    opacities: np.ndarray,
    class_maps: ClassMaps,
    labels: Sequence[np.ndarray],
    truth: Path,
    reporter: Reporter,
    in_scene: Callable[[Camera], Camera] = lambda camera: camera,
) -> dict[str, Any]:
    """The scores of any partition of a scene, however its maps are drawn; where it has fewer levels its finest counts.

    Args:
        scene: what the truth is of.
        opacities: float32 [N], file order, of the source.
        class_maps: draws the classes in a view.
        labels: per level int [N], file order, the class of each Gaussian.
        truth: folder of true labels.
        reporter: told after each view.
        in_scene: moves a camera of the truth into the frame of the scene.

    Raises:
        InputError: a truth folder that is incomplete or does not fit.
    """
    cameras = [in_scene(camera) for camera in read_views(truth / "transforms_test.json")]
    levels = _truth_levels(truth)
    rng = np.random.default_rng(0)
    scores: list[defaultdict[str, list[float]]] = [defaultdict(list) for _ in levels]
    collisions = [0] * len(levels)
    seen = np.zeros(len(opacities), bool)
    reporter.stage("Evaluating")
    for camera in reporter.track(cameras, len(cameras)):
        found = class_maps(camera)
        seen |= seen_weights(scene, camera) > 0
        for k, folder in enumerate(levels):
            true = read_label_png(folder / f"{camera.name}.png", (camera.width, camera.height))
            collisions[k] += _score_view(found[min(k, len(found) - 1)], true, scores[k], rng)
    result: dict[str, Any] = {
        f"level_{k + 1}": {
            **{name: round(float(np.mean(values)), 4) for name, values in scores[k].items()},
            "collisions": collisions[k],
            "segments": len(scores[k]["best"]),
        }
        for k in range(len(levels))
    }
    known = true_labels(truth, len(opacities))
    if known is not None:
        solid = seen & (opacities >= SOLID_OPACITY)
        for k in range(min(len(levels), known.shape[1])):
            own = labels[min(k, len(labels) - 1)]
            result[f"level_{k + 1}"]["gaussians"] = round(_gaussian_iou(own[solid], known[solid, k]), 4)
    return result


class _RunMaps:
    """Classes of a run's label maps; counts covered pixels and those with a blended code that no Gaussian has."""

    def __init__(self, run: Run, scene: RasterScene) -> None:
        self.covered = self.strange = 0
        self._layout, self._builder = run.layout, ViewBuilder(scene)
        self._codes, self._opacities = scene.from_file_order(run.codes), scene.from_file_order(run.opacities)
        self._in_use = np.unique(self._codes.view(np.uint32))

    def __call__(self, camera: Camera) -> list[np.ndarray]:
        found = label_map(self._builder.build(camera), self._opacities, self._codes, self._layout.total)
        caught = found != EMPTY_CODE
        self.covered += int(caught.sum())
        self.strange += int((caught & ~np.isin(found, self._in_use)).sum())
        return [
            np.where(caught, self._layout.labels(found, level).astype(np.int64), NOTHING).ravel()
            for level in range(1, self._layout.levels + 1)
        ]


def as_table(result: dict[str, Any]) -> str:
    """The result as a table for people."""
    columns = ("click", "best", "boundary", "gaussians", "collisions", "segments")
    lines = [" ".join([f"{'':8}", *(f"{name:>10}" for name in columns)])]
    for name, row in result.items():
        if isinstance(row, dict):
            cells = [f"{row[c]:>10.4f}" if isinstance(row.get(c), float) else f"{row.get(c, '-'):>10}" for c in columns]
            lines.append(" ".join([f"{name:8}", *cells]))
    lines.append(f"Pixels whose blended code no Gaussian has: {result['snapped']:.2%}")
    return "\n".join(lines)


def _truth_levels(truth: Path) -> list[Path]:
    levels: list[Path] = []
    while is_folder(truth / f"level_{len(levels) + 1}"):
        levels.append(truth / f"level_{len(levels) + 1}")
    if not levels:
        raise InputError(f"{truth} has no level_1 folder of true label maps.", "Give the truth folder of the scene.")
    return levels


def true_labels(truth: Path, count: int) -> np.ndarray | None:
    """True labels int [N, L] of `count` Gaussians, or None where they are not known.

    Raises:
        InputError: the file is damaged or of another scene.
    """
    path = truth / "labels.npz"
    if not is_file(path):
        return None
    with open_arrays(path, "Make the truth again.") as archive:
        labels = archive.read(archive.names[0], count * MOST_LEVELS * 8)
    if labels.ndim != 2 or len(labels) != count or labels.dtype.kind not in "iu":
        raise InputError(f"{path} is not for this scene of {count:,} Gaussians.", "Check which scene the run is of.")
    return labels


def _score_view(
    classes: np.ndarray, true: np.ndarray, scores: defaultdict[str, list[float]], rng: np.random.Generator
) -> int:
    """Add one view's scores; returns its collisions. classes int64 [H * W], true int32 [H, W]."""
    flat = true.ravel()
    names, sizes = np.unique(classes, return_counts=True)
    total = dict(zip(names.tolist(), sizes.tolist(), strict=True))
    majorities = []
    for segment in np.unique(flat[flat > 0]):
        members = np.flatnonzero(flat == segment)
        if len(members) < LEAST_PIXELS:
            continue
        inside, counts = np.unique(classes[members], return_counts=True)
        iou = {
            c: 0.0 if c == NOTHING else n / (total[c] + len(members) - n)
            for c, n in zip(inside.tolist(), counts.tolist(), strict=True)
        }
        clicked = classes[rng.choice(members, CLICKS)]
        majority = int(inside[counts.argmax()])
        scores["click"].append(float(np.mean([iou[c] for c in clicked.tolist()])))
        scores["best"].append(max(iou.values()))
        scores["boundary"].append(_boundary_iou(true == segment, classes.reshape(true.shape) == majority))
        majorities.append(majority)
    return len(majorities) - len(set(majorities))


def _boundary_iou(true: np.ndarray, found: np.ndarray) -> float:
    """IoU of two masks bool [H, W] within BORDER pixels of the true one's outline."""
    outer = ndimage.binary_dilation(true, iterations=BORDER)
    band = outer & ~ndimage.binary_erosion(true, iterations=BORDER, border_value=1)
    union = int(((true | found) & band).sum())
    return int((true & found & band).sum()) / union if union else 1.0


def _gaussian_iou(found: np.ndarray, true: np.ndarray) -> float:
    """Mean over true labels (> 0) of the IoU with the found label that most of its Gaussians have."""
    _, found = np.unique(found, return_inverse=True)
    sizes = np.bincount(found)
    ious: list[float] = []
    order = np.argsort(true, kind="stable")
    ids, starts = np.unique(true[order], return_index=True)
    groups: Sequence[np.ndarray] = np.split(order, starts[1:])
    for label, members in zip(ids.tolist(), groups, strict=True):
        if label <= 0:
            continue
        counts = np.bincount(found[members], minlength=len(sizes))
        best = int(counts.argmax())
        ious.append(float(counts[best] / (sizes[best] + len(members) - counts[best])))
    return float(np.mean(ious)) if ious else 0.0
