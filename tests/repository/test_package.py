"""The extension's zip holds all of its sources and nothing else."""

import zipfile
from pathlib import Path

import pytest

from tools import package
from tools.environments import ROOT

BESIDE_THE_SOURCES = {"blender_manifest.toml", "LICENSE", "locks/engine.txt", "wheels/made-1.0-py3-none-any.whl"}
FOR_DEVELOPERS = {"mypy.ini", "ruff.toml"}  # settings of checkers: users have no use for them


def _files(folder: Path) -> set[str]:
    """All files below a folder, except what Python and the checkers write there."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {p.as_posix() for p in found if not any(part == "__pycache__" or part[0] == "." for part in p.parts)}


def test_zip_holds_every_source_and_nothing_else(tmp_path: Path) -> None:
    wheel = tmp_path / "made-1.0-py3-none-any.whl"
    wheel.write_bytes(b"")
    target = tmp_path / "extension.zip"
    package.write_zip(target, package.manifest_with([wheel]), [wheel])
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        manifest = archive.read("blender_manifest.toml").decode()
    assert len(names) == len(set(names))
    assert set(names) == _files(ROOT / "blender_bgs") - FOR_DEVELOPERS | BESIDE_THE_SOURCES
    assert 'wheels = ["./wheels/made-1.0-py3-none-any.whl"]' in manifest


@pytest.mark.parametrize("name", ["blender_bgs", "bgs_engine"])
def test_every_folder_of_sources_is_a_package(name: str) -> None:
    """setuptools leaves folders without __init__.py out of the engine's wheel."""
    folders = {source.parent for source in (ROOT / name).rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").is_file()] == []
