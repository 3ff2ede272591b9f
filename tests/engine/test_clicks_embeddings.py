"""Features of views: made once, kept in the run folder, dropped where they are needed least, made anew if damaged."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgs_engine.clicks.embedding_files import EmbeddingFiles
from bgs_engine.clicks.embeddings import Embeddings
from bgs_engine.core.errors import CancelledError, InputError
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.output_place import EMBEDDINGS_FOLDER, RUN
from bgs_engine.masks.onnx_model import OnnxSam
from tests.helpers.toy_mask_model import write_models

SIDE = 32


class Shot:
    """A made picture."""

    def __init__(self, number: int) -> None:
        self.identity, self.reads = f"shot {number}", 0
        self._pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)

    def pixels(self) -> np.ndarray:
        self.reads += 1
        return self._pixels


class Gone(Shot):
    def pixels(self) -> np.ndarray:
        raise InputError("photo.jpg cannot be read.", "Put it back.")


class Slow:
    """A model whose encoder waits until it may go on, and whose features cannot be packed."""

    signature = "slow"

    def __init__(self) -> None:
        self.go, self.calls = threading.Event(), 0

    def encode(self, image: np.ndarray) -> Any:
        self.calls += 1
        assert self.go.wait(30)
        return int(image.sum())

    def decode(self, encoded: Any, points: np.ndarray) -> Any:
        raise NotImplementedError

    def decode_together(self, encoded: Any, points: np.ndarray, kinds: np.ndarray) -> Any:
        raise NotImplementedError

    def stop(self) -> None:
        self.go.set()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OnnxSam:
    return OnnxSam(*write_models(tmp_path_factory.mktemp("toy")), threads=1)


def files_in(run: Path, most: int = 10**9) -> EmbeddingFiles:
    run.mkdir(exist_ok=True)
    return EmbeddingFiles(run, lambda: True, most)


def names(run: Path) -> list[str]:
    folder = run / EMBEDDINGS_FOLDER
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def all_of(embeddings: Embeddings) -> None:
    end = time.monotonic() + 30
    while embeddings.work_ahead():
        assert time.monotonic() < end


def test_features_are_those_of_the_model_to_half_precision(model: OnnxSam) -> None:
    shot = Shot(1)
    encoded = Embeddings([shot], model).encoded(0)
    want = model.encode(shot.pixels())
    for name, values in want.features.items():
        assert encoded.features[name].dtype == np.float32
        np.testing.assert_allclose(encoded.features[name], values, rtol=2**-10, atol=1e-7)  # 11 bits of a float16
    assert (encoded.to_input, encoded.used) == (want.to_input, want.used)


def test_the_next_session_encodes_nothing_and_gets_the_same(model: OnnxSam, tmp_path: Path) -> None:
    shots = [Shot(number) for number in range(3)]
    first = Embeddings(shots, model, files_in(tmp_path / "run"))
    all_of(first)
    assert first.encodings == 3 and len(names(tmp_path / "run")) == 3
    again = [Shot(number) for number in range(3)]
    second = Embeddings(again, model, files_in(tmp_path / "run"))
    all_of(second)
    assert second.encodings == 0 and [shot.reads for shot in again] == [0, 0, 0]
    for number in range(3):
        for name, values in first.encoded(number).features.items():
            assert np.array_equal(values, second.encoded(number).features[name])


def test_another_picture_or_another_model_has_features_of_its_own(model: OnnxSam, tmp_path: Path) -> None:
    all_of(Embeddings([Shot(1)], model, files_in(tmp_path / "run")))
    other = Embeddings([Shot(2)], model, files_in(tmp_path / "run"))
    all_of(other)
    assert other.encodings == 1 and len(names(tmp_path / "run")) == 2


def test_an_ask_is_served_before_the_views_that_nobody_asked_for(model: OnnxSam) -> None:
    shots = [Shot(number) for number in range(6)]
    embeddings = Embeddings(shots, model)
    embeddings.work_ahead()
    embeddings.encoded(5)
    assert embeddings.encodings <= 2 and shots[5].reads == 1  # at most the one that was begun came before


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "other": lambda data: b"x" * 500,
    "end": lambda data: data[:-300] + bytes(300),
    "name": lambda data: data.replace(b"used", b"uzed"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_made_anew(model: OnnxSam, tmp_path: Path, damage: Any) -> None:
    all_of(Embeddings([Shot(1)], model, files_in(tmp_path / "run")))
    path = tmp_path / "run" / EMBEDDINGS_FOLDER / names(tmp_path / "run")[0]
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    again = Embeddings([Shot(1)], model, files_in(tmp_path / "run"))
    again.encoded(0)
    assert again.encodings == 1
    third = Embeddings([Shot(1)], model, files_in(tmp_path / "run"))
    third.encoded(0)
    assert third.encodings == 0


@pytest.mark.parametrize("change", [{"used": np.array([0, 5])}, {"to_input": np.array([np.nan, 1.0])},
                                    {"used": np.array([1, 2, 3])}, {"feature_features": np.zeros((1, 3, 5, 5), "f2")},
                                    {"feature_features": np.zeros(3, "f2")}])  # fmt: skip
def test_arrays_of_another_model_are_not_taken(model: OnnxSam, tmp_path: Path, change: dict[str, np.ndarray]) -> None:
    files = files_in(tmp_path / "run")
    packed = model.packed(model.encode(Shot(1).pixels()))
    assert packed is not None
    wrong = {**packed, **change}
    with pytest.raises(ValueError):
        model.unpacked({name: np.asarray(values) for name, values in wrong.items()})
    embeddings = Embeddings([Shot(1)], model, files)
    assert files.keep(embeddings._key(0), wrong, [])
    embeddings.encoded(0)
    assert embeddings.encodings == 1


def test_the_oldest_that_this_session_does_not_need_go_first(model: OnnxSam, tmp_path: Path) -> None:
    all_of(Embeddings([Shot(number) for number in range(4)], model, files_in(tmp_path / "run")))
    folder = tmp_path / "run" / EMBEDDINGS_FOLDER
    one = (folder / names(tmp_path / "run")[0]).stat().st_size
    keys = Embeddings([Shot(number) for number in range(6)], model)
    for age, number in enumerate((2, 0, 3, 1)):  # from old to new
        os.utime(folder / f"{keys._key(number)}.npz", (1e9 + age, 1e9 + age))
    all_of(Embeddings([Shot(number) for number in (2, 4, 5)], model, files_in(tmp_path / "run", 4 * one + 10)))
    # 2 is the oldest but needed; 0 and 3 had to go for 4 and 5.
    assert names(tmp_path / "run") == sorted(f"{keys._key(number)}.npz" for number in (1, 2, 4, 5))


def test_a_folder_full_of_what_is_needed_keeps_what_it_has(model: OnnxSam, tmp_path: Path) -> None:
    shots = [Shot(number) for number in range(4)]
    all_of(Embeddings(shots[:1], model, files_in(tmp_path / "run")))
    one = (tmp_path / "run" / EMBEDDINGS_FOLDER / names(tmp_path / "run")[0]).stat().st_size
    embeddings = Embeddings(shots, model, files_in(tmp_path / "run", 2 * one + 10))
    all_of(embeddings)
    assert len(names(tmp_path / "run")) == 2
    embeddings.encoded(3)
    assert embeddings.encodings == 3  # the others are in memory


def test_a_folder_that_cannot_be_written_is_no_error(model: OnnxSam, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / EMBEDDINGS_FOLDER).write_text("a file is in the way")
    files = files_in(tmp_path / "run")
    embeddings = Embeddings([Shot(1), Shot(2)], model, files)
    all_of(embeddings)
    embeddings.encoded(1)
    assert embeddings.encodings == 2 and files.problem is not None
    assert (tmp_path / "run" / EMBEDDINGS_FOLDER).read_text() == "a file is in the way"


def test_a_link_leads_no_file_out_of_the_run(model: OnnxSam, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "theirs").mkdir()
    mine = tmp_path / "theirs" / f"{'0' * 32}.npz"
    mine.write_bytes(b"x" * 1000)
    (tmp_path / "run" / EMBEDDINGS_FOLDER).symlink_to(tmp_path / "theirs")
    all_of(Embeddings([Shot(1)], model, files_in(tmp_path / "run", 100_000)))
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == [mine.name]


def test_a_file_that_claims_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgs_engine.clicks.embedding_files.MOST_OF_ONE", 10_000)
    files = files_in(tmp_path / "run")
    files.folder.mkdir()
    np.savez_compressed(files.folder / f"{'a' * 32}.npz", **{f"feature_{k}": np.zeros(900) for k in range(2)})  # type: ignore[arg-type]
    assert files.load("a" * 32) is None  # 14,400 bytes; one alone would do
    np.savez_compressed(files.folder / f"{'b' * 32}.npz", feature=np.zeros(900))
    assert files.load("b" * 32) is not None


def test_nothing_is_written_while_another_process_does_or_after_the_run_was_replaced(
    model: OnnxSam, tmp_path: Path
) -> None:
    files = files_in(tmp_path / "run")
    with only_writer(tmp_path / "run" / EMBEDDINGS_FOLDER):
        all_of(Embeddings([Shot(1)], model, files))
        assert names(tmp_path / "run") == []
    replaced = EmbeddingFiles(tmp_path / "run", lambda: False)
    all_of(Embeddings([Shot(1)], model, replaced))
    assert names(tmp_path / "run") == []
    all_of(Embeddings([Shot(1)], model, files))  # the other process has gone
    assert len(names(tmp_path / "run")) == 1


def test_a_run_owns_its_embeddings_and_no_file_of_the_users_beside_them(model: OnnxSam, tmp_path: Path) -> None:
    run = tmp_path / "run"
    all_of(Embeddings([Shot(1)], model, files_in(run)))
    (run / "run.json").write_text('{"files": ["codes.npy", "run.json"]}')
    (run / "codes.npy").write_bytes(b"")
    (run / EMBEDDINGS_FOLDER / "notes.txt").write_text("mine")
    own = RUN.own_files(run)
    assert own == {"run.json", "codes.npy", *(f"{EMBEDDINGS_FOLDER}/{n}" for n in names(run) if n.endswith(".npz"))}


def test_an_ask_that_waits_for_the_encoder_can_be_cancelled_and_the_work_is_not_lost() -> None:
    model = Slow()
    embeddings = Embeddings([Shot(1)], model)

    def cancelled() -> None:
        raise CancelledError

    embeddings.check = cancelled
    began = time.monotonic()
    with pytest.raises(CancelledError):
        embeddings.encoded(0)
    assert time.monotonic() - began < 1  # the encoder would have waited for half a minute
    model.go.set()
    embeddings.check = lambda: None
    assert embeddings.encoded(0) == int(Shot(1).pixels().sum())
    assert model.calls == 1


def test_a_picture_that_cannot_be_read_is_named_when_it_is_needed(model: OnnxSam) -> None:
    embeddings = Embeddings([Gone(1), Shot(2)], model)
    all_of(embeddings)
    with pytest.raises(InputError, match="photo"):
        embeddings.encoded(0)
    embeddings.encoded(1)
    assert embeddings.encodings == 1


def test_memory_has_a_limit(model: OnnxSam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgs_engine.clicks.embeddings.UNPACKED_BYTES", 1)
    shots = [Shot(number) for number in range(3)]
    embeddings = Embeddings(shots, model, memory_bytes=1)
    for number in (0, 1, 0):
        embeddings.encoded(number)
    assert embeddings.encodings == 3  # the first was dropped for the second


def test_views_whose_features_are_there_are_ready(model: OnnxSam, tmp_path: Path) -> None:
    shots = [Shot(number) for number in range(3)]
    first = Embeddings(shots, model, files_in(tmp_path / "run"))
    assert not any(first.ready(number) for number in range(3))
    first.encoded(1)
    assert [first.ready(number) for number in range(3)] == [False, True, False]
    again = Embeddings(shots, model, files_in(tmp_path / "run"))
    assert [again.ready(number) for number in range(3)] == [False, True, False]  # on the disk
    assert not Embeddings([Gone(5)], model, files_in(tmp_path / "run")).ready(0)


def test_close_stops_the_encoder() -> None:
    model = Slow()
    embeddings = Embeddings([Shot(1), Shot(2)], model)
    embeddings.work_ahead()
    embeddings.close()
    assert model.go.is_set()
