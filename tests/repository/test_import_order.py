"""Rooms of the two packages import downwards only, and no file imports itself by a detour.

A room is a folder of a package, or a file at its root. Every import counts: at the top of a file, inside a function,
under `if TYPE_CHECKING:`. A room may import itself and the rooms of the floors below.
"""

import ast
import functools
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.environments import ROOT

FLOORS = {  # lowest first
    "bgs_engine": (
        "core",
        "io devices",
        "raster formats",
        "views masks made_scenes associate cutouts likeness graph",
        "train clicks naming words",
        "output",
        "pipeline",
        "cli",
        "__main__",
    ),
    "blender_bgs": (
        "logic",
        "cloud",
        "interface",
        "edits files parts viewport",
        "engine labelling",
        "clicking frames guide headless preferences",
        "registration",
        "__main__",
    ),
}
MOST_FLOORS = 8  # of blender_bgs; it had thirteen
MOST_ARROWS = 66  # between rooms of blender_bgs; the flat folder it replaced had 172 between its files


def _modules(package: str) -> dict[str, Path]:
    """Files of a package by module name; a package's own name stands for its __init__.py."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imports(name: str, path: Path, modules: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of a file that leads into its own package."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            inside = [f"{base}.{alias.name}" for alias in node.names]
            named = [module if module in modules else base for module in inside]
        else:
            continue
        yield from ((node.lineno, module) for module in named if module in modules and module != name)


@functools.cache
def _graph(package: str) -> dict[str, dict[str, int]]:
    """Module → imported module → line."""
    modules = _modules(package)
    return {name: {m: line for line, m in _imports(name, path, modules)} for name, path in modules.items()}


def _room(module: str) -> str:
    """The package itself (its __init__.py) is no room."""
    return [*module.split("."), ""][1]


def _between_rooms(package: str) -> Iterator[tuple[str, str, int]]:
    """(file, imported file, line) where an import leaves its room."""
    for name, imported in _graph(package).items():
        for module, line in imported.items():
            if "" not in (_room(name), _room(module)) and _room(name) != _room(module):
                yield name, module, line


@pytest.mark.parametrize("package", FLOORS)
def test_every_room_has_its_floor(package: str) -> None:
    rooms = {_room(module) for module in _modules(package)} - {""}
    assert rooms == set(" ".join(FLOORS[package]).split())


@pytest.mark.parametrize("package", FLOORS)
def test_contributors_find_every_room(package: str) -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = set(" ".join(FLOORS[package]).split()) - {"__main__"}
    assert [room for room in sorted(rooms) if f"`{room}`" not in page and f"`{room}.py`" not in page] == []


@pytest.mark.parametrize("package", FLOORS)
def test_imports_run_downwards(package: str) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS[package]) for room in rooms.split()}
    upwards = [
        f"{name.replace('.', '/')}.py:{line} imports {module}"
        for name, module, line in _between_rooms(package)
        if floor.get(_room(name), 0) <= floor.get(_room(module), 0)
    ]
    assert not upwards, "\n".join(["These imports do not run downwards:", *upwards])


@pytest.mark.parametrize("package", FLOORS)
def test_no_files_import_each_other_in_a_circle(package: str) -> None:
    try:
        list(graphlib.TopologicalSorter(_graph(package)).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_extension_stays_simple() -> None:
    crossing = list(_between_rooms("blender_bgs"))
    arrows = {(_room(name), _room(module)) for name, module, _ in crossing}
    print(f"blender_bgs: {len(arrows)} arrows between rooms, {len(crossing)} between files of different rooms")
    assert len(FLOORS["blender_bgs"]) <= MOST_FLOORS
    assert len(arrows) < MOST_ARROWS
