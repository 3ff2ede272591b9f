"""SPIn-NeRF's multiview segmentation data: one object a scene, with masks in many views.

    SCENE/ NAME.png                     mask of the photo NAME
           NAME_cutout.png, NAME_pseudo.png, annotations.json       not read

NAME is the name of a photo. Some scenes call it imageNNN, which counts the photos in the order of their names from 0.
Some put 0_ or 1_ before it. The photos and cameras come from other data sets.

Published: the true mask of a reference view points at the object, and IoU and pixel accuracy are averaged over the
views that have masks. SA3D's authors take the first view and count it too:
https://github.com/Jumpat/SegmentAnythingin3D/issues/34 and /78. https://spinnerf3d.github.io

Here: the same. The reference view's mask picks the labels.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.output.protocols.annotation import (
    Annotation,
    TrueMask,
    by_last_part,
    first_shown,
    last_part,
    pictures_in,
)  # fmt: skip

OTHERS = ("_cutout", "_pseudo")
NUMBERED = re.compile(r"image(\d+)", re.IGNORECASE)
PREFIXED = re.compile(r"[01]_(.+)")


def read(folder: Path, cameras: Sequence[Camera]) -> list[Annotation]:
    """The object of a scene.

    Raises:
        InputError: there are no masks, or a mask has no camera.
    """
    paths = [path for path in pictures_in(folder) if not path.stem.lower().endswith(OTHERS)]
    if not paths:
        raise InputError(f"{folder} holds no masks.", "Give the folder of one scene, such as 'fern (llff)'.")
    in_order = sorted(cameras, key=lambda camera: last_part(camera.name))
    named = by_last_part(cameras)
    targets = tuple(TrueMask(_camera(path, named, in_order), path) for path in paths)
    if len({target.camera.name for target in targets}) < len(targets):
        raise InputError(f"Two masks of {folder} belong to the same camera.", "Give the photos of this scene.")
    return [Annotation(folder.name, first_shown(folder.name, targets), None, targets)]


def _camera(path: Path, named: dict[str, Camera], in_order: Sequence[Camera]) -> Camera:
    if path.stem in named:
        return named[path.stem]
    prefixed, numbered = PREFIXED.fullmatch(path.stem), NUMBERED.fullmatch(path.stem)
    if prefixed and prefixed[1] in named:
        return named[prefixed[1]]
    if numbered and int(numbered[1]) < len(in_order):
        return in_order[int(numbered[1])]
    raise InputError(
        f"{path.name} belongs to none of the {len(in_order)} cameras.",
        "Give the photos of this scene with --dataset FOLDER.",
    )
