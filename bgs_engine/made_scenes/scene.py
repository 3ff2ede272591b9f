"""`make_scene` writes a dataset folder with pictures, faulty masks, and the truth to judge results by.

    FOLDER/ scene.ply                      flat discs on primitive surfaces, INRIA layout
            images/train_XXX.jpg           transforms.json (OpenGL poses, training views only)
            masks/level_{1,2,3}/           16-bit, ids local to a view, with an automatic generator's faults
            gt/level_{1,2,3}/test_XXX.png  16-bit, scene-wide ids; gt/transforms_test.json, gt/labels.npz [N, 3]
            made_scene.json                the configuration

Training must not read gt/.
"""

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import check_writable, replace_folder, write_json
from bgs_engine.io.dataset import UP_KEY, level_folder
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.images import write_label_png
from bgs_engine.io.masks import check_nested
from bgs_engine.io.pictures import save_jpg
from bgs_engine.io.ply import read_ply, write_ply
from bgs_engine.io.run_folder import partial_folder
from bgs_engine.io.transforms import write_transforms
from bgs_engine.made_scenes.cameras import UP, ring_cameras
from bgs_engine.made_scenes.faults import NOISE_STRENGTH, with_faults
from bgs_engine.made_scenes.hard_cases import closed_rooms, repeated_room, see_through_room, thin_room
from bgs_engine.made_scenes.rooms import crowded_room, furnished_room
from bgs_engine.made_scenes.splat import Splat, make_splat, ply_rows
from bgs_engine.made_scenes.truth import TruthMaps
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.scene import RasterScene

MARKER = "made_scene.json"
BACKGROUND = (0.62, 0.7, 0.78)  # above the walls
KINDS = {
    "room": furnished_room,
    "crowded": crowded_room,
    "repeated": repeated_room,
    "apart": closed_rooms,
    "thin": thin_room,
    "see_through": see_through_room,
}
MIN_GAUSSIANS = 2000  # Gaussians; with fewer not every piece gets some


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """What to make.

    kind: "room" (furniture, about 20 objects), "crowded" (64 small things on 16 mats), or a hard case (hard_cases.py):
    "repeated", "apart", "thin", "see_through"; seed: of everything random;
    gaussians: rows of scene.ply; views, test_views: training and held-out pictures; size: their width and height,
    pixels; noise: how faulty the masks are, 0 to 3; sh_degree: 0 or 1.

    Raises:
        UsageError: a value out of range.
    """

    kind: Literal["room", "crowded", "repeated", "apart", "thin", "see_through"] = "room"
    seed: int = 0
    gaussians: int = 30_000
    views: int = 24
    test_views: int = 4
    size: tuple[int, int] = (320, 240)
    noise: int = 1
    sh_degree: int = 1

    def __post_init__(self) -> None:
        checks = (
            (
                self.kind in KINDS,
                f"There is no kind of scene {self.kind!r}.",
                f"Choose from {', '.join(KINDS)}.",
            ),
            (
                self.gaussians >= MIN_GAUSSIANS,
                "The scene has too few Gaussians.",
                f"Ask for at least {MIN_GAUSSIANS:,}.",
            ),
            (self.views >= 1 and self.test_views >= 1, "A scene needs views.", "Ask for one of each at least."),
            (min(self.size) >= 16, "The views are too small.", "Ask for at least 16x16 pixels."),
            (0 <= self.noise < len(NOISE_STRENGTH), f"There is no noise level {self.noise}.", "Choose 0 to 3."),
            (self.sh_degree in (0, 1), f"Degree {self.sh_degree} is not made.", "Choose 0 or 1."),
        )
        for fine, message, hint in checks:
            if not fine:
                raise UsageError(message, hint)


def make_scene(folder: Path, config: SceneConfig, reporter: Reporter) -> None:
    """Make a scene and write it to `folder`; an earlier made scene there is replaced once the new one stands.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise InputError(f"{folder} holds files that are no made scene.", "Choose a new or empty folder.")
    partial = partial_folder(folder)
    check_writable(partial.parent)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write(partial, config, reporter)
        replace_folder(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write(folder: Path, config: SceneConfig, reporter: Reporter) -> None:
    rng = np.random.default_rng(config.seed)
    rooms = KINDS[config.kind](rng)
    splat = make_splat(rooms, config.gaussians, rng)
    scene = _write_splat(folder, splat, config, rng)
    truth = TruthMaps(scene, splat.labels)
    solid = splat.means[splat.labels[:, 0] > 0]
    train, test = (
        ring_cameras([f"{kind}_{k:03d}" for k in range(count)], rooms, config.size, solid, phase, rng)
        for kind, count, phase in (("train", config.views, 0.0), ("test", config.test_views, 0.4))
    )
    total = len(train) + len(test)
    for done, camera in enumerate(train, 1):
        save_jpg(_image(folder, camera), render_color(scene, camera, BACKGROUND))
        maps = with_faults(truth.draw(camera), config.noise, rng)
        check_nested(maps, camera.name)
        for level, labels in enumerate(maps, 1):
            write_label_png(level_folder(folder, level) / f"{camera.name}.png", labels)
        reporter.progress(done, total)
    for done, camera in enumerate(test, len(train) + 1):
        for level, labels in enumerate(truth.draw(camera), 1):
            write_label_png(folder / "gt" / f"level_{level}" / f"{camera.name}.png", labels)
        reporter.progress(done, total)
    up = {UP_KEY: UP.tolist()}
    write_transforms(folder / "transforms.json", [replace(c, image=_image(folder, c)) for c in train], up)
    write_transforms(folder / "gt" / "transforms_test.json", test, up)
    np.savez_compressed(folder / "gt" / "labels.npz", labels=splat.labels)
    write_json(folder / MARKER, asdict(config))


def _write_splat(folder: Path, splat: Splat, config: SceneConfig, rng: np.random.Generator) -> RasterScene:
    rows = ply_rows(splat, 9 * config.sh_degree, rng)
    write_ply(folder / "scene.ply", rows.dtype, iter([rows]), len(rows))
    return RasterScene.from_gaussians(load_gaussians(read_ply(folder / "scene.ply")))


def _image(folder: Path, camera: Camera) -> Path:
    return folder / "images" / f"{camera.name}.jpg"
