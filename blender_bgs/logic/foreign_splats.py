"""Splats of Blender's own importer, of geometry nodes and of other add-ons, told by their attributes.

Two layouts are known. *Native*: `position`, `scale` (standard deviations), `rotation` (quaternion, w first) and
`radiance:base` (colour coefficients and opacity), as Blender 5.3 imports splats; a `radiance:base` of three numbers
goes with an attribute `opacity`. *PLY*: one attribute for each property of a 3DGS PLY, with the file's own values, as
Blender's PLY importer keeps them on the vertices of a mesh.
"""

from collections.abc import Callable, Collection
from typing import cast

import numpy as np
from bgs_engine.core.codes import CODE_BYTE_NAMES, CODE_INT_NAME, codes_from_bytes
from bgs_engine.core.errors import InputError
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.io.gaussians import logit
from bgs_engine.io.ply import SPLAT_PROPERTIES

from .attribute_rows import raw_rotation, raw_scale
from .attributes import BASE, CODE, POSITION, RAW_ROTATION, RAW_SCALE, ROTATION, SCALE, clean_position, harmonic

NATIVE, PLY = "native", "PLY"
OPACITY = "opacity"
REST = (0, 3, 8, 15, 24)  # coefficients above the constant one at degree 0 to 4
_OF_PLY = frozenset(SPLAT_PROPERTIES[3:])  # positions are those of the points

Getter = Callable[[str], np.ndarray | None]  # the values of an attribute, [N] or [N, width]; None: it is missing


def layout_of(names: Collection[str]) -> str:
    """The layout of points with attributes of these names: `NATIVE`, `PLY`, or "" if they are no splat."""
    if {SCALE, ROTATION, BASE} <= set(names):
        return NATIVE
    return PLY if set(names) >= _OF_PLY else ""


def splat_of(get: Getter, names: Collection[str], who: str) -> RawSplat:
    """The Gaussians of points with such attributes, in their order, without labels. `who` names the object.

    Raises:
        InputError: the points are no splat, or an attribute has another type than its layout says.
    """
    layout, position = layout_of(names), _need(get, POSITION, (3,), who)
    if not layout:
        raise InputError(f"{who} has no attributes of a Gaussian splat.", "Import the splat's file instead.")
    if layout == PLY:
        columns = {name: _need(get, name, (1,), who) for name in SPLAT_PROPERTIES[3:]}
        base, scales, quats = (
            np.stack([columns[name] for name in SPLAT_PROPERTIES[a:b]], 1) for a, b in ((3, 6), (7, 10), (10, 14))
        )
        opacities, rest = columns[OPACITY], _rest_of_ply(get, names, who)
    else:
        base = _need(get, BASE, (3, 4), who)
        opacity = base[:, 3] if base.shape[1] == 4 else _need(get, OPACITY, (1,), who)
        opacities = logit(opacity)
        _need(get, SCALE, (3,), who)
        _need(get, ROTATION, (4,), who)
        own = lambda name: None if name in (RAW_SCALE, RAW_ROTATION) else get(name)  # noqa: E731
        scales, quats = cast(np.ndarray, raw_scale(own)), cast(np.ndarray, raw_rotation(own))
        count = next(k for k in range(len(names) + 1) if harmonic(k) not in names)
        rest = [_need(get, harmonic(k), (3,), who) for k in range(max(n for n in REST if n <= count))]
    sh = np.stack([base[:, :3], *rest], 1)
    values = (clean_position(position), scales, quats, opacities, sh)
    means, scales, quats, opacities, sh = (np.asarray(part, np.float32) for part in values)
    return RawSplat(means, scales, quats, opacities, sh)


def codes_of(get: Getter, names: Collection[str]) -> np.ndarray | None:
    """The codes that the points carry, int32 [N], under the names of our attribute or of a PLY; None: none."""
    for name in (CODE, CODE_INT_NAME):
        found = get(name) if name in names else None
        if found is not None and found.dtype == np.int32:
            return found
    parts = [get(name) for name in CODE_BYTE_NAMES] if set(names) >= set(CODE_BYTE_NAMES) else []
    columns = [part for part in parts if part is not None and part.ndim == 1]
    if len(columns) < len(CODE_BYTE_NAMES):
        return None
    table = np.stack(columns, 1)
    if not ((table >= 0) & (table <= 255) & (table == np.floor(table))).all():
        return None
    return codes_from_bytes(table.astype(np.uint8))


def _rest_of_ply(get: Getter, names: Collection[str], who: str) -> list[np.ndarray]:
    """The coefficients above the constant one, each [N, 3]. A PLY has all of red, then green, then blue."""
    count = next(k for k in range(len(names) + 1) if f"f_rest_{k}" not in names)
    rest = max(n for n in REST if 3 * n <= count)
    if 3 * rest != count:
        raise InputError(f"{who} has {count} attributes f_rest, which no degree has.", "Import its file instead.")
    values = [_need(get, f"f_rest_{k}", (1,), who) for k in range(count)]
    return [np.stack([values[k + channel * rest] for channel in range(3)], 1) for k in range(rest)]


def _need(get: Getter, name: str, widths: tuple[int, ...], who: str) -> np.ndarray:
    values = get(name)
    width = 0 if values is None else values.shape[1] if values.ndim > 1 else 1
    if values is None or width not in widths or values.dtype != np.float32:
        raise InputError(
            f"The attribute {name} of {who} is not what a splat has there.", "Import the splat's file instead."
        )
    return values
