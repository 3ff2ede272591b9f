"""Finds the engine's Python and makes the command lines to start it. Does not use bpy."""

import os
from collections.abc import Sequence
from pathlib import Path

from bgs_engine.core.errors import EnvironmentLacksError

from .installing.place import environment_python

# The installer runs in a Python that has only the standard library. It takes the engine's core from the wheel.
START_INSTALLER = (
    "import sys; sys.path += sys.argv[1:3]; del sys.argv[1:3]; from installing.main import main; sys.exit(main())"
)
VARIABLE = "BGS_ENGINE_PYTHON"


def find_engine(preference: str, installed: str) -> Path:
    """The Python that has the engine.

    It takes the first of these that is set: the preference, the environment variable `BGS_ENGINE_PYTHON`, the
    environment that Install Engine made.

    Args:
        preference: a Python executable, the folder of an environment, an install folder, or "".
        installed: the install folder, or "".

    Raises:
        EnvironmentLacksError: none is set, or the one that is set does not exist.
    """
    for where, value in (
        ("the preferences", preference), (VARIABLE, os.environ.get(VARIABLE, "")), ("Install Engine", installed),
    ):  # fmt: skip
        if not value:
            continue
        path = Path(value).expanduser()
        path = environment_python(path) if path.is_dir() else path
        if path.is_file():
            return path
        if where != "Install Engine":
            raise EnvironmentLacksError(
                f"{path}, set in {where}, does not exist.", "Correct it, or clear it and press Install Engine."
            )
    raise EnvironmentLacksError(
        "No engine is installed.", "Press Install Engine, or set Engine Python in the preferences."
    )


def command(python: Path, arguments: Sequence[str]) -> list[str]:
    """The command line that runs the engine with these arguments.

    -P: Python would search the working folder for modules, and a file named numpy.py beside a .blend would run.
    """
    return [str(python), "-P", "-m", "bgs_engine", *arguments]


def install_command(python: str, folder: Path, wheel: Path, arguments: Sequence[str]) -> list[str]:
    """The command line that runs the installer, see `installing.main`.

    Args:
        python: the Python that makes the environment.
        folder: the install folder.
        wheel: of the engine.
        arguments: further options of the installer.
    """
    start = [python, "-P", "-c", START_INSTALLER, str(Path(__file__).resolve().parent), str(wheel)]
    return [*start, str(folder), str(wheel), "--python", python, *arguments]
