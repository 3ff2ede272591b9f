"""Inside a chroot with a real Blender: the extension installed as a user would, a screen to draw on, a made scene."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.helpers import made_splat

OUT = Path("/mnt/out")
if not (OUT / "extension.zip").is_file():  # `pytest` at the top of the repository: this folder needs its chroot
    collect_ignore_glob = ["test_*.py"]


def pytest_report_header() -> str | None:
    """Say it when these tests are left out."""
    return None if ZIP.is_file() else "tests/blender left out: run `python build.py test --blender`"


ZIP = OUT / "extension.zip"


def blender(*arguments: object, env: dict[str, str] | None = None, seconds: int = 600) -> subprocess.CompletedProcess:
    """Run blender to its end; output as text."""
    command = ["blender", *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=seconds, check=False
    )


@pytest.fixture(scope="session")
def installed() -> str:
    """The extension, installed from the zip and enabled; returns what the installer said."""
    run = blender("--command", "extension", "install-file", "-r", "user_default", "--enable", ZIP)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="session")
def engine() -> Path:
    """An executable that answers like a Python with the engine in it."""
    return _stand_in("fake-engine", "fake_engine.py")


@pytest.fixture(scope="session")
def serving() -> Path:
    """An executable that answers clicks like a Python with the engine in it."""
    return _stand_in("fake-serve", "fake_serve.py")


def _stand_in(name: str, helper: str) -> Path:
    """An executable that runs a helper of the tests with the engine's wheels."""
    wheels = sorted(Path("/mnt/repo/dist/wheels").glob("*.whl"))
    path = f"import sys; sys.path[:0] = {[*map(str, wheels), '/mnt/repo']!r}\n"
    script = OUT / name
    script.write_text("#!/usr/bin/python3\n" + path + (Path("/mnt/repo/tests/helpers") / helper).read_text())
    script.chmod(0o755)
    return script


@pytest.fixture(scope="session")
def scene() -> Path:
    """The made splat without codes."""
    rows, _ = made_splat.made_splat()
    return made_splat.write(OUT / "made.ply", rows)


@pytest.fixture(scope="session")
def coded() -> Path:
    """The made splat with codes."""
    return made_splat.write(OUT / "coded.ply", made_splat.with_codes(*made_splat.made_splat()))


@pytest.fixture(scope="session")
def screen():
    """A virtual screen; returns the environment a program needs to draw on it."""
    Path("/tmp/.X11-unix").mkdir(exist_ok=True)
    # It chooses a free number itself: sockets of other screens on this machine may be seen from in here.
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    number = server.stdout.readline().strip()
    assert number, "Xvfb did not start"
    yield {"DISPLAY": f":{number}", "LIBGL_ALWAYS_SOFTWARE": "1", "XDG_RUNTIME_DIR": "/tmp"}
    server.terminate()
    server.wait()
