"""Formats that need packages which Blender lacks. The engine converts them; its room is higher and sets `convert`."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bgs_engine.core.errors import EnvironmentLacksError
from bgs_engine.formats.read import missing_packages
from bgs_engine.formats.write import format_to_write, refuse_target


class Converter(Protocol):
    """Lets the engine write `target` from `source`. It calls `finish` on Blender's main thread at the end.

    `changes_scene`: whether `finish` does, so that it needs an undo step; an export does not.

    Returns what `finish` returned, or a sentence that says that the engine has started. It calls `close` in any case.

    Raises:
        EnvironmentLacksError: no engine is installed.
        UsageError: another job is running.
        BgsError: the engine failed, where there is no window.
    """

    def __call__(
        self, title: str, source: Path, target: Path, finish: Callable[[], str], close: Callable[[], None],
        changes_scene: bool,
    ) -> str:  # fmt: skip
        """Start the engine."""


converter: Converter | None = None


def convert(
    title: str, source: Path, target: Path, finish: Callable[[], str], close: Callable[[], None], changes_scene: bool
) -> str:
    """Let the engine convert a file, see `Converter`.

    Raises:
        As `Converter`. `close` was called then.
    """
    try:
        if converter is None:
            raise EnvironmentLacksError(f"{source.name} needs the engine.", "Enable the extension as a whole.")
        return converter(title, source, target, finish, close, changes_scene)
    except BaseException:
        close()
        raise


def export(path: Path, write: Callable[[Path, bool], str]) -> str:
    """Write the file `path` by `write`, or let the engine write it if Blender lacks packages of its format.

    `write` gets the path of the file to write, and whether the names must lie beside a PLY for the engine. It returns
    a sentence, and so does this.

    Raises:
        UsageError: no format that is written has the ending of `path`, or a folder or the splat of a run lies there.
        As `write` and `convert`.
    """
    if not missing_packages(format_to_write(path, here=False)):
        return write(path, False)
    refuse_target(path, None)
    made, remove = temporary_file("scene.ply")
    try:
        said = write(made, True)
    except BaseException:
        remove()
        raise
    return convert(f"Export {path.name}", made, path, lambda: said, remove, False)


def temporary_file(name: str) -> tuple[Path, Callable[[], None]]:
    """A path for a file of this name in a new folder, and the function that removes the folder."""
    folder = Path(tempfile.mkdtemp(prefix="bgs-convert-"))
    return folder / name, lambda: shutil.rmtree(folder, ignore_errors=True)
