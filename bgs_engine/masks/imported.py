"""Masks that other programs made, as a `MaskProposer`: `import:PATH`.

PATH is a folder with one entry per view, or a project folder that has such a folder under its usual name. The package
`formats` holds the readers. None of them executes anything that a file contains.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from bgs_engine.core.errors import InputError
from bgs_engine.core.files import sha256
from bgs_engine.core.input_files import is_folder
from bgs_engine.io.image_names import PICTURE_SUFFIXES
from bgs_engine.masks.bits import MaskStack
from bgs_engine.masks.formats.mask_format import most_pixels
from bgs_engine.masks.formats.table import find_entry, names_for, read_masks
from bgs_engine.masks.prompting import Check

SHAPE_TOLERANCE = 0.02  # masks made on downscaled images may differ this much in their proportions


class ImportedMasks:
    """Masks from the files in a folder.

    Raises:
        InputError: the folder is not there.
    """

    crops = False

    def __init__(self, folder: Path) -> None:
        if not is_folder(folder):
            raise InputError(f"There is no folder {folder}.", "Give import:FOLDER with one file of masks per view.")
        self.folder = folder

    def key(self, stem: str) -> str:
        """The content of the view's masks."""
        path = self._find(stem)
        digest = hashlib.sha256(path.suffix.encode())
        files = [*path.glob("*.png"), *path.glob("metadata.csv")] if is_folder(path) else [path]
        for file in sorted(files):
            digest.update(file.name.encode() + b"\0" + sha256(file).encode())
        return f"import:{digest.hexdigest()}"

    def propose(self, image: np.ndarray, stem: str, check: Check, where: np.ndarray | None = None) -> MaskStack:
        """The view's masks at the size of its image, uint8 [H, W, 3].

        Raises:
            InputError: the view has no masks, or they are damaged, or their proportions are not those of the image.
        """
        path = self._find(stem)
        height, width = image.shape[:2]
        scores: list[float] = []

        def fitted() -> Iterator[np.ndarray]:
            for mask, score in read_masks(path, most_pixels(height, width)):
                check()
                scores.append(score)
                yield _fit(mask, height, width, path.name)

        masks = MaskStack.pack(height, width, fitted())
        return MaskStack(height, width, masks.bits, np.array(scores, np.float32))

    def stop(self) -> None:
        """Nothing runs long here."""

    def _find(self, stem: str) -> Path:
        plain = dict.fromkeys((stem, stem.rsplit("/", 1)[-1]))
        for name in (*plain, *(f"{name}{suffix}" for name in plain for suffix in PICTURE_SUFFIXES)):  # 0001.jpg.png
            path = find_entry(self.folder, name)
            if path is not None:
                return path
        raise InputError(
            f"{self.folder} has no masks for the view {stem}.", f"Name them like the image: {names_for(stem)}."
        )


def _fit(mask: np.ndarray, height: int, width: int, name: str) -> np.ndarray:
    """The mask at another size by nearest pixels; masks are often made on downscaled images."""
    if mask.shape == (height, width):
        return mask
    tall, wide = mask.shape
    if not tall or not wide or abs(tall * width / (wide * height) - 1) > SHAPE_TOLERANCE:
        raise InputError(
            f"The masks of {name} are {wide}x{tall} pixels, the image {width}x{height}.",
            "Use masks made from the images of this dataset.",
        )
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
