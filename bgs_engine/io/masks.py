"""Nested level maps on disk: masks/level_1 ... level_L, one 16-bit PNG per view, 0 = unlabelled.

In nested maps an id of level l lies within one id of level l - 1, or wholly where level l - 1 is unlabelled. An id has
a meaning within its view only, unless `bgs masks` has compared the views (`shared_level_bits`). Maps are decoded one
view at a time, so memory does not grow with the dataset.
"""

import operator
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import read_json
from bgs_engine.core.input_files import is_file
from bgs_engine.io.dataset import Dataset, level_folder
from bgs_engine.io.image_names import PICTURE_SUFFIXES
from bgs_engine.io.images import read_label_png, write_label_png

MARKER = "made_by_bgs.json"  # tells our masks, which may be made again, from the user's
LEVEL_BITS_KEY = "level_bits"  # in it: an id means the same in all views, and each level needs that many bits
FEW_VIEWS = 3  # a Gaussian's label is a vote of the views; fewer than three cannot outvote an error


def masked_cameras(dataset: Dataset, reporter: Reporter | None = None) -> list[Camera]:
    """The cameras that have a level map. One warning counts the others.

    Raises:
        InputError: no camera has one.
    """
    if not dataset.mask_levels:
        raise InputError(f"{dataset.folder} has no masks/level_1.", "Make masks with `bgs masks` first.")
    have = [c for c in dataset.cameras if any(_found(level, c) for level in dataset.mask_levels)]
    if not have:
        raise InputError(
            f"Not one of the {len(dataset.cameras)} images of {dataset.folder} has a label map.",
            "Name each map like its image (masks/level_1/0001.png for images/0001.jpg), or run `bgs masks`.",
        )
    if reporter and len(have) < len(dataset.cameras) and shared_level_bits(dataset) is None:
        missing = len(dataset.cameras) - len(have)
        reporter.warning(f"{missing} of {len(dataset.cameras)} images have no label map; they are not used.")
    if reporter and len(have) < FEW_VIEWS:
        views = "one view has" if len(have) == 1 else f"{len(have)} views have"
        reporter.warning(
            f"Only {views} masks. What these views do not see gets labels by guess. Use masks of {FEW_VIEWS} views or "
            "more, from all sides."
        )
    return have


def shared_level_bits(dataset: Dataset) -> BitLayout | None:
    """The layout that the masks need, where an id means the same thing in all views; None where it does not.

    Raises:
        InputError: the file that `bgs masks` left beside the masks is damaged.
    """
    path = dataset.folder / "masks" / MARKER
    if not is_file(path):
        return None
    info = read_json(path)
    bits = info.get(LEVEL_BITS_KEY) if isinstance(info, dict) else None
    if bits is None:
        return None
    try:
        return BitLayout(tuple(map(operator.index, bits)))
    except (TypeError, UsageError):
        raise InputError(f"{path.name} is damaged: its level bits are {bits!r}.", "Run bgs masks again.") from None


def load_level_maps(dataset: Dataset, camera: Camera) -> np.ndarray:
    """The level maps of one view, int32 [L, H, W], coarse to fine. A level whose file is missing is unlabelled.

    Raises:
        InputError: a map that is damaged, of another size than its image, or not nested.
    """
    shape = (camera.height, camera.width)
    maps = np.zeros((len(dataset.mask_levels), *shape), np.int32)
    for level, folder in enumerate(dataset.mask_levels):
        path = _found(folder, camera)
        if path is not None:
            maps[level] = read_label_png(path, (camera.width, camera.height))
    check_nested(maps, camera.name)
    return maps


def check_nested(maps: np.ndarray, name: str) -> None:
    """Check label maps int [L, H, W] of the view `name`.

    Raises:
        InputError: an id that spans several ids of the level above; says image, level and number of pixels.
    """
    for level in range(1, len(maps)):
        outside = _pixels_outside_parent(maps[level], maps[level - 1])
        if outside:
            raise InputError(
                f"The masks of {name} are not nested: at level {level + 1}, {outside:,} pixels lie outside the "
                f"level-{level} mask that holds the rest of their mask.",
                "Each mask must lie within one mask of the level above; cut it at that mask's border.",
            )


def _pixels_outside_parent(child: np.ndarray, parent: np.ndarray) -> int:
    """Labelled pixels whose parent is not the commonest parent of their id; both int [H, W], ids < 2^31."""
    labelled = child > 0
    pairs, counts = np.unique(child[labelled].astype(np.int64) << 32 | parent[labelled], return_counts=True)
    ids, starts = np.unique(pairs >> 32, return_index=True)
    return int(counts.sum() - np.maximum.reduceat(counts, starts).sum()) if len(ids) else 0


def write_level_maps(dataset: Dataset, camera: Camera, maps: np.ndarray) -> None:
    """Write the level maps int [L, H, W] of one view. They must be nested, with ids up to 65,535.

    Raises:
        InputError: not nested, ids too large, or the folder cannot be written.
    """
    check_nested(maps, camera.name)
    for level, labels in enumerate(maps, 1):
        write_label_png(_path(level_folder(dataset.folder, level), camera), labels)


def _found(level: Path, camera: Camera) -> Path | None:
    """The label map of a view. Some programs append .png to the image's whole name: 0001.jpg.png."""
    suffixes = dict.fromkeys(["", camera.image.suffix if camera.image else "", *PICTURE_SUFFIXES])
    for suffix in suffixes:
        path = level / f"{camera.name}{suffix}.png"
        if is_file(path):
            return path
    return None


def _path(level: Path, camera: Camera) -> Path:
    return level / f"{camera.name}.png"
