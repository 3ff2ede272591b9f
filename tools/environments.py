"""Python environments: one for the engine (.venv), one for each bpy wheel (.venv-bpy-VERSION)."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"  # exact versions; the only file that states torch's
BPY = {"4.2.23": "3.11", "4.5.15": "3.11", "5.2.3": "3.13"}  # wheel: the Python it is made for
EXTENSION_PACKAGES = ("pytest>=8", "hypothesis>=6.100", "plyfile>=1.0")
TYPES_PACKAGES = ("numpy", "pytest", "hypothesis")  # beside the stubs: what the checked files import


def call(command: Sequence[object], env: Mapping[str, str] | None = None) -> int:
    """Run a program in the repository, its output on ours; returns its exit code."""
    sys.stdout.flush()
    return subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **(env or {})}).returncode


def python_in(folder: Path) -> Path:
    """The Python of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def engine_python() -> Path:
    """The Python of .venv, with the engine (editable) and everything its tests need."""
    folder = ROOT / ".venv"
    stamp = _engine_stamp()
    if not _is_ready(folder, stamp):
        _say("making .venv (a few minutes, about 2 GB)")
        python = _fresh(folder, sys.executable)
        _install_torch(python)
        _pip(python, "-c", str(CONSTRAINTS), "-e", ".[dev]")
        _done(folder, stamp)
    return python_in(folder)


def pins() -> dict[str, str]:
    """The version of each package in constraints.txt; names are in lower case."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name.lower(): version for name, version in pairs}


def bpy_python(version: str) -> Path | None:
    """The Python of the bpy wheel's environment, or None where the Python it needs is not on this machine."""
    base = find_python(BPY[version])
    if base is None:
        return None
    folder = ROOT / f".venv-bpy-{version}"
    stamp = _stamp(version, *EXTENSION_PACKAGES)
    if not _is_ready(folder, stamp):
        _say(f"making {folder.name} (about a minute, 1 GB)")
        python = _fresh(folder, base)
        _pip(python, f"bpy=={version}", *EXTENSION_PACKAGES)
        _done(folder, stamp)
    return python_in(folder)


def types_python(version: str) -> Path:
    """The Python of an environment with one Blender's type stubs: mypy reads them there."""
    folder = ROOT / f".venv-types-{version}"
    stamp = _stamp(version, *TYPES_PACKAGES, *(pins()[name] for name in TYPES_PACKAGES))
    if not _is_ready(folder, stamp):
        python = _fresh(folder, sys.executable)
        _pip(python, "-c", str(CONSTRAINTS), f"fake-bpy-module-{version}", *TYPES_PACKAGES)
        _done(folder, stamp)
    return python_in(folder)


def find_python(version: str) -> str | None:
    """A Python of this minor version: ours, on the PATH, or among pyenv's."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    for candidate in candidates:
        # A pyenv shim exists for versions that are not switched on: ask it.
        if candidate and _answers(candidate, version):
            return candidate
    return None


def _answers(python: str, version: str) -> bool:
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    try:
        run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.returncode == 0 and run.stdout.strip() == version


def _engine_stamp() -> str:
    """Changes with what .venv is made of: the packages asked for, their versions, the Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = json.dumps([project["build-system"], project["project"]], sort_keys=True)
    return _stamp(asked, json.dumps(pins(), sort_keys=True), sys.version)


def _torch() -> str:
    return f"torch=={pins()['torch']}"


def _install_torch(python: Path) -> None:
    """Torch without gigabytes of CUDA packages on a machine that has no NVIDIA driver.

    With a driver, and where the default builds are CPU builds (macOS, Windows): what pip finds. On Linux without one:
    what pip finds if it is set up to find a CPU build; else uv, which knows where CPU builds are.
    """
    if shutil.which("nvidia-smi") or sys.platform != "linux" or _pip_finds_cpu_torch(python):
        _pip(python, _torch())
        return
    _pip(python, "uv")
    if call([python, "-m", "uv", "pip", "install", "--python", python, "--torch-backend", "cpu", _torch()]):
        raise SystemExit("uv could not install torch; it has said why.")


def _pip_finds_cpu_torch(python: Path) -> bool:
    command = [python, "-m", "pip", "install", "--dry-run", "--no-deps", "--quiet", "--report", "-", _torch()]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=ROOT)
    try:
        return json.loads(run.stdout)["install"][0]["metadata"]["version"].endswith("+cpu")
    except (ValueError, LookupError):
        return False


def _fresh(folder: Path, base: str) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    if base == sys.executable:
        venv.create(folder, with_pip=True)
    elif call([base, "-m", "venv", folder]):
        raise SystemExit(f"{folder.name} could not be made with {base}.")
    return python_in(folder)


def _pip(python: Path, *arguments: str) -> None:
    if call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]):
        raise SystemExit("pip failed; it has said why.")


def _stamp(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _is_ready(folder: Path, stamp: str) -> bool:
    mark = folder / "bgs-ready"
    return python_in(folder).is_file() and mark.is_file() and mark.read_text() == stamp


def _done(folder: Path, stamp: str) -> None:
    (folder / "bgs-ready").write_text(stamp)


def _say(text: str) -> None:
    print(f"build.py: {text}", flush=True)
