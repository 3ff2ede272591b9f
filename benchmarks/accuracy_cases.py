"""The scenes that accuracy is measured on, each with exact truth; made once into a folder and kept there."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import level_folder
from bgs_engine.io.gaussians import SH_C0, Gaussians, load_gaussians, logit
from bgs_engine.io.images import write_label_png
from bgs_engine.io.pictures import save_jpg
from bgs_engine.io.ply import SPLAT_PROPERTIES, read_ply, write_ply
from bgs_engine.io.transforms import write_transforms
from bgs_engine.made_scenes import SceneConfig, make_scene
from bgs_engine.made_scenes.faults import with_faults
from bgs_engine.made_scenes.truth import TruthMaps
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.scene import RasterScene

GAUSSIANS = 60_000
VIEWS, TEST_VIEWS = 40, 6
SIZE = (480, 360)
NOISE = 2  # as faulty as the masks of automatic generators are


@dataclass(frozen=True)
class Case:
    """A scene by name; bits of each level; None = the made scene of `config`, else splats to compose."""

    name: str
    config: SceneConfig
    level_bits: tuple[int, ...] = (12, 10, 10)
    splats: tuple[Path, ...] = ()

    def folder(self, work: Path) -> Path:
        """The dataset, made if it is not there yet."""
        folder = work / self.name
        if not (folder / "gt").is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            if self.splats:
                compose(folder, self.splats, self.config)
            else:
                make_scene(folder, self.config, Reporter())
        return folder


def all_cases(splats: Path | None, seeds: int = 2) -> Iterator[Case]:
    """Every kind with `seeds` seeds at one noise, then one room with other noises and few views, then real splats."""
    base = SceneConfig(gaussians=GAUSSIANS, views=VIEWS, test_views=TEST_VIEWS, size=SIZE, noise=NOISE)
    for kind in ("room", "crowded", "repeated", "apart", "thin", "see_through"):
        bits = (8, 8, 8, 8) if kind == "crowded" else (12, 10, 10)
        for seed in range(1, seeds + 1):
            yield Case(f"{kind}-{seed}", replace(base, kind=kind, seed=seed), bits)
    for noise in (0, 1, 3):
        yield Case(f"room-1-noise-{noise}", replace(base, seed=1, noise=noise))
    yield Case("room-1-12-views", replace(base, seed=1, views=12))
    if splats:
        yield Case("real-splats", base, splats=tuple(sorted(splats.glob("*.ply"))))


def compose(folder: Path, paths: tuple[Path, ...], config: SceneConfig) -> None:
    """Real splats side by side, each scaled to one unit; the file a Gaussian came from is its label at every level."""
    rng = np.random.default_rng(config.seed)
    parts = [_scaled(load_gaussians(read_ply(path)), place, len(paths)) for place, path in enumerate(paths)]
    names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", *SPLAT_PROPERTIES[6:]]
    rows = np.zeros(sum(len(part) for part in parts), np.dtype([(name, "<f4") for name in names]))
    rows[:] = np.concatenate([_rows(part, rows.dtype) for part in parts])
    labels = np.repeat(np.arange(1, len(parts) + 1), [len(part) for part in parts]).astype(np.int32)
    folder.mkdir(parents=True)
    write_ply(folder / "scene.ply", rows.dtype, iter([rows]), len(rows))
    scene = RasterScene.from_gaussians(load_gaussians(read_ply(folder / "scene.ply")))
    truth = TruthMaps(scene, np.repeat(labels[:, None], 3, 1))
    train = [_orbit(f"train_{k:03d}", k / config.views, config.size, rng) for k in range(config.views)]
    test = [_orbit(f"test_{k:03d}", (k + 0.4) / config.test_views, config.size, rng) for k in range(config.test_views)]
    for camera in train:
        save_jpg(folder / "images" / f"{camera.name}.jpg", render_color(scene, camera, (0.5, 0.5, 0.5)))
        for level, ids in enumerate(with_faults(truth.draw(camera), config.noise, rng), 1):
            write_label_png(level_folder(folder, level) / f"{camera.name}.png", ids)
    for camera in test:
        for level, ids in enumerate(truth.draw(camera), 1):
            write_label_png(folder / "gt" / f"level_{level}" / f"{camera.name}.png", ids)
    placed = [replace(camera, image=folder / "images" / f"{camera.name}.jpg") for camera in train]
    write_transforms(folder / "transforms.json", placed)
    write_transforms(folder / "gt" / "transforms_test.json", test)
    np.savez_compressed(folder / "gt" / "labels.npz", labels=np.repeat(labels[:, None], 3, 1))


def _scaled(part: Gaussians, place: int, places: int) -> Gaussians:
    """One splat, its middle 96 % in a unit cube, in its place on a circle."""
    low, high = np.percentile(part.means[part.valid], [2, 98], axis=0)
    scale = 1 / float((high - low).max())
    angle = 2 * np.pi * place / places
    at = np.array([np.cos(angle), np.sin(angle), 0]) * 0.6
    means = (part.means - (low + high) / 2) * scale + at
    return replace(part, means=means.astype(np.float32), scales=part.scales * np.float32(scale))


def _rows(part: Gaussians, dtype: np.dtype) -> np.ndarray:
    rows = np.zeros(len(part), dtype)
    for k, axis in enumerate("xyz"):
        rows[axis] = part.means[:, k]
        rows[f"f_dc_{k}"] = (part.base_colors[:, k] - 0.5) / SH_C0
        rows[f"scale_{k}"] = np.log(part.scales[:, k])
    for k in range(4):
        rows[f"rot_{k}"] = part.quats[:, k]
    rows["opacity"] = logit(part.opacities)
    return rows


def _orbit(name: str, turn: float, size: tuple[int, int], rng: np.random.Generator) -> Camera:
    angle, lift = 2 * np.pi * turn, rng.uniform(0.2, 0.9)
    eye = 2.4 * np.array([np.cos(angle) * np.cos(lift), np.sin(angle) * np.cos(lift), np.sin(lift)])
    focal = 0.9 * size[0]
    view = look_at(eye, rng.uniform(-0.1, 0.1, 3), np.array([0.0, 0.0, 1.0]))
    return Camera(name, *size, focal, focal, size[0] / 2, size[1] / 2, view)
