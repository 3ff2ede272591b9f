"""The lock files agree with what they are made from, and are complete. `python build.py lock` writes them anew."""

import importlib.metadata
import re
import tomllib

import pytest

from bgs_engine.devices.choice import LAST_FOR_CUDA_12
from blender_bgs.engine.installing.lock import (
    CUDA_ONLY,
    Locked,
    canonical,
    packages,
    parse,
    pin_of,
    read_lock,
    requirements,
)
from tools import environments
from tools.environments import BPY, ENGINE_LOCK, EXTENSION_PACKAGES, FAKE_BPY, LOCKS, ROOT, TYPES_PACKAGES, pins
from tools.lock import TOOLS, UNTIED, engine_stamp, merged, stamp_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = tuple(PROJECT["optional-dependencies"])
OLD = "the lock files are out of date: run `python build.py lock`"


@pytest.fixture(scope="module")
def locked() -> list[Locked]:
    return read_lock(ENGINE_LOCK)


def test_no_lock_file_is_out_of_date() -> None:
    stamps = {ENGINE_LOCK: engine_stamp()}
    stamps |= {environments.bpy_lock(v): stamp_of((f"bpy=={v}", *EXTENSION_PACKAGES)) for v in BPY}
    stamps |= {environments.types_lock(v): stamp_of((f"fake-bpy-module-{v}", *TYPES_PACKAGES)) for v in FAKE_BPY}
    assert set(stamps) == set(LOCKS.iterdir())
    assert [path.name for path, stamp in stamps.items() if stamp not in path.read_text(encoding="utf-8")] == [], OLD


def test_every_version_is_that_of_the_constraints(locked: list[Locked]) -> None:
    wanted = {canonical(name): version for name, version in pins().items()}
    tied = [one for one in locked if one.sets - set(UNTIED)]
    differing = [one.pin for one in tied if wanted.get(one.name, one.version) != one.version]
    assert differing == [], OLD
    assert sorted(set(wanted) - {one.name for one in tied}) == [], "constraints.txt pins what nothing needs"
    free = {one.name for one in tied if one.name not in wanted and CUDA_ONLY not in one.sets}
    assert free == set(), "constraints.txt pins everything but what NVIDIA's build of torch chooses"


def test_every_set_is_there(locked: list[Locked]) -> None:
    assert {name for one in locked for name in one.sets} == {"core", *EXTRAS, *TOOLS, CUDA_ONLY}
    assert {one.name for one in packages(locked, ["core"])} == {"numpy", "plyfile"}
    older = [one.version for one in packages(locked, ["older-warp"]) if one.name == "warp-lang"]
    assert len(older) == 1 and older[0].startswith(f"{LAST_FOR_CUDA_12}.")
    cuda_only = {one.name for one in packages(locked, [CUDA_ONLY])}
    assert "triton" in cuda_only and "nvidia-cudnn-cu13" in cuda_only
    assert not cuda_only & {"torch", "numpy", "filelock", "sympy"}


@pytest.mark.parametrize("extra", ["core", *EXTRAS])
def test_every_requirement_of_a_set_is_in_it(extra: str, locked: list[Locked]) -> None:
    """Also the requirements of requirements, as the installed packages state them: pip installs without asking."""
    names = {one.name for one in packages(locked, [extra])}
    asked = PROJECT["dependencies"] if extra == "core" else PROJECT["optional-dependencies"][extra]
    own = {canonical(re.split(r"[\[<>=~! ]", text)[0]) for text in asked} - {"bgs-engine"}
    assert own <= names
    Requirement = pytest.importorskip("packaging.requirements").Requirement
    missing = []
    for name in names:
        try:
            stated = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system or another set
        for requirement in map(Requirement, stated):
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and canonical(requirement.name) not in names:
                missing.append(f"{name} needs {requirement.name}")
    assert missing == [], OLD


@pytest.mark.parametrize("path", sorted(LOCKS.iterdir()), ids=lambda path: path.name)
def test_every_package_has_hashes(path) -> None:
    found = read_lock(path)
    assert len(found) > 5
    for one in found:
        assert one.hashes and one.sets and all(re.fullmatch("[0-9a-f]{64}", digest) for digest in one.hashes)
    # A package with machine code has wheels for at least Linux, Windows and macOS.
    if path == ENGINE_LOCK:
        few = {
            one.name for one in found if one.name in ("numpy", "numba", "torch", "onnxruntime") and len(one.hashes) < 6
        }
        assert few == set()


def test_what_is_written_is_read_and_what_is_damaged_is_not(locked: list[Locked]) -> None:
    again = parse(requirements(locked))
    assert [(one.pin, one.marker, one.hashes) for one in again] == [(o.pin, o.marker, o.hashes) for o in locked]
    assert pin_of(locked, "Torch") == f"torch=={pins()['torch']}" and pin_of(locked, "nothing") == ""
    good = "--hash=sha256:" + "a" * 64
    for line in ("numpy==1.0", "numpy>=1.0 " + good, "numpy " + good, "numpy==1.0 --hash=sha256:abc", "-r other.txt",
                 "numpy==1.0 --hash=md5:" + "a" * 32, "https://elsewhere/numpy.whl " + good):  # fmt: skip
        with pytest.raises(ValueError, match="not understood"):
            parse(line)


def test_two_versions_of_a_package_are_refused() -> None:
    one, two = parse(f"a==1 --hash=sha256:{'a' * 64}"), parse(f"a==2 --hash=sha256:{'a' * 64}")
    assert [(p.pin, p.sets) for p in merged({"x": one, "y": one})] == [("a==1", {"x", "y"})]
    with pytest.raises(SystemExit, match="pin it in constraints"):
        merged({"x": one, "y": two})
    assert len(merged({"x": one, UNTIED[0]: two})) == 2


def test_nothing_is_installed_without_hashes_but_what_security_says() -> None:
    """Every `pip install` in our code has --require-hashes, or is one of these."""
    allowed = {
        "tools/environments.py": 3,  # torch without CUDA (two ways), and the package that lies here
        "blender_bgs/engine/installing/steps.py": 4,  # torch without CUDA, our own wheel, the untested versions (two)
    }
    found = {}
    for name in ("tools/environments.py", "blender_bgs/engine/installing/steps.py"):
        text = (ROOT / name).read_text(encoding="utf-8")
        found[name] = len(re.findall(r"""(?:_pip|runner\.pip)\(python, (?!\*HASHED)""", text))
        if name.startswith("tools"):
            found[name] += len(re.findall(r'uv, "pip", "install"', text))
    assert found == allowed
    assert "+cpu" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
