"""NVOS: scribbles in one photo of an LLFF scene, a true mask in another.

    FOLDER/ masks/SCENE/NAME_mask.png                 true mask of the target photo NAME
            reference_image/SCENE/NAME.JPG            the photo that was scribbled on
            scribbles/SCENE/pos_*.png, neg_*.png      scribbles on the object and beside it, smaller than the photo

A scene of photos may have several objects, as horns has horns_center and horns_left.

Published: the scribbles point at the object, and IoU and pixel accuracy are measured in the target photo.
https://jason718.github.io/nvos

Here: the same. All pixels of the scribbles pick the labels. An object counts if its photos are among the cameras.
"""

from collections.abc import Sequence
from pathlib import Path

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import is_folder
from bgs_engine.io.image_names import without_suffix
from bgs_engine.output.protocols.annotation import Annotation, TrueMask, by_last_part, pictures_in

PARTS = ("masks", "reference_image", "scribbles")
PHOTOS = r".*\.(png|jpe?g)"


def read(folder: Path, cameras: Sequence[Camera]) -> list[Annotation]:
    """The objects whose photos are among the cameras.

    Raises:
        InputError: a folder or file is missing, or no object has its photos among the cameras.
    """
    for part in PARTS:
        if not is_folder(folder / part):
            raise InputError(f"{folder} has no {part} folder.", f"It should hold {', '.join(PARTS)}.")
    named = by_last_part(cameras)
    scenes = sorted(p.name for p in (folder / "masks").iterdir() if is_folder(p))
    found = [annotation for scene in scenes for annotation in _object(folder, scene, named)]
    if not found:
        raise InputError(
            f"No object of {folder} has its photos among the {len(cameras)} cameras.",
            "Give the photos of one of these scenes with --dataset FOLDER.",
        )
    return found


def _object(folder: Path, scene: str, named: dict[str, Camera]) -> list[Annotation]:
    target = _only(folder / "masks" / scene, r".*_mask\.png")
    reference = _only(folder / "reference_image" / scene, PHOTOS)
    positive, negative = (_only(folder / "scribbles" / scene, rf"{sign}_.*\.png") for sign in ("pos", "neg"))
    names = [target.stem[: -len("_mask")], without_suffix(reference.name)]
    missing = [name for name in names if name not in named]
    if len(missing) == len(names):
        return []  # of another scene
    if missing:
        raise InputError(f"{missing[0]} of {scene} is not among the cameras.", "Give all photos of this scene.")
    prompt = TrueMask(named[names[1]], positive)
    return [Annotation(scene, prompt, negative, (TrueMask(named[names[0]], target),))]


def _only(folder: Path, pattern: str) -> Path:
    found = pictures_in(folder, pattern)
    if len(found) != 1:
        kind = pattern.replace(".*", "*").replace("\\", "")
        raise InputError(
            f"{folder.parent.name}/{folder.name} has {len(found)} files {kind}; it should have one.",
            "Copy the folder from the release again.",
        )
    return found[0]
