"""`make_scene` writes a dataset folder with pictures, faulty masks, and the truth to judge results by.

    FOLDER/ scene.ply                      flat discs on primitive surfaces, INRIA layout
            images/train_XXX.jpg           transforms.json (OpenGL poses, training views only)
            masks/level_{1,2,3}/           16-bit, ids local to a view, with an automatic generator's faults
            gt/level_{1,2,3}/test_XXX.png  16-bit, scene-wide ids; gt/transforms_test.json, gt/labels.npz [N, 3]
            made_scene.json                the configuration

Training must not read gt/.
"""

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bgs_engine.core import disk
from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.file_set import files_below
from bgs_engine.core.files import cannot_write, write_json, writing
from bgs_engine.io.dataset import UP_KEY, level_folder
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.images import write_label_png
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.masks import check_nested
from bgs_engine.io.output_place import FolderKind, checked_place, partial_folder, recover
from bgs_engine.io.pictures import save_jpg
from bgs_engine.io.ply import read_ply, write_ply
from bgs_engine.io.run_folder import deliver
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

    Of an earlier made scene only its own files are replaced.

    Raises:
        UsageError: the folder holds files that no made scene has written, or another job writes there.
        OutputError: the folder cannot be written.
    """
    folder = checked_place(folder, (), MADE_SCENE)
    partial = partial_folder(folder)
    with only_writer(folder):
        try:
            recover(folder, MADE_SCENE)
            disk.remove_tree(partial)
        except OSError as error:
            raise cannot_write(partial, error) from None
        try:
            _write(partial, config, reporter)
            deliver(folder, MADE_SCENE)
        except BaseException:
            disk.discard(partial)
            raise


def _known(name: str) -> bool:
    """Whether a made scene without a list of its files has written one of this name."""
    ours = r"scene[.]ply|transforms[.]json|images/train_[0-9]+[.]jpg|masks/level_[123]/train_[0-9]+[.]png|gt/.*"
    return re.fullmatch(ours, name) is not None


MADE_SCENE = FolderKind("made scene", MARKER, (), _known)


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
    with writing(folder / "gt" / "labels.npz") as stream:
        np.savez_compressed(stream, labels=splat.labels)
    write_json(folder / MARKER, {**asdict(config), "files": [*files_below(folder), MARKER]})


def _write_splat(folder: Path, splat: Splat, config: SceneConfig, rng: np.random.Generator) -> RasterScene:
    rows = ply_rows(splat, 9 * config.sh_degree, rng)
    write_ply(folder / "scene.ply", rows.dtype, iter([rows]), len(rows))
    return RasterScene.from_gaussians(load_gaussians(read_ply(folder / "scene.ply")))


def _image(folder: Path, camera: Camera) -> Path:
    return folder / "images" / f"{camera.name}.jpg"
