"""Masks of SAM's own script, as a list of COCO run-length masks with scores."""

import json
from collections.abc import Iterator
from pathlib import Path

from bgs_engine.core.input_files import read_text
from bgs_engine.masks.formats.mask_format import MaskFormat, ScoredMask, damaged, score_of
from bgs_engine.masks.formats.run_lengths import decode_rle


def read(path: Path, most: int) -> Iterator[ScoredMask]:
    """The masks of a JSON file, a list or an object with the list `annotations`."""
    try:
        data = json.loads(read_text(path))
        entries = data["annotations"] if isinstance(data, dict) else data
        if not isinstance(entries, list):
            raise ValueError("no list of masks")
    except (ValueError, KeyError, RecursionError) as error:
        raise damaged(path, "a list of COCO masks", error) from None
    for entry in entries:
        if not isinstance(entry, dict):
            raise damaged(path, "a list of COCO masks", ValueError("an entry is no object"))
        yield decode_rle(entry.get("segmentation"), path.name, most), score_of(entry)


FORMAT = MaskFormat("SAM's own script", "COCO run-length masks with scores", read, (".json",))
