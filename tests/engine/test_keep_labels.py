"""`--keep-labels`: labels that were mended by hand are fixed in a new run of the same splat."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.cli import main
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.label_table import build_label_table, read_labels
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.run_folder import Run, open_run, save_labels
from bgs_engine.pipeline.runs import train_run
from bgs_engine.train.config import TrainConfig
from blender_bgs.logic.label_tree import reassign

LAYOUT = BitLayout()
FLAGS = ["--iterations", "5", "--uniform-pixels", "200", "--balanced-pixels", "200"]
QUICK = TrainConfig(iterations=5, uniform_pixels=200, balanced_pixels=200)


@pytest.fixture(scope="module")
def trained(small_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_run(small_scene, tmp_path_factory.mktemp("runs") / "run", LAYOUT, QUICK, Reporter())


@pytest.fixture
def mended(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run in which a person joined the two largest labels of level 1 and called them Both."""
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    save(open_run(folder), joined(open_run(folder)))
    return folder


def largest(run: Run) -> list[int]:
    return [row.label for row in run.labels().of(1)[:2]]


def joined(run: Run) -> np.ndarray:
    first, second = largest(run)
    return reassign(run.codes, run.layout.labels(run.codes, 1) == second, run.layout, 1, first)


def save(run: Run, codes: np.ndarray) -> None:
    splat = load_gaussians(run.ply)
    table = build_label_table(run.layout, codes, splat.means, splat.opacities, splat.base_colors)
    table.levels[0][0].name, table.levels[0][0].shown_color = "Both", (0.25, 0.5, 0.75)
    with only_writer(run.folder):
        save_labels(run, codes, table)


def test_the_mended_label_is_in_the_new_run_and_all_else_is_new(small_scene: Path, trained: Path, mended: Path) -> None:
    before, fresh = open_run(mended), open_run(trained)
    assert main(["train", str(small_scene), "-o", str(mended), *FLAGS, "--keep-labels"]) == 0
    after = open_run(mended)
    assert after.layout == LAYOUT and after.info["metrics"]["labels_kept"] == 1
    union = np.isin(LAYOUT.labels(fresh.codes, 1), largest(fresh))
    [both] = set(LAYOUT.labels(after.codes[union], 1).tolist())
    assert np.array_equal(LAYOUT.labels(after.codes, 1) == both, union)
    # The same seed and data: a run without the option has the codes of the first one.
    assert np.array_equal(np.load(mended / "codes_engine.npy"), fresh.codes)
    assert np.array_equal(after.codes[~union], fresh.codes[~union])
    row = next(row for row in after.labels().of(1) if row.label == both)
    assert (row.name, row.shown_color, row.count) == ("Both", (0.25, 0.5, 0.75), union.sum())
    assert [row.count for row in read_labels(mended / "labels_engine.json").of(1)] == [
        row.count for row in fresh.labels().of(1)
    ]
    assert not np.array_equal(before.codes, fresh.codes)  # else the test would show nothing
    # A third run finds the label mended again.
    train_run(small_scene, mended, None, QUICK, Reporter(), keep=mended)
    assert np.array_equal(open_run(mended).codes, after.codes)


def test_without_the_option_the_run_is_the_engines(small_scene: Path, trained: Path, mended: Path) -> None:
    train_run(small_scene, mended, LAYOUT, QUICK, Reporter())
    assert np.array_equal(open_run(mended).codes, open_run(trained).codes)
    assert not (mended / "codes_engine.npy").exists()


def test_labels_of_another_run_can_be_kept(small_scene: Path, mended: Path, tmp_path: Path) -> None:
    codes = open_run(mended).codes
    assert main(["train", str(small_scene), "-o", str(tmp_path / "new"), *FLAGS, "--keep-labels", str(mended)]) == 0
    assert open_run(tmp_path / "new").labels().of(1)[0].name == "Both"
    assert np.array_equal(open_run(mended).codes, codes)


def test_a_run_without_mended_labels_warns_and_goes_on(small_scene: Path, trained: Path, tmp_path: Path) -> None:
    reporter = Reporter()
    train_run(small_scene, tmp_path / "run", None, QUICK, reporter, keep=trained)
    assert any("none to keep" in warning for warning in reporter.warnings)
    assert not (tmp_path / "run" / "codes_engine.npy").exists()


def test_too_few_levels_and_another_splat_are_refused_before_the_work(
    small_scene: Path, mended: Path, tmp_path: Path
) -> None:
    run = open_run(mended)
    label = run.labels().of(3)[0].label
    rows = LAYOUT.labels(run.codes, 3) == label
    save(run, reassign(run.codes, rows & (np.cumsum(rows) % 2 == 0), LAYOUT, 3, label ^ 1023))
    with pytest.raises(UsageError, match="2 mended labels are finer than level 2"):
        train_run(small_scene, tmp_path / "new", BitLayout((12, 10)), QUICK, Reporter(), keep=mended)
    with pytest.raises(InputError, match=r"no run|run\.json"):
        train_run(small_scene, tmp_path / "new", None, QUICK, Reporter(), keep=tmp_path / "nothing")
    other = tmp_path / "other"
    shutil.copytree(small_scene, other)
    ply = next(other.glob("*.ply"))
    data = bytearray(ply.read_bytes())
    start = data.index(b"end_header\n") + 11
    data[start : start + 4] = np.float32(0.125).tobytes()  # x of the first Gaussian
    ply.write_bytes(bytes(data))
    with pytest.raises(InputError, match="another splat"):
        train_run(other, tmp_path / "new", None, QUICK, Reporter(), keep=mended)
    assert not (tmp_path / "new").exists()
