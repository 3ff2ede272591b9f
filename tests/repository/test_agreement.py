"""What is stated in several places agrees: versions, pins, the oldest Python, the lists of third-party work."""

import re
import subprocess
import sys
import tomllib

import pytest

from tools.environments import BPY, ROOT, pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _found(pattern: str, name: str) -> str:
    match = re.search(pattern, _text(name), re.MULTILINE)
    assert match, f"{name} has nothing like {pattern}"
    return match[1]


def _tracked(*patterns: str) -> list[str]:
    """Files of the repository as Git lists them, those that are there."""
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


def test_one_version() -> None:
    engine = _found(r'^__version__ = "(.+)"$', "bgs_engine/__init__.py")
    assert tomllib.loads(_text("blender_manifest.toml"))["version"] == engine
    assert _found(r"^## \[(.+?)\]", "CHANGELOG.md") in ("Unreleased", engine)


def test_torch_is_pinned_in_one_place() -> None:
    """The lock file is made from it."""
    version = pins()["torch"]
    assert len(re.findall(r"^torch==", _text("constraints.txt"), re.MULTILINE)) == 1
    sources = _tracked("*.py", "*.toml", "*.yml", "*.yaml", "*.ini")
    assert [name for name in sources if version in _text(name)] == []


def test_every_package_of_the_engine_is_pinned() -> None:
    assert set(_asked_for()) - set(pins()) == set()
    local = {name for name, version in pins().items() if not re.fullmatch(r"[0-9.]+", version)}
    assert local == set(), "builds such as +cpu exist on some machines only"


def _asked_for() -> dict[str, str]:
    """Package → requirement, of the engine and all its extras."""
    extras = PROJECT["optional-dependencies"].values()
    requirements = [*PROJECT["dependencies"], *(requirement for extra in extras for requirement in extra)]
    named = {re.split(r"[\[<>=~! ]", requirement)[0].lower(): requirement for requirement in requirements}
    return {name: requirement for name, requirement in named.items() if name != "bgs-engine"}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md", "docs/guide/install.md", "build.py"])
def test_the_oldest_python(name: str) -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert re.search(rf"Python {re.escape(oldest)} or (newer|later)", _text(name))


def test_the_oldest_python_is_checked() -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")
    mypy = tomllib.loads(_text("pyproject.toml"))["tool"]["mypy"]["python_version"]
    assert mypy == oldest == min(BPY.values())
    assert _found(r"^ +python: (.+)$", ".github/workflows/test.yml") == f'["{oldest}", "{max(BPY.values())}"]'


def test_the_hook_has_the_ruff_of_the_checks() -> None:
    assert _found(r"ruff-pre-commit\n +rev: v([0-9.]+)", ".pre-commit-config.yaml") == pins()["ruff"]


def test_the_oldest_blender() -> None:
    oldest = tomllib.loads(_text("blender_manifest.toml"))["blender_version_min"]
    assert f"Blender {oldest.removesuffix('.0')} or later" in _text("docs/guide/install.md")


def test_third_party_work_is_listed() -> None:
    listed = _text("THIRD_PARTY.md")
    pictures = [name.rpartition("/")[2] for name in _tracked("docs/pictures")]
    assert [name for name in (*pictures, *_asked_for()) if name not in listed] == []
    packages = {name for name in pins() if not re.search(rf"\b{re.escape(name)}\b", listed, re.IGNORECASE)}
    assert packages == set()


def test_the_api_page_is_made_from_the_docstrings_as_they_are() -> None:
    """`python docs/reference/make_api.py` writes it anew."""
    command = [sys.executable, "docs/reference/make_api.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guide_lists_every_splat_format() -> None:
    """With its endings, in the table of docs/guide/formats.md."""
    from bgs_engine.formats.read import PLY
    from bgs_engine.formats.table import FORMATS

    table = [line for line in (ROOT / "docs/guide/formats.md").read_text("utf-8").splitlines() if line.startswith("|")]
    for one in (PLY, *FORMATS):
        rows = [line for line in table if f"`{one.suffixes[0]}`" in line]
        assert rows, f"docs/guide/formats.md has no row with {one.suffixes[0]} ({one.name})"
