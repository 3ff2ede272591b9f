"""Opens a dataset folder: cameras with their images, level folders of masks, the splat, and the up axis.

    DATASET/ scene.ply                    or given apart, or named by `ply_file_path` in transforms.json
             images/*.{jpg,png}           or a downscaled copy images_2, images_4, ...
             sparse/0/                    COLMAP, binary before text; or transforms.json; or transforms_train.json
                                          with transforms_val.json and transforms_test.json where they are there
             masks/level_1 ... level_L/   see io.masks

If a folder has a COLMAP model and a transforms.json, the COLMAP model counts. Splat trainers use it, and many tools
write a transforms.json in coordinates of their own.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.cameras import Camera, FrameChange
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.input_files import is_file, is_folder, open_file, short
from bgs_engine.io.colmap import find_model, read_colmap
from bgs_engine.io.images import image_size
from bgs_engine.io.ply import read_ply
from bgs_engine.io.transforms import read_transforms

UP_KEY = "bgs_up"  # our key in transforms.json: the scene's up direction, [x, y, z]
PLY_KEY = "ply_file_path"  # nerfstudio's key; there it may name a sparse point cloud
ROUNDING = 2.0  # pixels that downscaled copies of photos may differ from an exact ratio


@dataclass(frozen=True)
class Dataset:
    """An opened dataset.

    cameras: with the sizes and intrinsics of the images on disk. mask_levels: level folders, coarse to fine. ply: the
    splat. up: the up axis [3]. frame_change: how the cameras were moved since the dataset was read, None: not at all.
    """

    folder: Path
    cameras: tuple[Camera, ...]
    mask_levels: tuple[Path, ...] = ()
    ply: Path | None = None
    up: np.ndarray | None = None
    frame_change: FrameChange | None = None

    def moved(self, offset: np.ndarray) -> "Dataset":
        """The same dataset seen from another origin: `offset` [3], in scene units, becomes (0, 0, 0).

        A splat far from its origin is computed with the offset that `Gaussians.offset` names.
        """
        return replace(self, cameras=tuple(camera.moved(offset) for camera in self.cameras)) if offset.any() else self

    @property
    def scene(self) -> Path:
        """The splat's path.

        Raises:
            InputError: the dataset has none.
        """
        if self.ply is None:
            raise InputError(f"{self.folder} has no scene.ply.", "Give the splat with --ply SCENE.ply.")
        return self.ply

    def in_frame(self, change: FrameChange | None) -> "Dataset":
        """The dataset with its cameras and its up axis moved; None moves nothing."""
        if change is None:
            return self
        return replace(
            self,
            cameras=tuple(change.moved(camera) for camera in self.cameras),
            up=None if self.up is None else change.rotation @ self.up,
            frame_change=change,
        )


def open_dataset(folder: Path, ply: Path | None = None, reporter: Reporter | None = None) -> Dataset:
    """Open and check a dataset. No pixels are read.

    Args:
        folder: the dataset; ply: the splat where it is not in the folder.
        reporter: told, in one warning each, how many frames have no image, and which images are damaged or do not fit
            their camera; these frames are left out.

    Raises:
        InputError: there are no cameras, no image is usable, or a file is damaged.
    """
    folder = Path(folder)
    if not is_folder(folder):
        raise InputError(f"{short(folder)} is no folder.", "Give the dataset's folder.")
    cameras, shared = read_cameras(folder)
    present = [camera for camera in cameras if camera.image is not None]
    if not present:
        raise InputError(
            f"Not one of the {len(cameras)} images that {folder} lists is there.", "Put them into its images folder."
        )
    if reporter and len(present) < len(cameras):
        reporter.warning(f"{len(cameras) - len(present)} of {len(cameras)} frames have no image; they are left out.")
    twice = [name for name, times in Counter(c.name for c in present).items() if times > 1]
    if twice:
        raise InputError(f"{len(twice)} images share a name, {twice[0]!r} first.", "Give each image its own name.")
    return Dataset(
        folder,
        _usable(present, reporter),
        find_levels(folder),
        _find_ply(folder, ply, shared),
        _up(shared),
    )


def read_cameras(folder: Path) -> tuple[list[Camera], dict[str, Any]]:
    """All cameras of a dataset, also those without an image, and further keys of its transforms.json.

    A camera has the size that the camera file says; 0 where it says none and there is no image.

    Raises:
        InputError: there are no cameras, or a file is damaged.
    """
    model = find_model(folder)
    if model is not None:
        return read_colmap(model, folder), {}
    if is_file(folder / "transforms.json"):
        return read_transforms(folder / "transforms.json")
    split = [folder / f"transforms_{part}.json" for part in ("train", "val", "test")]
    if is_file(split[0]):  # NeRF's made scenes and instant-ngp
        read = [read_transforms(path) for path in split if is_file(path)]
        return [camera for cameras, _ in read for camera in cameras], read[0][1]
    raise InputError(
        f"{short(folder)} has no cameras: neither sparse/0 nor transforms.json.",
        "Run COLMAP on the photos, or make a dataset from the splat alone with `bgs views`.",
    )


def _usable(cameras: list[Camera], reporter: Reporter | None) -> tuple[Camera, ...]:
    """The cameras, fitted to their images. A camera with a bad image is left out, and the job goes on."""
    fitted: list[Camera] = []
    problems: list[tuple[str, InputError]] = []
    for camera in cameras:
        try:
            fitted.append(_fitted(camera))
        except InputError as error:
            problems.append((camera.name, error))
    if not fitted:
        raise problems[0][1]
    if reporter and len(problems) == 1:
        reporter.warning(f"{problems[0][0]} is left out: {problems[0][1].message}")
    elif reporter and problems:
        reporter.warning(
            f"{len(problems)} of {len(cameras)} images cannot be used; they are left out. The first: "
            f"{problems[0][1].message}"
        )
    return tuple(fitted)


def _fitted(camera: Camera) -> Camera:
    """The camera with its intrinsics scaled to the image on disk (images_2, images_4, ...).

    Raises:
        InputError: the image cannot be read, or its proportions are not those of its camera.
    """
    assert camera.image is not None
    width, height = image_size(camera.image)
    if (width, height) == (camera.width, camera.height) or (height, width) == (camera.width, camera.height):
        return camera  # the second: a photo on its side, turned when it is read
    if abs(width * camera.height / camera.width - height) > ROUNDING:
        raise InputError(
            f"{camera.image.name} is {width}x{height} pixels, its camera {camera.width}x{camera.height}.",
            "Use the images that the cameras were computed from.",
        )
    return camera.resized(width, height)


def _find_ply(folder: Path, given: Path | None, shared: dict[str, Any]) -> Path | None:
    if given is not None:
        open_file(given, "Check the path of the splat.").close()
        return Path(given)
    if is_file(folder / "scene.ply"):
        return folder / "scene.ply"
    named = shared.get(PLY_KEY)
    if isinstance(named, str) and named.isprintable() and len(named) < 4096:
        if not named.lower().endswith(".ply"):  # views that were rendered from a splat of another format
            return folder / named if is_file(folder / named) else None
        try:
            return read_ply(folder / named).path
        except InputError:
            return None  # nerfstudio's sparse point cloud, or moved away
    return None


def _up(shared: dict[str, Any]) -> np.ndarray | None:
    try:
        up = np.array(shared.get(UP_KEY), np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if up.shape != (3,) or not np.isfinite(up).all() or not 1e-6 < np.abs(up).max() < 1e6:
        return None
    return up / np.linalg.norm(up)


def level_folder(folder: Path, level: int) -> Path:
    """Where a dataset keeps the maps of a level (1 = coarsest)."""
    return folder / "masks" / f"level_{level}"


def find_levels(folder: Path) -> tuple[Path, ...]:
    """The level folders that are there, coarse to fine, from level 1 without a gap."""
    levels: list[Path] = []
    while is_folder(level_folder(folder, len(levels) + 1)):
        levels.append(level_folder(folder, len(levels) + 1))
    return tuple(levels)
