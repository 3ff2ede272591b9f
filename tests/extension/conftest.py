"""In a Python with a bpy wheel: the extension registered once, a fresh scene round every test."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="bgs-blender-"))  # not the user's own

try:
    import bpy
except ImportError:
    bpy = None  # type: ignore[assignment]
    collect_ignore_glob = ["test_*.py"]

_exit_code = 0


def pytest_report_header() -> str | None:
    """Say it when these tests are left out."""
    return None if bpy else "tests/extension left out: no bpy in this Python; run `python build.py test`"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember how it went for `pytest_unconfigure`."""
    global _exit_code
    _exit_code = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave at once: bpy 4.2 and 4.5 crash or hang when Python tears down with anything still registered."""
    if bpy is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_exit_code)


if bpy is not None:
    import blender_bgs

    @pytest.fixture(scope="session", autouse=True)
    def registered():
        """The extension, as Blender enables it."""
        blender_bgs.register()
        yield
        blender_bgs.unregister()

    @pytest.fixture(autouse=True)
    def fresh(registered):
        """An empty file."""
        bpy.data.batch_remove([*bpy.data.objects, *bpy.data.pointclouds, *bpy.data.collections, *bpy.data.materials])
        bpy.context.scene.view_settings.view_transform = "AgX"
        yield

    @pytest.fixture
    def coded(tmp_path):
        """The made splat with codes, imported; returns (object, file, codes)."""
        from tests.helpers import made_splat

        rows, codes = made_splat.made_splat()
        path = made_splat.write(tmp_path / "coded.ply", made_splat.with_codes(rows, codes))
        bpy.ops.bgs.import_splat(filepath=str(path))
        return bpy.context.view_layer.objects.active, path, codes


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An executable that answers like a Python with the engine in it (`tests/helpers/fake_engine.py`)."""
    script = tmp_path_factory.mktemp("engine") / "fake-engine"
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    script.write_text(f"#!{sys.executable}\n{path}{(ROOT / 'tests/helpers/fake_engine.py').read_text()}")
    script.chmod(0o755)
    return script
