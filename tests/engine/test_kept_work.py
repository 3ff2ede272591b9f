"""What a job needs is checked before its long stages, and what it has made is there for the next try."""

import os
import shutil
from pathlib import Path

import pytest

from bgs_engine.cli.main import main
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import BgsError, InputError, OutputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.file_set import complete, replacing
from bgs_engine.core.files import write_json, write_text
from bgs_engine.io.dataset_files import VIEWS, complete_dataset
from bgs_engine.io.output_place import old_folder, partial_folder
from bgs_engine.io.run_folder import open_run
from bgs_engine.masks.config import MasksConfig
from bgs_engine.pipeline.room import check_room
from bgs_engine.pipeline.runs import segment_run
from bgs_engine.train.config import TrainConfig
from bgs_engine.views import ViewsConfig, make_views
from tests.helpers.faults import contents
from tests.helpers.made_figures import figure, splat

LAYOUT = BitLayout((12, 10, 10))
CPU = TrainConfig(device="cpu", iterations=2)
SMALL = ViewsConfig(count=2, size=(48, 36))
NO_MODEL = MasksConfig(model="onnx:/nowhere/encoder.onnx,/nowhere/decoder.onnx")


@pytest.fixture(scope="module")
def ply(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return splat(tmp_path_factory.mktemp("kept") / "figure.ply", figure(), 0.02)


def stages_of(ply: Path, out: Path, resume: bool = False) -> list[str]:
    """The stages of `bgs segment` with a mask model that is not there, and what it says about work that it keeps."""
    said: list[str] = []

    def note(event: dict) -> None:
        if event["event"] in ("stage", "warning"):
            said.append(event.get("name") or event["message"])

    with pytest.raises(BgsError, match="encoder"):
        segment_run(ply, out, LAYOUT, CPU, NO_MODEL, Reporter([note]), view_count=2, resume=resume)
    return said


def test_a_missing_mask_model_is_said_before_views_are_rendered(ply: Path, tmp_path: Path) -> None:
    said = stages_of(ply, tmp_path / "run")
    assert "Load mask model" in said and "render views" not in said
    assert list(tmp_path.iterdir()) == []  # nothing was made


def test_views_of_an_earlier_try_stay_and_those_of_another_splat_go(ply: Path, tmp_path: Path) -> None:
    views = partial_folder(tmp_path / "run") / "dataset"
    make_views(ply, views, ViewsConfig(count=2), Reporter())
    (partial_folder(tmp_path / "run") / "checkpoint.npz").write_bytes(b"of another job")
    before = contents(views)
    assert any("is kept in" in line for line in stages_of(ply, tmp_path / "run"))
    assert contents(views) == before and not (views.parent / "checkpoint.npz").exists()
    other = splat(tmp_path / "other.ply", figure()[:3], 0.02)
    stages_of(other, tmp_path / "run")
    assert not views.exists()


def test_another_splat_does_not_go_on_with_the_views_of_a_stopped_job(ply: Path, tmp_path: Path) -> None:
    from bgs_engine.pipeline.rendered_views import render_views

    make_views(ply, tmp_path / "data", SMALL, Reporter())
    before = contents(tmp_path / "data")
    other = splat(tmp_path / "other.ply", figure()[:3], 0.02)
    with pytest.raises(InputError, match="another splat"):
        render_views(tmp_path / "data", other, SMALL, True, Reporter())
    render_views(tmp_path / "data", ply, SMALL, True, Reporter())
    assert contents(tmp_path / "data") == before


def test_too_little_room_is_said_before_the_work(tmp_path: Path) -> None:
    check_room(tmp_path, 1)
    (tmp_path / "run").mkdir()
    with pytest.raises(OutputError, match=r"needs about 1,000,000,000\.0 GB more in .*, and .* are free") as caught:
        check_room(tmp_path / "run", 10**18)
    assert "Free some disk space" in caught.value.hint
    with (tmp_path / "run" / "checkpoint.npz").open("wb") as stream:  # sparse: what is written needs no room again
        stream.truncate(10**12)
    check_room(tmp_path / "run", 10**12 + 1)


def test_fewer_views_leave_no_image_of_the_earlier_ones(ply: Path, tmp_path: Path) -> None:
    make_views(ply, tmp_path, ViewsConfig(count=3, size=(48, 36)), Reporter())
    (tmp_path / "images" / "mine.jpg").write_bytes(b"mine")
    make_views(ply, tmp_path, SMALL, Reporter())
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == ["mine.jpg", "view_000.jpg", "view_001.jpg"]


def test_masks_are_not_written_through_a_link(small_scene: Path, tmp_path: Path) -> None:
    dataset = Path(shutil.copytree(small_scene, tmp_path / "dataset", ignore=shutil.ignore_patterns("masks")))
    (tmp_path / "elsewhere").mkdir()
    (dataset / "masks").symlink_to(tmp_path / "elsewhere")
    assert main(["masks", str(dataset), "--model", f"import:{small_scene / 'masks'}"]) == 2
    assert (dataset / "masks").is_symlink() and list((tmp_path / "elsewhere").iterdir()) == []


def test_a_set_of_files_leads_nowhere_else(tmp_path: Path) -> None:
    """A dataset from a stranger may hold what looks like the files of a killed job."""
    (tmp_path / "home").mkdir()
    write_text(tmp_path / "home" / "mine", "mine")
    data = tmp_path / "data"
    write_text(data / ".views.ready" / "images" / "mine", "theirs")
    write_json(data / ".views.ready" / "removed.json", ["../home/mine", "/home/mine", 3, "", "images/mine2"])
    (data / "images").symlink_to(tmp_path / "home")
    with pytest.raises(UsageError, match="leads out of"):
        complete_dataset(data)
    (data / "images").unlink()
    complete_dataset(data)
    assert (tmp_path / "home" / "mine").read_text() == "mine"
    assert contents(data, hidden=True) == {"images/mine": b"theirs"}
    shutil.rmtree(data)
    data.mkdir()
    (data / ".views.ready").symlink_to(tmp_path / "home")
    complete_dataset(data)
    assert (tmp_path / "home" / "mine").read_text() == "mine"


def test_files_that_are_already_in_place_are_not_removed_by_the_second_try(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with replacing(tmp_path, VIEWS) as new:
        new.gone.update(["a", "b"])
        write_text(new.folder / "a", "new")
    write_json(tmp_path / f".{VIEWS}.ready" / "removed.json", ["b"])  # killed after the last move
    complete(tmp_path, VIEWS)
    assert contents(tmp_path, hidden=True) == {"a": b"new"}


def test_where_an_earlier_run_waits_is_said(tmp_path: Path) -> None:
    old_folder(tmp_path / "run").mkdir()
    with pytest.raises(InputError, match=r"waits in .*\.run\.old") as caught:
        open_run(tmp_path / "run")
    assert "Rename that folder to run" in caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="Windows has other limits")
def test_names_that_are_too_long_are_said(small_scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", str(small_scene), "-o", str(tmp_path / ("x" * 250))]) == 3
    assert "File name too long. Choose a shorter name" in capsys.readouterr().err
    with pytest.raises(OutputError, match="File name too long"):
        write_text(tmp_path / ("x" * 250), "text")
    assert list(tmp_path.iterdir()) == []
