"""Opens a splat of any format: PLY by `bgs_engine/io/ply.py`, all others by the table of formats."""

from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from bgs_engine.core.codes import MAX_BITS, BitLayout
from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.core.input_files import is_file, is_folder, open_file
from bgs_engine.core.label_table import build_label_table
from bgs_engine.formats.format import Format
from bgs_engine.formats.labels_file import read_labels_file
from bgs_engine.formats.raw_splat import SplatLabels
from bgs_engine.formats.table import FORMATS
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import SplatPly, read_ply
from bgs_engine.io.ply_kinds import no_ply, unreadable
from bgs_engine.io.run_folder import codes_in, is_run_folder, open_run

PLY = Format("PLY", (".ply",), (b"ply\n", b"ply\r"))
INDEX = "meta.json"  # of a splat that is a folder of files
_HEAD_BYTES = 512
_DAMAGE = (b"version https://git-lfs", b"<!doctype", b"<html", b"<?xml")  # what a failed download leaves


@dataclass(frozen=True)
class OpenSplat:
    """A splat file as rows of a PLY, with its format. `notes` are sentences about labels that cannot be used.

    layout: the bits of codes that came without a label table.
    """

    ply: SplatPly
    format: Format
    notes: tuple[str, ...] = ()
    layout: BitLayout = field(default_factory=BitLayout)
    known_labels: SplatLabels | None = None  # codes and table, as a file or a run has them

    @cached_property
    def labels(self) -> SplatLabels | None:
        """The labels: those of a file or a run, else of the codes in the rows, with automatic names. None: no codes.

        Raises:
            InputError: the rows can no longer be read, or their codes have more bits than the layout.
        """
        if self.known_labels is not None:
            return self.known_labels
        codes = codes_in(self.ply)
        if codes is None:
            return None
        if self.layout.total < MAX_BITS and (codes.view("u4") >> self.layout.total).any():
            raise InputError(
                f"{self.ply.path.name} holds codes of more than {self.layout.total} bits.",
                "Give the level bits that it was made with.",
            )
        splat = load_gaussians(self.ply)
        table = build_label_table(
            self.layout, codes, splat.means, splat.opacities, splat.base_colors, offset=splat.offset
        )
        return SplatLabels(codes, self.layout, table)


def open_splat(path: Path, layout: BitLayout | None = None) -> OpenSplat:
    """Open a splat file of any format, or a run folder.

    Labels come from the file itself, from the run, or from the labels file beside it.

    Args:
        path: a file, the folder of a run, or a folder with a `meta.json`.
        layout: the bits of codes that come without a label table; None: the usual ones.

    Raises:
        InputError: the file is missing, damaged, or no splat that can be read.
        EnvironmentLacksError: the format needs a package that is missing.
    """
    path, layout = file_of(path), layout or BitLayout()
    if path.name == "scene.ply" and is_run_folder(path.parent):
        run = open_run(path.parent)
        return OpenSplat(run.ply, PLY, (), run.layout, SplatLabels(run.codes, run.layout, run.labels()))
    found, ply, labels = _opened(path)
    notes: tuple[str, ...] = ()
    if labels is None:
        try:
            labels = read_labels_file(path, ply.count, codes_in(ply))
        except InputError as error:
            notes = (str(error),)
    return OpenSplat(ply, found, notes, layout, labels)


def open_rows(path: Path) -> SplatPly:
    """The rows of a splat of any format, for those who need no labels. Raises as `open_splat`."""
    return _opened(file_of(path))[1]


def _opened(path: Path) -> tuple[Format, SplatPly, SplatLabels | None]:
    found = format_of(path)
    if found is PLY:
        return found, read_ply(path), None
    check_packages(found, path.name)
    assert found.read is not None
    splat = found.read(path)
    if not len(splat):
        raise InputError(f"{path.name} holds no Gaussians.", "Check the export settings.")
    return found, splat.to_ply(path), splat.labels


def file_of(path: Path) -> Path:
    """The file to open for a path: a file itself, the splat of a run folder, or the `meta.json` of a splat of files.

    Raises:
        InputError: it is another folder.
    """
    path = Path(path)
    if not is_folder(path):
        return path
    if is_run_folder(path):
        return path / "scene.ply"
    if is_file(path / INDEX):
        return path / INDEX
    raise InputError(f"{path.name or path} is a folder, but neither a run folder nor a splat.", "Choose a file in it.")


def format_of(path: Path) -> Format:
    """The format of a file: by its first bytes, then by its ending.

    Raises:
        InputError: there is no such file, or its format is not known or not read.
    """
    with open_file(path, "Check the path and its permissions.") as stream:
        try:
            head = stream.read(_HEAD_BYTES)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the disk.") from None
    if head.startswith(PLY.beginnings):
        return PLY
    if not head or head.lstrip().lower().startswith(_DAMAGE):
        raise _unknown(path.name, head)
    named = by_name(path.name)
    begun = [one for one in FORMATS if one.beginnings and head.startswith(one.beginnings)]
    found = named if named in begun or not begun else begun[0]
    if found is PLY:
        raise no_ply(path.name, head)
    if found is None:
        raise _unknown(path.name, head)
    if found.read is None:
        raise InputError(f"{path.name} is a file of {found.name}, which can be written but not read.")
    return found


def by_name(name: str) -> Format | None:
    """The format whose ending a file name has: the longest one, so that `.compressed.ply` is no `.ply`."""
    fitting = [(len(end), one) for one in (PLY, *FORMATS) for end in one.suffixes if name.lower().endswith(end)]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


_numpy_alone = False


def use_numpy_alone() -> None:
    """Count all packages of formats as missing from now on. Blender's own ones may be older than the engine's."""
    global _numpy_alone
    _numpy_alone = True


def missing_packages(one: Format) -> tuple[str, ...]:
    """Those packages of a format that cannot be imported here, by the names of their modules."""
    if _numpy_alone:
        return one.needs

    def is_missing(name: str) -> bool:
        try:
            return find_spec(name) is None
        except ModuleNotFoundError:  # of a package in a package that is missing
            return True

    return tuple(name for name in one.needs if is_missing(name))


def check_packages(one: Format, name: str) -> None:
    """Raise `EnvironmentLacksError` where the file `name` needs packages that are missing."""
    missing = missing_packages(one)
    if missing:
        raise EnvironmentLacksError(
            f"{name} needs the package {' and '.join(missing)} of the format {one.name}, which is missing.",
            f"Install it: pip install 'bgs-engine[{one.extra}]'. The answer of `bgs doctor` lists what is there.",
        )


def endings(written: bool = False) -> tuple[str, ...]:
    """The endings of all formats that can be read, or written, `.ply` first."""
    able = [one for one in FORMATS if (one.write if written else one.read) is not None]
    return tuple(dict.fromkeys([*PLY.suffixes, *(end for one in able for end in one.suffixes)]))


def _unknown(name: str, head: bytes) -> InputError:
    said = f"These endings can be read: {', '.join(endings())}."
    return unreadable(name, head) or InputError(f"{name} is no splat of a format that is known.", said)
