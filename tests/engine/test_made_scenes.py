"""Made scenes: complete, true, nested, repeatable."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.errors import UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.images import read_label_png
from bgs_engine.io.masks import check_nested, load_level_maps, masked_cameras
from bgs_engine.io.ply import read_ply
from bgs_engine.io.transforms import read_transforms
from bgs_engine.made_scenes import SceneConfig, make_scene
from bgs_engine.made_scenes.faults import NOISE_STRENGTH, with_faults
from bgs_engine.made_scenes.shapes import Primitive, sample

TINY = SceneConfig(gaussians=2000, views=2, test_views=1, size=(48, 32))
LEVELS = (1, 2, 3)


def true_labels(scene: Path) -> np.ndarray:
    return np.load(scene / "gt" / "labels.npz")["labels"]


def true_maps(scene: Path, name: str) -> np.ndarray:
    return np.stack([read_label_png(scene / f"gt/level_{level}/{name}.png") for level in LEVELS])


def test_is_a_dataset_with_masks_in_every_view(small_scene: Path):
    dataset = open_dataset(small_scene)
    assert dataset.up is not None and dataset.up.tolist() == [0, 0, 1]
    assert len(masked_cameras(dataset)) == len(dataset.cameras) == 10
    for camera in dataset.cameras:
        maps = load_level_maps(dataset, camera)  # checks nesting itself
        assert (maps > 0).any((1, 2)).all(), "no level is empty"


def test_labels_are_a_tree_and_cover_all_but_the_floaters(small_scene: Path):
    labels, gaussians = true_labels(small_scene), load_gaussians(read_ply(small_scene / "scene.ply"))
    assert labels.shape == (len(gaussians), 3) == (12_000, 3)
    for level in (1, 2):  # one parent for each child
        assert len(np.unique(labels[:, : level + 1], axis=0)) == len(np.unique(labels[:, level]))
    nothing = (labels == 0).all(1)
    assert 0 < nothing.mean() < 0.01 and not ((labels == 0).any(1) & ~nothing).any()
    faint = {int(part) for part in np.unique(labels[~nothing, 2])
             if np.median(gaussians.opacities[labels[:, 2] == part]) < 0.3}  # fmt: skip
    assert len(faint) == 1, "one see-through object"


def test_true_maps_nest_and_use_the_labels_of_the_scene(small_scene: Path):
    labels = true_labels(small_scene)
    chains = {tuple(row) for row in np.unique(labels, axis=0).tolist()}
    for camera in read_transforms(small_scene / "gt" / "transforms_test.json")[0]:
        maps = true_maps(small_scene, camera.name)
        check_nested(maps, camera.name)
        seen = {tuple(row) for row in np.unique(maps.reshape(3, -1).T, axis=0).tolist()}
        whole = {chain for chain in seen if 0 not in chain}
        assert whole <= chains
        assert len({group for group, _, _ in whole}) >= 3, "a view of the room shows floor, walls and furniture"


def test_held_out_views_are_not_among_the_training_views(small_scene: Path):
    train = read_transforms(small_scene / "transforms.json")[0]
    test = read_transforms(small_scene / "gt" / "transforms_test.json")[0]
    gaps = [np.linalg.norm(a.position - b.position) for a in train for b in test]
    assert min(gaps) > 0.05  # metres; the same place would make held-out figures worthless


def test_one_seed_one_scene(tmp_path: Path):
    for name in ("a", "b"):
        make_scene(tmp_path / name, TINY, Reporter())
    make_scene(tmp_path / "other", SceneConfig(**{**vars(TINY), "seed": 1}), Reporter())
    for file in ("scene.ply", "transforms.json", "masks/level_3/train_001.png", "gt/level_2/test_000.png"):
        a, b, other = ((tmp_path / name / file).read_bytes() for name in ("a", "b", "other"))
        assert a == b != other, file


def test_crowded_scene_holds_more_than_sixty_objects(tmp_path: Path):
    make_scene(tmp_path / "s", SceneConfig(**{**vars(TINY), "kind": "crowded", "sh_degree": 0}), Reporter())
    labels = true_labels(tmp_path / "s")
    assert len(np.unique(labels[:, 1])) > 60
    assert read_ply(tmp_path / "s" / "scene.ply").rest_count == 0


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path):
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(UsageError, match="no made scene"):
        make_scene(tmp_path, TINY, Reporter())
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_scene_replaces_its_own_files_alone(tmp_path: Path):
    folder = tmp_path / "scene"
    make_scene(folder, TINY, Reporter())
    (folder / "images" / "mine.txt").write_text("keep me")
    first = (folder / "scene.ply").read_bytes()
    make_scene(folder, replace(TINY, seed=1, views=1), Reporter())
    assert (folder / "images" / "mine.txt").read_text() == "keep me"
    assert (folder / "scene.ply").read_bytes() != first and not (folder / "images" / "train_001.jpg").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]


@pytest.mark.parametrize("bad", [{"kind": "garden"}, {"gaussians": 10}, {"views": 0}, {"noise": 4}, {"sh_degree": 3}])
def test_impossible_configurations_are_refused(bad: dict):
    with pytest.raises(UsageError):
        SceneConfig(**bad)


def blocks() -> np.ndarray:
    """Nested maps [3, 96, 128]: 2 groups, 4 objects, 16 parts, in a grid."""
    ys, xs = np.mgrid[:96, :128]
    objects = 1 + xs // 64 + 2 * (ys // 48)
    return np.stack([1 + xs // 64, objects, 4 * objects + (xs // 32) % 2 + 2 * ((ys // 24) % 2)])


@pytest.mark.parametrize("noise", range(len(NOISE_STRENGTH)))
def test_faulty_masks_always_nest(noise: int):
    rng = np.random.default_rng(noise)
    for _ in range(40):
        check_nested(with_faults(blocks(), noise, rng), f"noise {noise}")


def test_faults_grow_with_noise_and_none_changes_only_the_ids():
    truth = blocks()
    parts = truth[2]

    def spoilt(noise: int) -> float:
        """Mean share of part pixels that the part's commonest mask misses."""
        rng, shares = np.random.default_rng(3), []
        for _ in range(30):
            found = with_faults(truth, noise, rng)[2]
            for part in np.unique(parts):
                counts = np.unique(found[parts == part], return_counts=True)
                kept = max((n for mask, n in zip(*counts, strict=True) if mask > 0), default=0)
                total = (found == counts[0][counts[1].argmax()]).sum()
                shares.append(1 - kept / max(total, (parts == part).sum()))
        return float(np.mean(shares))

    figures = [spoilt(noise) for noise in range(4)]
    assert figures[0] == 0 and figures == sorted(figures) and figures[3] > figures[1] + 0.1


@pytest.mark.parametrize(
    ("kind", "size"),
    [("box", (1.0, 2.0, 3.0)), ("sphere", (2.0, 2.0, 2.0)), ("cylinder", (1.0, 1.0, 2.0)), ("cone", (1.0, 1.0, 2.0)),
     ("torus", (2.0, 2.0, 0.5)), ("plane", (2.0, 1.0, 0.0))],
)  # fmt: skip
def test_samples_lie_on_the_surface_evenly(kind: str, size: tuple[float, float, float]):
    primitive = Primitive(kind=kind, center=(1.0, 2.0, 3.0), size=size, color=(1.0, 0.5, 0.2))  # type: ignore[arg-type]
    points, normals, colors = sample(primitive, 20_000, np.random.default_rng(0))
    own = points - primitive.center
    assert (np.abs(own) <= np.array(size) / 2 + 1e-9).all()
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert np.allclose(own.mean(0)[:2], 0, atol=0.03)  # symmetric about its axis: 3 standard errors of 20,000 samples
    assert colors.shape == (20_000, 3)
    flux = primitive.area * np.mean((own * normals).sum(1))  # divergence theorem: 3 volumes of a closed surface
    x, y, z = size
    volume = {
        "box": x * y * z,
        "sphere": np.pi / 6 * x**3,
        "cylinder": np.pi / 4 * x * x * z,
        "cone": np.pi / 12 * x * x * z,
        "torus": 2 * np.pi**2 * ((x - z) / 2) * (z / 2) ** 2,
        "plane": 0.0,
    }[kind]
    assert flux == pytest.approx(3 * volume, rel=0.02, abs=1e-9)  # face counts of a box are drawn: 1 % of noise
