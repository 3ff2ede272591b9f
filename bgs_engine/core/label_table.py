"""The label table: size, place, colour and name of every label of every level.

The run folder keeps it as labels.json, where people edit the names. One sort per level computes it; nothing loops over
the Gaussians.
"""

import math
import operator
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.codes import MAX_BITS, BitLayout
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.files import read_json, write_json

TABLE_FORMAT = 1
AGAIN = "Run the segmentation again."
AUTOMATIC_NAMES = "automatic_names"  # beside the levels, so that older versions can read the labels
_AUTOMATIC = re.compile(r"L\d+_\d+(_\d+)?")
SOLID_OPACITY = 0.1  # fainter Gaussians count neither for a label's box nor for its score: haze would blow both up


@dataclass
class Label:
    """One label of one level. Lengths are in scene units. The colour is the mean colour of its Gaussians, 0..1."""

    label: int
    parent: int
    count: int
    center: tuple[float, float, float]
    box_min: tuple[float, float, float]
    box_max: tuple[float, float, float]
    color: tuple[float, float, float]
    name: str
    confidence: float | None = None  # mean share of decided votes, 0..1; None where the method gives none
    shown_color: tuple[float, float, float] | None = None  # sRGB 0..1, where a user's labels lack the palette's colour
    automatic: str = ""  # the descriptive name that the engine gave; "" if none


@dataclass
class LabelTable:
    """The labels of all levels. `levels[l - 1]` holds those of level l, largest first."""

    layout: BitLayout
    levels: list[list[Label]]

    def of(self, level: int) -> list[Label]:
        """The labels of `level`.

        Raises:
            UsageError: the layout has no such level.
        """
        self.layout.bits_to(level)
        return self.levels[level - 1]

    def of_codes(self, level: int, ids: Collection[int]) -> list[Label]:
        """The labels of `level`, which must be those that the codes have there, `ids`.

        Raises:
            UsageError: the layout has no such level.
            InputError: the table lists other labels. It was changed, or belongs to other codes.
        """
        rows = self.of(level)
        odd = {row.label for row in rows} ^ set(ids)
        if odd:
            raise InputError(
                f"labels.json does not fit codes.npy: only one of them has label {min(odd)} at level {level}.",
                AGAIN,
            )
        return rows


def build_label_table(
    layout: BitLayout,
    codes: np.ndarray,
    means: np.ndarray,
    opacities: np.ndarray,
    colors: np.ndarray,
    confidence: np.ndarray | None = None,
    offset: np.ndarray | None = None,
) -> LabelTable:
    """The table of all labels in use.

    Args:
        codes: int32 [N].
        means: float32 [N, 3], scene units.
        opacities: float32 [N] in 0..1. They weigh the centre and the colour.
        colors: float32 [N, 3], 0..1.
        confidence: float32 [N] in 0..1, or None.
        offset: float64 [3] that is added to centres and boxes, for means that are relative to it.
    """
    place = np.zeros(3) if offset is None else np.asarray(offset, np.float64)
    levels = []
    for level in range(1, layout.levels + 1):
        ids, of, counts = np.unique(layout.labels(codes, level), return_inverse=True, return_counts=True)
        of = of.reshape(-1)
        columns = _described(of, len(ids), means, opacities, colors, place)
        by_size = np.lexsort((ids, -counts))
        digits = len(str(len(ids)))
        sure: list[float | None] = [None] * len(ids)
        if confidence is not None:
            sure = [round(value, 4) for value in (np.bincount(of, confidence, len(ids)) / counts).tolist()]
        levels.append(
            [
                Label(
                    label=int(ids[k]),
                    parent=int(layout.parent(int(ids[k]), level)),
                    count=int(counts[k]),
                    name=f"L{level}_{rank:0{digits}d}",
                    confidence=sure[k],
                    **{name: column[k] for name, column in columns.items()},
                )
                for rank, k in enumerate(by_size.tolist(), 1)
            ]
        )
    return LabelTable(layout, levels)


def is_automatic(name: str, automatic: str = "") -> bool:
    """Whether nobody gave a label its name: it has the form `L<level>_<rank>`, or is the `automatic` one of the label.

    All other names are people's, and nothing overwrites them.
    """
    return _AUTOMATIC.fullmatch(name) is not None or (automatic != "" and name == automatic)


def _described(
    of: np.ndarray, count: int, means: np.ndarray, opacities: np.ndarray, colors: np.ndarray, place: np.ndarray
) -> dict[str, list[Any]]:
    """Centre, box and colour of `count` labels; `of` int [N] is the label of each Gaussian. Zeros where none is finite.

    Centre and colour are means weighted by opacity. The box is that of the solid Gaussians, if there are any.
    """
    usable = np.isfinite(means).all(1)
    rows = np.flatnonzero(usable)
    mine, weights = of[rows], opacities[rows].astype(np.float64) + 1e-6
    total = np.maximum(np.bincount(mine, weights, count), 1e-30)

    def average(values: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(mine, weights * values[rows, k], count) for k in range(3)], 1) / total[:, None]

    solid = opacities >= SOLID_OPACITY
    has_solid = np.bincount(mine, solid[rows], count) > 0
    boxed = rows[solid[rows] | ~has_solid[mine]]
    boxed = boxed[np.argsort(of[boxed], kind="stable")]
    filled, starts = np.unique(of[boxed], return_index=True)
    center, low, high, color = (np.zeros((count, 3)) for _ in range(4))
    if len(filled):
        center[filled] = (average(means) + place)[filled]
        color[filled] = average(colors)[filled].clip(0, 1)
        low[filled] = np.minimum.reduceat(means[boxed], starts) + place
        high[filled] = np.maximum.reduceat(means[boxed], starts) + place
    columns = {"center": center, "box_min": low, "box_max": high, "color": color}
    return {name: _triples(values) for name, values in columns.items()}


def _triples(values: np.ndarray) -> list[tuple[float, float, float]]:
    """The rows [K, 3] as tuples, rounded to what a person may want to read."""
    return [(round(a, 6), round(b, 6), round(c, 6)) for a, b, c in values.tolist()]


def write_labels(path: Path, table: LabelTable) -> None:
    """Write labels.json, as a whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    write_json(path, labels_as_json(table))


def labels_as_json(table: LabelTable) -> dict[str, Any]:
    """The label table as labels.json holds it."""
    levels = [[asdict(label) for label in level] for level in table.levels]
    automatic = [[label.pop("automatic") for label in level] for level in levels]
    table_of_names = {AUTOMATIC_NAMES: automatic} if any(map(any, automatic)) else {}
    head = {"format": TABLE_FORMAT, "level_bits": table.layout.level_bits}
    return {**head, **table_of_names, "levels": levels}


def read_labels(path: Path) -> LabelTable:
    """Read labels.json.

    Raises:
        InputError: the file is missing, damaged, or written by a newer version.
    """
    return labels_from_json(read_json(path, AGAIN), path.name)


def labels_from_json(data: Any, name: str) -> LabelTable:
    """The label table from what the JSON file `name` holds.

    Raises:
        InputError: it is damaged, or written by a newer version.
    """
    try:
        if data["format"] > TABLE_FORMAT:
            raise InputError(f"{name} was written by a newer version.", "Update Binary Gaussian Segmentation.")
        layout = BitLayout(tuple(map(operator.index, data["level_bits"])))
        levels = [[_checked(Label(**label)) for label in level] for level in data["levels"]]
        if len(levels) != layout.levels:
            raise ValueError(f"{len(levels)} levels of {layout.levels}")
        _set_automatic_names(levels, data.get(AUTOMATIC_NAMES))
        return LabelTable(layout, levels)
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError, UsageError) as error:
        raise InputError(f"{name} is damaged ({error}).", AGAIN) from None


def _set_automatic_names(levels: list[list[Label]], names: Any) -> None:
    """Tell the labels their automatic names. Names of other labels, as a careless editor leaves, are not believed."""
    fits = isinstance(names, list) and all(isinstance(own, list) for own in names)
    if fits and list(map(len, names)) == list(map(len, levels)):
        for label, name in zip((row for rows in levels for row in rows), (n for ns in names for n in ns), strict=True):
            label.automatic = name if isinstance(name, str) else ""


def _checked(label: Label) -> Label:
    """The label with every value converted to its own type. JSON has lists where the label has tuples."""
    label.label, label.parent, label.count = map(operator.index, (label.label, label.parent, label.count))
    if not 0 <= label.label < 1 << MAX_BITS or label.count < 0:
        raise ValueError(f"there is no label {label.label} of {label.count} Gaussians")
    for name in ("center", "box_min", "box_max", "color"):
        a, b, c = map(float, getattr(label, name))
        if not all(map(math.isfinite, (a, b, c))):
            raise ValueError(f"the {name} of label {label.label} is no number")
        setattr(label, name, (a, b, c))
    if label.shown_color is not None:
        r, g, b = (min(1.0, max(0.0, float(value))) for value in label.shown_color)
        label.shown_color = (r, g, b)
    if not isinstance(label.name, str):
        raise TypeError("a name that is no text")
    # JSON may hold half a character and zeros, which neither Blender nor a file can hold.
    label.name = label.name.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    label.confidence = None if label.confidence is None else float(label.confidence)
    return label
