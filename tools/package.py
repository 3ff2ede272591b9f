"""The extension's zip: sources, manifest, licence, the lock file of the engine's packages, two pure-Python wheels."""

import re
import shutil
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from blender_bgs.engine.installing.lock import packages, read_lock, requirements

from tools.environments import ENGINE_LOCK, HASHED, ROOT, build_python, call

WHEELS = ("plyfile",)  # from the package index; bgs_engine's own wheel is built here
SOURCES = ROOT / "blender_bgs"


def make_zip() -> Path:
    """Build dist/binary_gaussian_segmentation-VERSION.zip and return its path."""
    wheels = make_wheels()
    manifest = manifest_with(wheels)
    fields = tomllib.loads(manifest)
    target = ROOT / "dist" / f"{fields['id']}-{fields['version']}.zip"
    write_zip(target, manifest, wheels)
    return target


def manifest_with(wheels: Sequence[Path]) -> str:
    """The text of blender_manifest.toml with the bundled wheels listed."""
    listed = ", ".join(f'"./wheels/{wheel.name}"' for wheel in wheels)
    text = (ROOT / "blender_manifest.toml").read_text(encoding="utf-8")
    text, found = re.subn(r"^wheels = \[.*\]$", f"wheels = [{listed}]", text, flags=re.M)
    if found != 1:
        raise SystemExit("blender_manifest.toml has no `wheels = []` line.")
    return text


def write_zip(target: Path, manifest: str, wheels: Sequence[Path]) -> None:
    """Write the zip. Install Engine finds the lock file beside the extension's code."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("blender_manifest.toml", manifest)
        archive.write(ROOT / "LICENSE", "LICENSE")
        archive.write(ENGINE_LOCK, ENGINE_LOCK.relative_to(ROOT).as_posix())
        for source in sorted(SOURCES.rglob("*.py")):
            archive.write(source, source.relative_to(SOURCES).as_posix())
        for wheel in wheels:
            archive.write(wheel, f"wheels/{wheel.name}")


def make_wheels() -> list[Path]:
    """The bundled wheels in dist/wheels, freshly made; each is checked to be pure Python."""
    folder = ROOT / "dist" / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pip = [build_python(), "-m", "pip", "--disable-pip-version-check"]
    quiet = ["--quiet", "--no-deps", "--wheel-dir", folder]
    # A copy, so that no build/ or egg-info folder is left in the source tree, and nothing stale gets into the wheel.
    staging = ROOT / "dist" / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(ROOT / "bgs_engine", staging / "bgs_engine", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, staging)
    readme = ROOT / "README.md"
    (staging / "README.md").write_text(readme.read_text(encoding="utf-8") if readme.is_file() else "", encoding="utf-8")
    listed = staging / "wheels.txt"
    locked = packages(read_lock(ENGINE_LOCK), ["core"])
    listed.write_text(requirements(one for one in locked if one.name in WHEELS), encoding="utf-8")
    fetch = [*pip, "wheel", *quiet, *HASHED, "-r", listed]
    try:
        # The package that builds is in the environment already, so that its hash has been checked.
        for command in (fetch, [*pip, "wheel", *quiet, "--no-build-isolation", staging]):
            if call(command):
                raise SystemExit("A wheel could not be made; pip has said why.")
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    wheels = sorted(folder.glob("*.whl"))
    impure = [wheel.name for wheel in wheels if not wheel.name.endswith("-py3-none-any.whl")]
    if impure or len(wheels) != len(WHEELS) + 1:
        raise SystemExit(f"Expected pure-Python wheels only, got {', '.join(w.name for w in wheels)}.")
    return wheels
