"""Masks that other programs made, as a `MaskProposer`: `import:PATH`.

PATH is a folder with one entry per view, or a project folder that has such a folder under its usual name:

    SAGA               sam_masks/NAME.pt              bool tensor [K, H, W]
    Gaussian Grouping  object_mask/NAME.png           ids, 0 = none
    LangSplat          language_features/NAME_s.npy   ids [4, H, W], -1 = none
    SAM's own script   NAME.json                      COCO run-length masks with scores
    SAM's own script   NAME/0.png, 1.png, ...         one picture a mask; metadata.csv with scores is used
Nothing read here is executed: tensors load with `weights_only`, arrays without pickle.
"""

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.io.images import MAX_PIXELS, read_image, read_label_png
from bgs_engine.masks.bits import MaskStack
from bgs_engine.masks.prompting import Check
from bgs_engine.masks.rle import decode_rle

FOLDERS = ("", "sam_masks", "object_mask", "language_features")  # where the four programs put them
SUFFIXES = (".pt", "_s.npy", ".npy", ".json", ".png")
SHAPE_TOLERANCE = 0.02  # masks made on downscaled images may differ this much in their proportions
Scored = tuple[np.ndarray, float]


class ImportedMasks:
    """Masks from files.

    Raises:
        InputError: the folder is not there.
    """

    crops = False

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}.", "Give import:FOLDER with one file of masks per view.")
        self.folder = folder

    def key(self, stem: str) -> str:
        """The content of the view's masks."""
        path = self._find(stem)
        digest = hashlib.sha256(path.suffix.encode())
        try:
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the masks.") from None
        return f"import:{digest.hexdigest()}"

    def propose(self, image: np.ndarray, stem: str, check: Check, where: np.ndarray | None = None) -> MaskStack:
        """The view's masks at the size of its image, uint8 [H, W, 3].

        Raises:
            InputError: none there, damaged, or of other proportions than the image.
        """
        path = self._find(stem)
        height, width = image.shape[:2]
        scores: list[float] = []

        def fitted() -> Iterator[np.ndarray]:
            for mask, score in read_masks(path):
                check()
                scores.append(score)
                yield _fit(mask, height, width, path.name)

        masks = MaskStack.pack(height, width, fitted())
        return MaskStack(height, width, masks.bits, np.array(scores, np.float32))

    def stop(self) -> None:
        """Nothing runs long here."""

    def _find(self, stem: str) -> Path:
        for name in dict.fromkeys((stem, stem.rsplit("/", 1)[-1])):
            for inner in FOLDERS:
                base = self.folder / inner
                for path in [base / f"{name}{suffix}" for suffix in SUFFIXES]:
                    if path.is_file():
                        return path
                if (base / name).is_dir():
                    return base / name
        raise InputError(
            f"{self.folder} has no masks for the view {stem}.",
            f"Name them like the image: {stem}.pt, {stem}.png, {stem}_s.npy, {stem}.json or a folder {stem}.",
        )


def read_masks(path: Path) -> Iterator[Scored]:
    """The masks of one view, bool [h, w] with a score (1 where the format has none), one at a time.

    Raises:
        InputError: not masks in one of the known forms.
    """
    if path.is_dir():
        return _picture_folder(path)
    if path.suffix == ".pt":
        return _saga_tensor(path)
    if path.suffix == ".npy":
        return _langsplat_array(path)
    if path.suffix == ".json":
        return _coco_json(path)
    return _by_id(read_label_png(path)[None], 1)


def _saga_tensor(path: Path) -> Iterator[Scored]:
    try:
        import torch
    except ImportError:
        raise EnvironmentLacksError("Reading .pt masks needs the package torch.", "Run: pip install torch") from None
    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(tensor, torch.Tensor) or tensor.ndim != 3 or tensor.is_sparse:
            raise ValueError("no tensor of three dimensions")
        masks = tensor.numpy()
    except Exception as error:  # zip, pickle and tensor errors of many types
        raise _damaged(path, "one bool tensor [masks, height, width]", error) from None
    for mask in masks:
        yield mask > 0.5 if masks.dtype.kind == "f" else mask != 0, 1.0


def _langsplat_array(path: Path) -> Iterator[Scored]:
    try:
        maps = np.load(path, allow_pickle=False)
        if maps.ndim not in (2, 3) or maps.dtype.kind not in "iuf" or maps.size > 4 * MAX_PIXELS:
            raise ValueError(f"its shape is {maps.shape} {maps.dtype}")
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, "id maps [4, height, width]", error) from None
    return _by_id(np.nan_to_num(maps, nan=-1).reshape(-1, *maps.shape[-2:]).astype(np.int64), 0)


def _by_id(maps: np.ndarray, first: int) -> Iterator[Scored]:
    """A mask for every id >= `first` of every map [n, h, w]."""
    for id_map in maps:
        for number in np.unique(id_map[id_map >= first]).tolist():
            yield id_map == number, 1.0


def _coco_json(path: Path) -> Iterator[Scored]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        entries = data["annotations"] if isinstance(data, dict) else data
        if not isinstance(entries, list):
            raise ValueError("no list of masks")
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise _damaged(path, "a list of COCO masks", error) from None
    for entry in entries:
        if not isinstance(entry, dict):
            raise _damaged(path, "a list of COCO masks", ValueError("an entry is no object"))
        yield decode_rle(entry.get("segmentation"), path.name), _score(entry)


def _picture_folder(folder: Path) -> Iterator[Scored]:
    scores: dict[str, float] = {}
    table = folder / "metadata.csv"
    if table.is_file():
        try:
            with table.open(newline="", encoding="utf-8") as stream:
                scores = {row["id"]: _score(row) for row in csv.DictReader(stream) if "id" in row}
        except (OSError, ValueError, csv.Error) as error:
            raise _damaged(table, "SAM's table of masks", error) from None
    pictures = sorted(folder.glob("*.png"))
    if not pictures:
        raise InputError(f"{folder} holds no PNG masks.", "Put one picture per mask into it.")
    for path in pictures:
        yield read_image(path).max(2) > 127, scores.get(path.stem, 1.0)


def _score(entry: dict[str, object]) -> float:
    """Predicted IoU times stability, where a file gives them; out-of-range values count as 0 or 1."""
    score = 1.0
    for name in ("predicted_iou", "stability_score"):
        try:
            value = float(str(entry.get(name, 1.0)))
        except ValueError:
            value = 1.0
        score *= min(max(value, 0.0), 1.0) if value == value else 0.0
    return score


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


def _damaged(path: Path, wanted: str, error: Exception) -> InputError:
    reason = (str(error) or type(error).__name__).splitlines()[0][:100]
    return InputError(f"{path.name} does not hold {wanted} ({reason}).", "Write the masks again.")
