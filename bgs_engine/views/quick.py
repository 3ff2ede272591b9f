"""A few views of a bare splat, placed within seconds: for a first click, before anything is segmented.

`make.plan_views` looks for the views that together show everything. This looks at the largest Gaussians alone, through
fewer cameras, and once.
"""

from dataclasses import replace

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.raster.scene import RasterScene
from bgs_engine.views.bulk import find_bulk
from bgs_engine.views.choice import Trial, choose, try_cameras
from bgs_engine.views.make import ENCLOSED, matter_rows
from bgs_engine.views.placement import Lens, inside_cameras, outside_cameras
from bgs_engine.views.up import guess_up

SIZE = (640, 480)  # pixels, as rendered views of a segmentation
# The largest of the splat, in small pictures. To tell a room from an object they must cover next to all pixels. To
# choose cameras fewer do: 12 views chosen with 8,000 show as much of a splat of 110,000 as 12 chosen with 40,000.
PROBE_GAUSSIANS, TRIAL_GAUSSIANS = 20_000, 8_000
PROBE_PLACES, INSIDE_PLACES = 1, 4
OUTSIDE_TRIED = 32  # of the cameras around


def quick_views(gaussians: Gaussians, scene: RasterScene, count: int, reporter: Reporter) -> list[Camera]:
    """At most `count` cameras, in the scene's coordinates; the first ones show most.

    Raises:
        InputError: the splat holds nothing opaque, or no camera sees anything.
    """
    reporter.stage("place cameras")
    bulk, lens = find_bulk(gaussians), Lens(*SIZE)
    up = guess_up(bulk)
    rows = matter_rows(gaussians, 0)
    solid = gaussians.means[rows].astype(np.float64)

    def tried(cameras: list[Camera], most: int) -> list[Trial]:
        coarse = scene.largest(most)
        drawn = np.zeros(scene.file_count, bool)
        drawn[coarse.rows] = True
        targets = rows[drawn[rows]] if drawn[rows].any() else coarse.rows
        return try_cameras(coarse, cameras, targets, bulk.radius, reporter)

    probes = tried(inside_cameras(bulk, up, lens, solid, PROBE_PLACES), PROBE_GAUSSIANS)
    inside = bool(probes) and float(np.median([trial.covered for trial in probes])) >= ENCLOSED
    around = outside_cameras(bulk, up, lens)
    around = around[:: -(-len(around) // OUTSIDE_TRIED)]
    trials = tried(inside_cameras(bulk, up, lens, solid, INSIDE_PLACES) if inside else around, TRIAL_GAUSSIANS)
    if not trials:
        raise InputError("No place was found from which a camera sees this splat.", "Segment it with photos first.")
    return [replace(trial.camera, name=f"view_{number:03d}") for number, trial in enumerate(choose(trials, count))]
