"""The labels file: what lies beside a splat whose format keeps no labels, `scene.spz.labels` beside `scene.spz`.

It is a zip with `codes.npy`, `labels.json` and `splat.json`. docs/reference/formats.md describes it for other programs.
"""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core import disk
from bgs_engine.core.codes import MAX_BITS
from bgs_engine.core.errors import InputError
from bgs_engine.core.files import MOST_JSON_BYTES, cannot_write, sha256, writing
from bgs_engine.core.input_files import is_file
from bgs_engine.core.label_table import labels_as_json, labels_from_json
from bgs_engine.formats.raw_splat import SplatLabels
from bgs_engine.io.arrays import Archive, open_arrays

SUFFIX = ".labels"
LABELS_FORMAT = 1
AGAIN = "Remove it, or convert the splat with its labels again."
_MADE = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip: equal labels make equal files


def labels_file_of(path: Path) -> Path:
    """Where the labels of the splat file `path` lie."""
    return path.with_name(path.name + SUFFIX)


def write_labels_file(path: Path, labels: SplatLabels) -> Path:
    """Write the labels of the splat file `path`, which is there, beside it. Returns where.

    Raises:
        OutputError: the file cannot be written. An earlier one is as it was.
    """
    saved = io.BytesIO()
    np.save(saved, np.ascontiguousarray(labels.codes, "<i4"), allow_pickle=False)
    about = {"format": LABELS_FORMAT, "file": path.name, "gaussians": len(labels.codes), "sha256": sha256(path)}
    members = {
        "codes.npy": saved.getvalue(),
        "labels.json": _json(labels_as_json(labels.table)),
        "splat.json": _json(about),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _MADE), data, zipfile.ZIP_DEFLATED, 1)
    target = labels_file_of(path)
    with writing(target) as stream:
        stream.write(packed.getvalue())
    return target


def remove_labels_file(path: Path) -> None:
    """Remove the labels of the splat file `path`, which was replaced by one without labels.

    Raises:
        OutputError: the labels file cannot be removed.
    """
    target = labels_file_of(path)
    if not is_file(target):
        return
    try:
        disk.remove_file(target)
    except OSError as error:
        raise cannot_write(target, error) from None


def read_labels_file(path: Path, count: int, codes: np.ndarray | None = None) -> SplatLabels | None:
    """The labels beside the splat file `path`, which has `count` Gaussians; None where there is no labels file.

    Where `path` is a link, they may lie beside the link or beside the file.

    Rows that another program has removed or reordered must not get labels of others. So the labels must be of the same
    `codes`, int32 [N], if the splat file has codes itself. Else it must be the file that they were written for.

    Raises:
        InputError: the labels file is damaged, of a newer version, or belongs to another file.
    """
    target = next(filter(is_file, map(labels_file_of, (path, Path(os.path.realpath(path))))), None)
    if target is None:
        return None
    with open_arrays(target, AGAIN) as archive:
        about = _about(archive, target.name)
        if about.get("gaussians") != count:
            raise _of_another(target, path)
        own = archive.read("codes", 4 * count)
        if own.dtype != np.int32 or own.shape != (count,):
            raise ValueError("codes.npy is not one int32 for each Gaussian")
        table = labels_from_json(json.loads(archive.read_bytes("labels.json", MOST_JSON_BYTES)), target.name)
        if table.layout.total < MAX_BITS and (own.view(np.uint32) >> np.uint32(table.layout.total)).any():
            raise ValueError(f"codes.npy holds codes of more than {table.layout.total} bits")
    known = about.get("sha256")
    fits = np.array_equal(own, codes) if codes is not None else known is None or known == sha256(path)
    if not fits:
        raise _of_another(target, path)
    return SplatLabels(own.astype(np.int32), table.layout, table)


def _about(archive: Archive, name: str) -> dict[str, Any]:
    about = json.loads(archive.read_bytes("splat.json", MOST_JSON_BYTES))
    if not isinstance(about, dict) or not isinstance(about.get("format"), int):
        raise ValueError("splat.json has no format")
    if about["format"] > LABELS_FORMAT:
        raise InputError(f"{name} was written by a newer version.", "Update Binary Gaussian Segmentation.")
    return about


def _of_another(labels: Path, path: Path) -> InputError:
    return InputError(
        f"{labels.name} has the labels of other Gaussians: {path.name} was changed or replaced since.", AGAIN
    )


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()
