"""USD with ParticleField3DGaussianSplat prims: `.usd`, `.usda`, `.usdc` and `.usdz`, read and written by usd-core.

The schema came with OpenUSD 26.03. It stores lengths, opacities from 0 to 1 and quaternions, as glTF does. The stage is
written with y up: a splat of a PLY, which points y down, is turned by half a turn about z. Only signs change.
https://openusd.org/release/user_guides/schemas/usdVol/ParticleField3DGaussianSplat.html
"""

from pathlib import Path

import numpy as np

from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.formats.axes import LUF_TO_PLY
from bgs_engine.formats.format import Format
from bgs_engine.formats.label_tree import ordered, with_labels
from bgs_engine.formats.placing import placed
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.usd_child import read_apart

SCHEMA = "ParticleField3DGaussianSplat"
_TO_PLY = {
    "Y": np.diag([*LUF_TO_PLY, 1.0]),
    "Z": np.diag([*LUF_TO_PLY, 1.0]) @ [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]],
}


def read(path: Path) -> RawSplat:
    """The splats of a USD stage, where its prims put them.

    Raises:
        InputError: not there, damaged, or without splats.
        EnvironmentLacksError: usd-core is missing or older than the schema.
    """
    _check_package(path)
    try:
        str(path.resolve()).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{path.name} has a path that is no UTF-8, which USD cannot open.", "Rename it.") from None
    scene = read_apart(path)
    try:
        splat = placed(scene.splat, scene.rows, scene.matrices, _TO_PLY[scene.up])
    except ValueError as error:
        raise InputError(f"{path.name} is a damaged USD file ({error}).", "Export it again.") from None
    return with_labels(splat, scene.found, scene.codes, scene.rows, scene.matrices, path.name)


def write(path: Path, splat: RawSplat) -> np.ndarray | None:
    """Write a stage with a prim for every label. Returns the order of its rows, None if they are all as they were.

    Raises:
        OutputError: the file cannot be written.
        InputError: no Gaussian can be drawn, or the label table lacks labels.
        EnvironmentLacksError: usd-core is missing or older than the schema.
    """
    _check_package(path)
    from bgs_engine.formats import usd_write

    tree, rows = ordered(splat, path.name)
    usd_write.write_stage(path, splat, rows, tree)
    return None if tree is None and len(rows) == len(splat) else rows


def _check_package(path: Path) -> None:
    hint = "Install it: pip install 'bgs-engine[formats]'."
    try:
        from pxr import UsdVol
    except ImportError:
        raise EnvironmentLacksError(f"{path.name} needs the package usd-core, which is missing.", hint) from None
    if not hasattr(UsdVol, SCHEMA):
        raise EnvironmentLacksError(f"{path.name} needs usd-core 26.3 or newer, and an older one is here.", hint)


FORMAT = Format(
    "USD",
    (".usdc", ".usd", ".usda", ".usdz"),
    (b"PXR-USDC", b"#usda"),
    read,
    write,
    needs=("pxr",),
    keeps_labels=True,
    keeps_offset=True,
    loses="The order of the Gaussians changes if they have labels. Scales and opacities are rounded in the last digit "
    "of a 32-bit number. Gaussians without a finite position, size and rotation are left out.",
)
