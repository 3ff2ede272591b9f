"""Masks of SAM's own script, as a folder a view with one picture a mask."""

import csv
from collections.abc import Iterator
from pathlib import Path

from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import is_file, open_text
from bgs_engine.io.images import read_image
from bgs_engine.masks.formats.mask_format import MaskFormat, ScoredMask, damaged, score_of


def read(folder: Path, most: int) -> Iterator[ScoredMask]:
    """The masks of a folder. Scores come from metadata.csv if it is there."""
    scores: dict[str, float] = {}
    table = folder / "metadata.csv"
    if is_file(table):
        try:
            with open_text(table, newline="") as stream:
                scores = {row["id"]: score_of(row) for row in csv.DictReader(stream) if "id" in row}
        except (OSError, ValueError, csv.Error) as error:
            raise damaged(table, "SAM's table of masks", error) from None
    pictures = sorted(folder.glob("*.png"))
    if not pictures:
        raise InputError(f"{folder} holds no PNG masks.", "Put one picture per mask into it.")
    for path in pictures:
        yield read_image(path, most=most).max(2) > 127, scores.get(path.stem, 1.0)


FORMAT = MaskFormat("SAM's own script", "0.png, 1.png, ..., one picture a mask", read, is_folder=True, rank=2)
