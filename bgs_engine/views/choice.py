"""Chooses the cameras that together see the opaque Gaussians most often."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.events import Reporter
from bgs_engine.raster.color_frames import seen_weights
from bgs_engine.raster.scene import RasterScene

VIEWS_WANTED = 5  # a Gaussian seen by fewer views is labelled by too few votes
SEEN_PIXELS = 0.02  # of a pixel at full size; small trial pictures find some 5 % fewer Gaussians than full ones
TRIAL_WIDTH = 160  # pixels; trial pictures are small, their pixel count scales the threshold
TRIAL_STRIDE = 2  # the renderer's blur makes every Gaussian wider than that, so none slips between the rays
TOO_NEAR = 0.1  # of the bulk's radius: matter this near fills the picture with blur
NEAR_SHARE = 0.06  # of the pixels that may be that near
EMPTY_SHARE = 0.02  # a picture that shows less than this is of no use
TARGETS = 60_000  # Gaussians whose views are counted during the choice


@dataclass(frozen=True)
class Trial:
    """A possible camera and what its small trial picture shows.

    seen bool [targets]; covered: share of pixels that show anything.
    """

    camera: Camera
    seen: np.ndarray
    covered: float


def try_cameras(
    scene: RasterScene, cameras: list[Camera], targets: np.ndarray, radius: float, reporter: Reporter
) -> list[Trial]:
    """Look through each camera. Cameras inside matter, too near to it or without anything in view are left out.

    Args:
        targets: int [M], file rows whose visibility counts; radius: of the bulk, scene units.
    """
    trials = []
    for camera in reporter.track(cameras, len(cameras)):
        width = min(TRIAL_WIDTH, camera.width)
        small = camera.resized(width, max(1, round(camera.height * width / camera.width)))
        weights = seen_weights(scene, small, TRIAL_STRIDE)
        pixels = small.width * small.height
        near = scene.to_file_order(scene.means @ small.viewmat[2, :3] + small.viewmat[2, 3]) < TOO_NEAR * radius
        covered = float(weights.sum() / pixels)
        if weights[near].sum() / pixels > NEAR_SHARE or covered < EMPTY_SHARE:
            continue
        enlarged = camera.width * camera.height / pixels
        trials.append(Trial(camera, weights[targets] * enlarged >= SEEN_PIXELS, covered))
    return trials


def choose(trials: list[Trial], count: int) -> list[Trial]:
    """At most `count` of the trials. Each is the one that adds most; this greedy choice is within 1 - 1/e of the best.

    The need of a Gaussian shrinks with every view that sees it. Past `VIEWS_WANTED` views it still counts a little, so
    that the last views spread over everything too.
    """
    chosen: list[Trial] = []
    seen = np.stack([trial.seen for trial in trials])
    times = np.zeros(seen.shape[1], np.int32)
    free = np.ones(len(trials), bool)
    while len(chosen) < count and free.any():
        need = np.maximum(1 - times / VIEWS_WANTED, 0) + 0.05 / (1 + times)
        gain = np.where(free, seen @ need.astype(np.float32), -1)
        best = int(np.argmax(gain))
        free[best] = False
        chosen.append(trials[best])
        times += seen[best]
    return chosen


def coverage(trials: list[Trial]) -> tuple[float, np.ndarray]:
    """(share of the targets that at least `VIEWS_WANTED` trials see, number of views of each target int [M])."""
    times: np.ndarray = np.stack([trial.seen for trial in trials]).sum(0, dtype=np.int32)
    return float((times >= VIEWS_WANTED).mean()), times
