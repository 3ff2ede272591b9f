"""Reads the Gaussians of glTF primitives that have the extension KHR_gaussian_splatting, in its ratified form.

It stores activated values: lengths, opacities from 0 to 1, unit quaternions (x, y, z, w). Files of its release
candidate have logarithms of lengths, some of which are negative; those of its drafts have other names.
https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Khronos/KHR_gaussian_splatting
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.formats.activation import encode_colors, logarithms_of, logits_of
from bgs_engine.formats.gltf_document import Accessor, Document, read_rows
from bgs_engine.formats.gltf_scene import SPLATS, Placed
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.io.gaussians import SH_C0

COLOR = "COLOR_0"  # of drafts, instead of the constant harmonic and the opacity
FIFTH_BAND = "_BGS_SH_DEGREE_4_COEF_"  # the extension ends at degree 3; names with _ are free for programs
MOST_DEGREE = 4
_DRAFTS = {f"{SPLATS}:{name}": f"_{name}" for name in ("ROTATION", "SCALE", "OPACITY")}
_UNREPEATED = 1_000_000  # Gaussians that any file may hold
_SMALLEST = 2  # bytes of a file for each Gaussian that it shows: a plain one has 29 or more, copies have none


@dataclass(frozen=True)
class Values:
    """The accessors of one primitive of `count` Gaussians. `harmonics` are 1, 4, 9, 16 or 25, or 0 with a `color`."""

    count: int
    position: Accessor
    rotation: Accessor
    scale: Accessor
    opacity: Accessor | None
    harmonics: list[Accessor]
    color: Accessor | None


def harmonic_names(degree: int) -> list[str]:
    """The attributes of the harmonics of a degree."""
    prefix = FIFTH_BAND if degree == MOST_DEGREE else f"{SPLATS}:SH_DEGREE_{degree}_COEF_"
    return [f"{prefix}{k}" for k in range(2 * degree + 1)]


def read_plain(document: Document, placed: list[Placed]) -> tuple[RawSplat, list[slice]]:
    """All Gaussians as the file has them, not yet moved by their nodes, and the rows of each primitive.

    Raises:
        InputError: more Gaussians than such a file can hold.
        ValueError and the like: damage.
    """
    known: dict[int, Values] = {}
    values = [known.setdefault(id(one.primitive), _values(document, one.primitive)) for one in placed]
    starts = np.concatenate([[0], np.cumsum([one.count for one in values])]).tolist()
    count, kept = starts[-1], max([1, *(len(one.harmonics) for one in values)])
    check_count(document, count)
    splat = RawSplat(
        np.empty((count, 3), np.float32), np.empty((count, 3), np.float32), np.empty((count, 4), np.float32),
        np.ones((count, 1), np.float32), np.zeros((count, kept, 3), np.float32),
    )  # fmt: skip
    placed_values = list(zip(values, starts, strict=False))
    read_rows([(one.position, start) for one, start in placed_values], splat.means)
    read_rows([(one.scale, start) for one, start in placed_values], splat.scales)
    read_rows([(one.rotation, start) for one, start in placed_values], splat.quats)
    read_rows([(one.opacity, start) for one, start in placed_values if one.opacity], splat.opacities)
    for k in range(kept):
        read_rows([(one.harmonics[k], start) for one, start in placed_values if k < len(one.harmonics)], splat.sh[:, k])
    for one, start in placed_values:
        if one.color:
            _use_color(one, splat, start)
    quats, scales = np.roll(splat.quats, 1, axis=1), splat.scales
    logarithms = bool(len(scales)) and scales.min() < 0
    raw = RawSplat(
        splat.means,
        scales if logarithms else logarithms_of(scales),
        quats,
        logits_of(splat.opacities.ravel()),
        splat.sh,
    )
    rows = [slice(start, start + one.count) for one, start in placed_values]
    for one_placed, own in zip(placed, rows, strict=True):
        if _about(one_placed).get("colorSpace") == "lin_rec709_display":
            encode_colors(raw.sh[own])
    return raw, rows


def check_count(document: Document, count: int) -> None:
    """Check that a file may show `count` Gaussians. Nodes share meshes, and meshes share numbers.

    Raises:
        InputError: too many for its size.
    """
    if count > max(_UNREPEATED, document.size // _SMALLEST):
        raise InputError(
            f"{document.path.name} repeats its splats to {count:,} Gaussians.", "Export it without so many copies."
        )


def _about(placed: Placed) -> dict[str, Any]:
    return dict(placed.primitive["extensions"][SPLATS] or {})


def _values(document: Document, primitive: dict[str, Any]) -> Values:
    if primitive.get("mode", 4) != 0:
        raise ValueError("splats that are no points")
    names = primitive["attributes"]

    def find(name: str, width: int | tuple[int, ...]) -> Accessor | None:
        found = name if name in names else _DRAFTS.get(name, name)
        return document.accessor(names[found], width) if found in names else None

    position, rotation, scale = (
        find(name, width) for name, width in (("POSITION", 3), (f"{SPLATS}:ROTATION", 4), (f"{SPLATS}:SCALE", 3))
    )
    if position is None or rotation is None or scale is None:
        raise ValueError("splats without position, rotation or scale")
    opacity = find(f"{SPLATS}:OPACITY", 1)
    harmonics: list[Accessor] = []
    for degree in range(MOST_DEGREE + 1):
        band = [find(name, 3) for name in harmonic_names(degree)]
        if not all(band):
            break
        harmonics += [one for one in band if one]
    color = None if harmonics and opacity else find(COLOR, (3, 4))
    if not harmonics and color is None:
        raise ValueError("splats without colour")
    if opacity is None and (color is None or color.width < 4):
        raise ValueError("splats without opacity")
    every = [position, rotation, scale, *(one for one in (opacity, color, *harmonics) if one)]
    if {one.count for one in every} != {position.count}:
        raise ValueError("attributes of unequal length")
    return Values(position.count, position, rotation, scale, opacity, harmonics, color)


def _use_color(values: Values, splat: RawSplat, start: int) -> None:
    """Take what a draft's colour says: the constant harmonic, and the opacity."""
    colors = np.empty((values.count, 4), np.float32)
    assert values.color is not None
    read_rows([(values.color, 0)], colors)
    rows = slice(start, start + values.count)
    if not values.harmonics:
        splat.sh[rows, 0] = (colors[:, :3] - np.float32(0.5)) / np.float32(SH_C0)
    if values.opacity is None:
        splat.opacities[rows, 0] = colors[:, 3]
