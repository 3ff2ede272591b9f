"""What a mask format declares about itself, and the helpers that several formats share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import is_folder
from bgs_engine.io.images import MAX_PIXELS

ScoredMask = tuple[np.ndarray, float]  # bool [h, w] and a score; 1 where the format stores no scores

LARGER = 64  # times the pixels of its view that a mask may have: masks of full photos, views of eighth size
SMALL_PICTURE = 1 << 22  # pixels that a mask may always have


@dataclass(frozen=True)
class MaskFormat:
    """One way to store the masks of a view.

    `program` names the program that writes the format, and `content` says what an entry holds.

    An entry is called like its view with one of `suffixes` at the end, or exactly like its view if it `is_folder`.
    It lies in the folder that the user named or in `project_folder` inside it. Where a folder has entries of several
    formats for one view, the format of the lowest `rank` is read.

    `read` takes the path of an entry and the most pixels that one of its masks may have. It yields the masks, one at a
    time. It raises `InputError` if the entry is damaged or larger, before memory is asked for. It must not execute
    anything that a file contains.
    """

    program: str
    content: str
    read: Callable[[Path, int], Iterator[ScoredMask]]
    suffixes: tuple[str, ...] = ()
    project_folder: str = ""
    is_folder: bool = False
    rank: int = 0

    def entries(self, folder: Path, name: str) -> list[Path]:
        """The paths that the masks of the view `name` may have in `folder`."""
        return [folder / name] if self.is_folder else [folder / f"{name}{suffix}" for suffix in self.suffixes]

    def fits(self, path: Path) -> bool:
        """Whether an entry that exists is of this format, by its name."""
        return self.is_folder if is_folder(path) else path.name.endswith(self.suffixes)

    def example(self, name: str) -> str:
        """How an entry of the view `name` is called, for a hint."""
        return f"a folder {name}" if self.is_folder else f"{name}{self.suffixes[0]}"


def most_pixels(height: int, width: int) -> int:
    """The most pixels that a mask of a view of this size may have."""
    return min(MAX_PIXELS, max(SMALL_PICTURE, LARGER * height * width))


def masks_of_ids(maps: np.ndarray, first: int) -> Iterator[ScoredMask]:
    """A mask for every id of at least `first` in every map [n, h, w]."""
    for id_map in maps:
        for number in np.unique(id_map[id_map >= first]).tolist():
            yield id_map == number, 1.0


def score_of(entry: dict[str, object]) -> float:
    """The predicted IoU times the stability, where a file gives them. Values out of range count as 0 or 1."""
    score = 1.0
    for name in ("predicted_iou", "stability_score"):
        try:
            value = float(str(entry.get(name, 1.0)))
        except ValueError:
            value = 1.0
        score *= min(max(value, 0.0), 1.0) if value == value else 0.0
    return score


def damaged(path: Path, wanted: str, error: Exception) -> InputError:
    """The error for an entry that does not hold what its format says."""
    reason = (str(error) or type(error).__name__).splitlines()[0][:100]
    return InputError(f"{path.name} does not hold {wanted} ({reason}).", "Write the masks again.")
