"""The real jobs in places that hold something of the user's."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bgs_engine.cli.main import main
from bgs_engine.io.output_place import files_below


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_below(folder)}


@pytest.fixture
def dataset(small_scene: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_scene, tmp_path / "dataset"))


def train(dataset: Path, out: Path | str) -> int:
    return main(["train", str(dataset), "-o", str(out), "--iterations", "2"])


def test_a_dataset_is_no_place_for_its_own_run(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(dataset)
    for out in (dataset, dataset / ".", dataset / "images" / "..", dataset.parent):
        assert train(dataset, out) == 2
        assert "holds" in capsys.readouterr().err
    assert contents(dataset) == before


def test_files_of_the_users_are_not_replaced(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("thesis")
    assert train(dataset, tmp_path / "mine") == 2
    assert main(["views", str(dataset / "scene.ply"), "-o", str(dataset), "--count", "2"]) == 0  # ours: made scenes
    assert contents(tmp_path / "mine") == {"thesis.txt": b"thesis"}


def test_cameras_and_masks_of_the_users_are_not_replaced(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "transforms.json").write_text('{"frames": []}')
    before = contents(dataset)
    assert main(["views", str(dataset / "scene.ply"), "-o", str(dataset), "--count", "2"]) == 2
    assert "not made by bgs views" in capsys.readouterr().err
    assert contents(dataset) == before


def test_masks_drawn_by_hand_stay(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(dataset / "masks")
    assert main(["masks", str(dataset), "--model", f"import:{dataset / 'masks'}"]) == 2
    assert "did not make" in capsys.readouterr().err
    assert contents(dataset / "masks") == before


def test_a_file_kept_in_a_run_stays_there_through_the_next_run(dataset: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(dataset, run) == 0
    first = (run / "run.json").read_text()
    (run / "scene.blend").write_text("mine")
    assert train(dataset, run) == 0
    assert (run / "scene.blend").read_text() == "mine"
    assert (run / "run.json").read_text() != first  # another identity
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "run"]


def test_a_second_job_in_one_place_is_refused(dataset: Path, tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from bgs_engine.io.job_lock import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "held\n"
        assert train(dataset, tmp_path / "run") == 2
        owner.kill()
    assert train(dataset, tmp_path / "run") == 0
