"""The extension's zip: sources, manifest and the two pure-Python wheels it needs."""

import re
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path

from tools.environments import ROOT, call

WHEELS = ("plyfile",)  # from the package index; bgs_engine's own wheel is built here
STAGED = ("*.py", "logic/*.py", "splats/*.py")


def make_zip() -> Path:
    """Build dist/binary_gaussian_segmentation-VERSION.zip and return its path."""
    wheels = make_wheels()
    manifest = (ROOT / "blender_manifest.toml").read_text(encoding="utf-8")
    listed = ", ".join(f'"./wheels/{wheel.name}"' for wheel in wheels)
    manifest, found = re.subn(r"^wheels = \[.*\]$", f"wheels = [{listed}]", manifest, flags=re.M)
    if found != 1:
        raise SystemExit("blender_manifest.toml has no `wheels = []` line.")
    fields = tomllib.loads(manifest)
    target = ROOT / "dist" / f"{fields['id']}-{fields['version']}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("blender_manifest.toml", manifest)
        archive.write(ROOT / "LICENSE", "LICENSE")
        for pattern in STAGED:
            for source in sorted((ROOT / "blender_bgs").glob(pattern)):
                archive.write(source, source.relative_to(ROOT / "blender_bgs").as_posix())
        for wheel in wheels:
            archive.write(wheel, f"wheels/{wheel.name}")
    return target


def make_wheels() -> list[Path]:
    """The bundled wheels in dist/wheels, freshly made; each is checked to be pure Python."""
    folder = ROOT / "dist" / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    quiet = ["--quiet", "--no-deps", "--wheel-dir", folder]
    # A copy, so that no build/ or egg-info folder is left in the source tree, and nothing stale gets into the wheel.
    staging = ROOT / "dist" / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(ROOT / "bgs_engine", staging / "bgs_engine", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, staging)
    readme = ROOT / "README.md"
    (staging / "README.md").write_text(readme.read_text(encoding="utf-8") if readme.is_file() else "", encoding="utf-8")
    try:
        for command in ([*pip, "wheel", *quiet, *WHEELS], [*pip, "wheel", *quiet, staging]):
            if call(command):
                raise SystemExit("A wheel could not be made; pip has said why.")
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    wheels = sorted(folder.glob("*.whl"))
    impure = [wheel.name for wheel in wheels if not wheel.name.endswith("-py3-none-any.whl")]
    if impure or len(wheels) != len(WHEELS) + 1:
        raise SystemExit(f"Expected pure-Python wheels only, got {', '.join(w.name for w in wheels)}.")
    return wheels
