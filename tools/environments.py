"""Python environments: one for the engine (.venv), one for each bpy wheel (.venv-bpy-VERSION)."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from blender_bgs.engine.installing.lock import CUDA_ONLY, Locked, packages, pin_of, read_lock, requirements

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"  # exact versions, from which `python build.py lock` makes the lock files
LOCKS = ROOT / "locks"
ENGINE_LOCK = LOCKS / "engine.txt"
BPY = {"4.2.23": "3.11", "4.5.15": "3.11", "5.2.3": "3.13"}  # wheel: the Python it is made for
EXTENSION_PACKAGES = ("pytest>=8", "hypothesis>=6.100", "plyfile>=1.0")
TYPES_PACKAGES = ("numpy", "pytest", "hypothesis")  # beside the stubs: what the checked files import
FAKE_BPY = ("4.2", "5.2")  # types of the oldest and the newest Blender we run in
HASHED = ("--require-hashes", "--no-deps", "--only-binary", ":all:")  # pip installs what the lock names, and no more


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
        say("making .venv (a few minutes, about 2 GB)")
        python = _fresh(folder, sys.executable)
        locked = read_lock(ENGINE_LOCK)
        wanted = packages(locked, ["dev", "build"])
        without_cuda = [one for one in wanted if CUDA_ONLY not in one.sets and one.name != "torch"]
        _install(python, without_cuda)
        if shutil.which("nvidia-smi") or sys.platform != "linux":
            _install(python, [one for one in wanted if one not in without_cuda])
        else:
            _install_torch_without_cuda(python, locked)
        # The package lies here already, so there is nothing to download and nothing to check.
        _pip(python, "--no-deps", "--no-build-isolation", "-e", ".")
        _done(folder, stamp)
    return python_in(folder)


def build_python() -> Path:
    """The Python of .venv-build, which has what builds the engine's wheel."""
    return _made_from(".venv-build", packages(read_lock(ENGINE_LOCK), ["build"]))


def uv_program() -> Path:
    """uv in an environment of its own, which writes the lock files."""
    locked = packages(read_lock(ENGINE_LOCK), ["uv"])
    return _made_from(".venv-uv", locked).with_name("uv.exe" if os.name == "nt" else "uv")


def bpy_lock(version: str) -> Path:
    """The lock file of a bpy wheel's environment."""
    return LOCKS / f"bpy-{version}.txt"


def types_lock(version: str) -> Path:
    """The lock file of an environment with type stubs."""
    return LOCKS / f"types-{version}.txt"


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
    return _made_from(f".venv-bpy-{version}", read_lock(bpy_lock(version)), base, "about a minute, 1 GB")


def types_python(version: str) -> Path:
    """The Python of an environment with one Blender's type stubs: mypy reads them there."""
    return _made_from(f".venv-types-{version}", read_lock(types_lock(version)))


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
    return _stamp(asked, ENGINE_LOCK.read_text(encoding="utf-8"), sys.version)


def _install_torch_without_cuda(python: Path, locked: Sequence[Locked]) -> None:
    """Torch without gigabytes of CUDA packages: a Linux machine that has no NVIDIA driver.

    These builds are not in the package index. pip finds one if it is set up to; else uv knows where they are. The lock
    file states their version, and no hashes.
    """
    torch = pin_of(locked, "torch")
    if _pip_finds(python, f"{torch}+cpu"):
        _pip(python, "--no-deps", f"{torch}+cpu")
        return
    uv = uv_program()
    if call([uv, "pip", "install", "--no-deps", "--python", python, "--torch-backend", "cpu", torch]):
        raise SystemExit("uv could not install torch; it has said why.")


def _pip_finds(python: Path, requirement: str) -> bool:
    command = [python, "-m", "pip", "install", "--dry-run", "--no-deps", "--quiet", requirement]
    return subprocess.run([str(part) for part in command], capture_output=True, check=False, cwd=ROOT).returncode == 0


def _made_from(name: str, locked: Sequence[Locked], base: str = sys.executable, cost: str = "seconds") -> Path:
    """The Python of an environment that has the locked packages; it is made where it is missing or out of date."""
    folder, stamp = ROOT / name, _stamp(requirements(locked), sys.version if base == sys.executable else base)
    if not _is_ready(folder, stamp):
        say(f"making {name} ({cost})")
        _install(_fresh(folder, base), locked)
        _done(folder, stamp)
    return python_in(folder)


def _install(python: Path, locked: Iterable[Locked]) -> None:
    """Install packages of a lock file, each checked against its hashes."""
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch) / "locked.txt"
        listed.write_text(requirements(locked), encoding="utf-8")
        _pip(python, *HASHED, "-r", str(listed))


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


def say(text: str) -> None:
    """Tell the person who waits."""
    print(f"build.py: {text}", flush=True)
