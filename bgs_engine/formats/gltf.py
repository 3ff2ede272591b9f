"""glTF with KHR_gaussian_splatting: GLB is read and written, glTF with files beside it is read.

glTF points left, up and forward (LUF), as the SPZ extension of glTF says, so a splat of a PLY is turned by half a turn
about z. Only signs change. An offset is the translation of the node at the top.
"""

import binascii
from dataclasses import replace
from pathlib import Path

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.formats.axes import LUF_TO_PLY
from bgs_engine.formats.format import Format
from bgs_engine.formats.gltf_document import MAGIC, Document
from bgs_engine.formats.gltf_read import read_plain
from bgs_engine.formats.gltf_scene import SPLATS, Scene, splats_of
from bgs_engine.formats.gltf_write import write_glb
from bgs_engine.formats.label_tree import counts_fit, labels_from, measured_anew, ordered
from bgs_engine.formats.placing import move, offset_of
from bgs_engine.formats.raw_splat import RawSplat, SplatLabels

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
    unknown = sorted(set(map(str, document.json.get("extensionsRequired", []))) - {SPLATS, "KHR_mesh_quantization"})
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
    splat, rows = read_plain(document, scene.splats)
    offset = offset_of(scene.splats[0].matrix[:3, 3])
    for placed, own in _joined([placed.matrix for placed in scene.splats], rows):
        near = placed.copy()
        near[:3, 3] -= offset
        move(splat, own, _TO_PLY @ near)
    splat = replace(splat, offset=offset * LUF_TO_PLY + 0.0)  # + 0: no -0
    labels = _labels(document, scene, rows)
    if labels is None:
        return splat
    splat = replace(splat, labels=labels)
    unmoved = all(np.array_equal(placed.matrix[:3, :3], np.eye(3)) for placed in scene.splats)
    same = unmoved and len({placed.matrix.tobytes() for placed in scene.splats}) == 1 and counts_fit(labels)
    return splat if same else measured_anew(splat)


def _joined(matrices: list[np.ndarray], rows: list[slice]) -> list[tuple[np.ndarray, slice]]:
    """Neighbours with equal matrices as one, so that thousands of labels are moved at once."""
    out: list[tuple[np.ndarray, slice]] = []
    for matrix, own in zip(matrices, rows, strict=True):
        if out and np.array_equal(out[-1][0], matrix):
            out[-1] = (matrix, slice(out[-1][1].start, own.stop))
        else:
            out.append((matrix, own))
    return out


def _labels(document: Document, scene: Scene, rows: list[slice]) -> SplatLabels | None:
    """The labels, if every splat lies below one."""
    if scene.facts is None or any(placed.label is None for placed in scene.splats):
        return None
    counts = [own.stop - own.start for own in rows]
    codes = np.repeat(np.array([placed.label for placed in scene.splats], np.uint32), counts)
    return labels_from(scene.facts, scene.labels, codes.view(np.int32), document.path.name)


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
