"""Whether the cameras of a dataset lie in the frame of its splat, and what to do where they do not.

Cameras of another frame give no error anywhere, only labels that mean nothing. So some photos are compared with the
splat, rendered from their cameras, before any mask is asked for.
"""

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import Dataset
from bgs_engine.raster.scene import RasterScene
from bgs_engine.views.frame_conventions import FrameConvention, conventions
from bgs_engine.views.photo_likeness import Photo, likeness, small_photos

PHOTOS, SIDE = 6, 160  # photos compared, pixels of their longer side
TRIAL_PHOTOS, TRIAL_SIDE = 3, 96  # the same for each convention that is tried
TRIAL_GAUSSIANS = 200_000  # the largest of the splat are enough to try a convention
ALIKE = 0.4  # likeness of photos that show the splat
UNLIKE = 0.2  # likeness of photos that show something else
BETTER = 0.2  # by which a convention must surpass the cameras as they are


def aligned(dataset: Dataset, scene: RasterScene, reporter: Reporter) -> Dataset:
    """The dataset with its cameras in the splat's frame.

    Cameras that fit stay as they are. Otherwise known conventions are tried. The first that makes the photos fit is
    used, and a warning says so. No file of the dataset is changed.

    Raises:
        InputError: the photos do not show this splat from their cameras, and no convention explains it.
    """
    reporter.stage("Compare photos")
    photos = small_photos(dataset.cameras, PHOTOS, SIDE)
    if not photos or scene.sh is None:
        return dataset
    found = likeness(scene, photos)
    reporter.metric("photo_likeness", round(found, 3))
    if found >= ALIKE:
        return dataset
    convention = _explanation(dataset, scene, reporter)
    if convention is not None:
        moved = [convention.change.moved(photo.camera) for photo in photos]
        after = likeness(scene, photos, moved)
        if after >= max(ALIKE, found + BETTER):
            reporter.metric("photo_likeness", round(after, 3))
            reporter.warning(
                f"The cameras do not lie in the splat's frame. {convention.reason} The cameras were moved for this "
                f"job; the photos look like the splat now (likeness {after:.2f}, before {found:.2f})."
            )
            return dataset.in_frame(convention.change)
    if found < UNLIKE:
        raise InputError(
            f"The photos do not look like the splat from their cameras (likeness {found:.2f}, at least {ALIKE} is "
            "usual). Splat and cameras lie in different frames, or belong to different scenes.",
            "Use the cameras that the splat was trained with. If nerfstudio trained it, put its "
            "dataparser_transforms.json beside the splat.",
        )
    reporter.warning(
        f"The photos look only roughly like the splat (likeness {found:.2f}, at least {ALIKE} is usual). Poses that "
        "are a little off make labels with ragged borders."
    )
    return dataset


def _explanation(dataset: Dataset, scene: RasterScene, reporter: Reporter) -> FrameConvention | None:
    """The convention under which a few small photos look most like the splat."""
    assert dataset.ply is not None
    photos = small_photos(dataset.cameras, TRIAL_PHOTOS, TRIAL_SIDE)
    if not photos:
        return None
    coarse = scene.largest(TRIAL_GAUSSIANS)
    tried = conventions(dataset.cameras, dataset.ply, dataset.folder)
    found = [_trial(coarse, photos, convention) for convention in reporter.track(tried, len(tried))]
    return tried[int(np.argmax(found))]


def _trial(scene: RasterScene, photos: list[Photo], convention: FrameConvention) -> float:
    return likeness(scene, photos, [convention.change.moved(photo.camera) for photo in photos])
