"""`bgs eval`: right answers score high, wrong ones low, and only the partition counts, never the numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import write_json
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import RUN_FORMAT, write_coded_ply
from bgs_engine.output.evaluate import as_table, evaluate_run

LAYOUT = BitLayout((8, 8, 8))


@pytest.fixture(scope="module")
def truth(small_scene: Path) -> np.ndarray:
    return np.load(small_scene / "gt" / "labels.npz")["labels"]


def random_codes(labels: np.ndarray, seed: int) -> np.ndarray:
    """Codes int32 [N] of labels [N, 3]: each label's own number drawn at random, so that blends rarely hit a code."""
    rng = np.random.default_rng(seed)
    own = [rng.permutation(256)[labels[:, level]] for level in range(3)]
    return LAYOUT.pack(own)


def evaluate(scene: Path, codes: np.ndarray, folder: Path, layout: BitLayout = LAYOUT) -> dict:
    ply = read_ply(scene / "scene.ply")
    folder.mkdir()
    np.save(folder / "codes.npy", codes)
    np.save(folder / "opacity.npy", load_gaussians(ply, colors=False).opacities)
    write_coded_ply(folder / "scene.ply", ply, codes)
    write_json(folder / "run.json", {"format": RUN_FORMAT, "level_bits": layout.level_bits})
    return evaluate_run(folder, scene / "gt", Reporter())


@pytest.fixture(scope="module")
def right(small_scene: Path, truth: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict:
    return evaluate(small_scene, random_codes(truth, 0), tmp_path_factory.mktemp("right") / "run")


def test_true_labels_score_high(right: dict):
    for level, click in ((1, 0.95), (2, 0.9), (3, 0.8)):  # small parts are mostly border, where bits of several mix
        row = right[f"level_{level}"]
        assert row["click"] > click and row["best"] >= row["click"]
        assert row["boundary"] > 0.8
        assert row["collisions"] == 0 and row["segments"] > 5
        assert row["gaussians"] == 1  # nothing is blended there
    assert 0 < right["snapped"] < 0.2  # random codes: a border pixel's blend is nobody's code


def test_the_order_of_bits_within_a_level_changes_nothing(
    right: dict, small_scene: Path, truth: np.ndarray, tmp_path: Path
):
    """Bits are blended one by one, so moving them about within their level renames classes and does no more."""
    bits = LAYOUT.to_bits(random_codes(truth, 0))
    moved = np.concatenate([bits[:, columns][:, ::-1] for columns in LAYOUT.slices()], axis=1)
    codes = LAYOUT.from_features(moved)
    assert (codes != random_codes(truth, 0)).mean() > 0.9
    assert evaluate(small_scene, codes, tmp_path / "run") == right


def test_gaussian_figures_depend_on_the_partition_alone(
    right: dict, small_scene: Path, truth: np.ndarray, tmp_path: Path
):
    """Other random numbers for the same labels: pixels of mixed light may differ a little, Gaussians may not."""
    spoilt = truth.copy()
    spoilt[::7] = truth[np.random.default_rng(0).permutation(len(truth))[: len(truth[::7])]]
    a, b = (evaluate(small_scene, random_codes(spoilt, seed), tmp_path / str(seed)) for seed in (0, 1))
    for level in ("level_1", "level_2", "level_3"):
        assert a[level]["gaussians"] == b[level]["gaussians"] < right[level]["gaussians"]
        assert a[level]["segments"] == b[level]["segments"] == right[level]["segments"]


def test_wrong_labels_score_low(right: dict, small_scene: Path, truth: np.ndarray, tmp_path: Path):
    rows = np.random.default_rng(0).permutation(len(truth))
    found = evaluate(small_scene, random_codes(truth[rows], 0), tmp_path / "run")
    for level in ("level_1", "level_2", "level_3"):
        assert found[level]["click"] < right[level]["click"] - 0.3
        assert found[level]["gaussians"] < 0.5


def test_merged_groups_collide_and_cost_both(right: dict, small_scene: Path, truth: np.ndarray, tmp_path: Path):
    merged = truth.copy()
    merged[:, 0] = np.where(merged[:, 0] == 2, 1, merged[:, 0])  # walls and floor: both are in every view
    found = evaluate(small_scene, random_codes(merged, 0), tmp_path / "run")
    assert found["level_1"]["collisions"] == 2  # one pair in each of two views
    assert found["level_1"]["click"] < right["level_1"]["click"] - 0.05
    assert found["level_1"]["gaussians"] < 1


def test_a_run_of_fewer_levels_is_judged_by_its_finest(small_scene: Path, truth: np.ndarray, tmp_path: Path):
    found = evaluate(small_scene, truth[:, 0].astype(np.int32), tmp_path / "run", BitLayout((8,)))
    assert found["level_1"]["gaussians"] == 1
    assert found["level_3"]["collisions"] > 0 and found["level_3"]["click"] < found["level_1"]["click"]


def test_result_is_json_and_a_table(right: dict):
    assert json.loads(json.dumps(right, allow_nan=False)) == right
    table = as_table(right)
    assert "level_3" in table and f"{right['level_2']['click']:.4f}" in table


def test_a_truth_of_another_scene_is_refused(small_scene: Path, truth: np.ndarray, tmp_path: Path):
    other = tmp_path / "gt"
    other.mkdir()
    for path in (small_scene / "gt").iterdir():
        (other / path.name).symlink_to(path)
    (other / "labels.npz").unlink()
    np.savez_compressed(other / "labels.npz", labels=truth[:-1])
    evaluate(small_scene, random_codes(truth, 0), tmp_path / "run")
    with pytest.raises(InputError, match="not for this scene"):
        evaluate_run(tmp_path / "run", other, Reporter())
    with pytest.raises(InputError, match="cannot be read"):
        evaluate_run(tmp_path / "run", tmp_path / "nowhere", Reporter())
