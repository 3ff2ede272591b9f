"""LERF-Mask, as Gaussian Grouping released it: masks of named objects in views that were kept out of the training.

    SCENE/ sparse/0/              cameras of all photos
           images_train/          the photos to train with; all other cameras, in the order of their names, are tested
           test_mask/0/*.png      masks of the first tested view, one an object; the object's name is the text prompt
           test_mask/1/*.png      and so on; not every view has a folder

Published: a text prompt picks the object in the first tested view. IoU and boundary IoU are averaged over the views of
an object, then over the objects. https://github.com/lkeab/gaussian-grouping, docs/dataset.md, script/eval_lerf_mask.py

Here: a run has no words for its labels. In place of the text, the true mask of the first tested view that shows the
object picks its labels.
"""

from collections.abc import Sequence
from pathlib import Path

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import is_folder
from bgs_engine.io.image_names import without_suffix
from bgs_engine.output.protocols.annotation import (
    Annotation,
    TrueMask,
    by_last_part,
    first_shown,
    last_part,
    pictures_in,
)  # fmt: skip


def read(folder: Path, cameras: Sequence[Camera]) -> list[Annotation]:
    """The objects of a scene.

    Raises:
        InputError: a folder is missing, or a folder of masks has no camera.
    """
    masks: dict[str, list[TrueMask]] = {}
    for view, camera in _tested(folder, cameras):
        for path in pictures_in(view):
            masks.setdefault(path.stem, []).append(TrueMask(camera, path))
    if not masks:
        raise InputError(f"{folder / 'test_mask'} holds no masks.", "It should have folders 0, 1, ... with PNG files.")
    return [Annotation(name, first_shown(name, own), None, tuple(own)) for name, own in sorted(masks.items())]


def _tested(folder: Path, cameras: Sequence[Camera]) -> list[tuple[Path, Camera]]:
    """The folders of masks with the camera of each, in the order of the views."""
    if not is_folder(folder / "test_mask"):
        raise InputError(f"{folder} has no test_mask folder.", "Give a scene of LERF-Mask, such as figurines.")
    named = by_last_part(cameras)
    views = sorted((p for p in (folder / "test_mask").iterdir() if is_folder(p)), key=_in_order)
    if all(view.name in named for view in views):
        return [(view, named[view.name]) for view in views]
    if not is_folder(folder / "images_train"):
        raise InputError(
            f"{folder} has no images_train folder, so the cameras of the test views are not known.",
            "Copy it from the release. The cameras that it leaves out are the test views.",
        )
    trained = {without_suffix(path.name) for path in (folder / "images_train").iterdir()}
    tested = sorted((c for c in cameras if last_part(c.name) not in trained), key=lambda c: last_part(c.name))
    found = []
    for view in views:
        if not view.name.isdecimal() or int(view.name) >= len(tested):
            raise InputError(
                f"test_mask/{view.name} belongs to no camera: images_train leaves out {len(tested)} of {len(cameras)}.",
                "Copy images_train, sparse and test_mask from the same release.",
            )
        found.append((view, tested[int(view.name)]))
    return found


def _in_order(view: Path) -> tuple[int, str]:
    return (int(view.name) if view.name.isdecimal() else 0, view.name)
