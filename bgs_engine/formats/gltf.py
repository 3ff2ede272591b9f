"""glTF with KHR_gaussian_splatting: GLB is read and written, glTF with files beside it is read.

glTF points left, up and forward (LUF), as the SPZ extension of glTF says, so a splat of a PLY is turned by half a turn
about z. Only signs change. An offset is the translation of the node at the top.
"""

import binascii
from pathlib import Path

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.formats.axes import LUF_TO_PLY
from bgs_engine.formats.format import Format
from bgs_engine.formats.gltf_document import MAGIC, Document
from bgs_engine.formats.gltf_scene import PACKED, SPLATS, Scene, splats_of
from bgs_engine.formats.gltf_spz import read_splats
from bgs_engine.formats.gltf_write import write_glb
from bgs_engine.formats.label_tree import ordered, with_labels
from bgs_engine.formats.placing import placed
from bgs_engine.formats.raw_splat import RawSplat

_TO_PLY = np.diag([*LUF_TO_PLY, 1.0])
_DAMAGE = (TypeError, KeyError, ValueError, IndexError, AttributeError, OverflowError, RecursionError, binascii.Error)


def read(path: Path) -> RawSplat:
    """The splats of the default scene of a glTF or GLB, where its nodes put them.

    Raises:
        InputError: not there, damaged, an unknown version or extension, or without splats.
    """
    try:
        with Document(path) as document:
            _check_extensions(document)
            return _read(document, splats_of(document))
    except _DAMAGE as error:
        raise InputError(f"{path.name} is a damaged glTF ({error}).", "Export it again.") from None
    except MemoryError:
        raise InputError(f"{path.name} does not fit into memory.", "Use a computer with more memory.") from None
    except OSError as error:
        raise InputError(f"{path.name} can no longer be read: {error}.", "Check the disk.") from None


def write(path: Path, splat: RawSplat) -> np.ndarray | None:
    """Write a GLB, with a node for every label. Returns the order of its rows, None if they are all as they were.

    Raises:
        OutputError: the file cannot be written.
        InputError: no Gaussian can be drawn, the label table lacks labels, or the file would have more than 4 GB.
    """
    tree, rows = ordered(splat, path.name)
    write_glb(path, splat, rows, tree)
    return None if tree is None and len(rows) == len(splat) else rows


def _check_extensions(document: Document) -> None:
    unknown = sorted(
        set(map(str, document.json.get("extensionsRequired", []))) - {SPLATS, *PACKED, "KHR_mesh_quantization"}
    )
    if unknown:
        raise InputError(
            f"{document.path.name} needs the glTF extension {unknown[0]}, which is not read.",
            "Export it without compression.",
        )


def _read(document: Document, scene: Scene) -> RawSplat:
    if not scene.splats:
        raise InputError(
            f"{document.path.name} holds no splats: its scene has no mesh with {SPLATS}.",
            "Export it as a splat, or use its PLY.",
        )
    splat, rows = read_splats(document, scene.splats)
    matrices = [one.matrix for one in scene.splats]
    splat = placed(splat, rows, matrices, _TO_PLY)
    return with_labels(splat, scene.found, [one.code for one in scene.splats], rows, matrices, document.path.name)


GLB = Format(
    "GLB",
    (".glb",),
    (MAGIC,),
    read,
    write,
    keeps_labels=True,
    keeps_offset=True,
    loses="The order of the Gaussians changes if they have labels. Scales and opacities are rounded in the last digit "
    "of a 32-bit number. Gaussians without a finite position, size and rotation are left out.",
)
GLTF = Format("glTF", (".gltf",), (), read, keeps_labels=True)
