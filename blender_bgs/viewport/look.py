"""The colours of the Gaussians: a palette with an entry per code, and the palette index of each Gaussian."""

from collections.abc import Mapping
from dataclasses import dataclass

import gpu
import numpy as np
from bgs_engine.core.palette import UNLABELLED

from ..cloud import appearance, code_tables, light, selection
from ..cloud.typed import SplatObject
from ..logic.attributes import CODE
from .atlas import Atlas, Member, texture

MODES = {"COLOR": 0, "LABEL": 1, "MIXED": 2, "CONFIDENCE": 3}


@dataclass(frozen=True)
class Hover:
    """The label under the mouse, and the `session_uid` of its whole cloud."""

    whole_uid: int
    level: int
    label: int


@dataclass
class Look:
    """The textures of palette indices and palette. `hidden` is bool [N], or None if no Gaussian is hidden."""

    state: gpu.types.GPUTexture
    palette: gpu.types.GPUTexture
    hidden: np.ndarray | None
    any_picked: bool


@dataclass
class _Part:
    entries: np.ndarray  # [U, 8]: display colour (3), 1 if shown, 1 if under the mouse, factors of captured colours (3)
    inverse: np.ndarray | None
    picked: np.ndarray


def build(
    atlas: Atlas,
    objects: Mapping[int, SplatObject],
    hover: Hover | None,
    instead: Mapping[int, np.ndarray] | None = None,
) -> Look:
    """The look of all members. `objects` are keyed by session_uid; a member without an object is hidden.

    `instead` is marked in place of what is selected, see `SelectionReader`.
    """
    state = np.zeros((-(-len(atlas) // atlas.width) * atlas.width, 2), np.float32)
    hidden = np.zeros(len(atlas), bool)
    entries = []
    marks = selection.SelectionReader(instead)
    first, any_picked = 0, False
    for member in atlas.members:
        obj = objects.get(member.object_uid)
        part = _part(obj, member, hover, marks)
        rows = slice(member.start, member.stop)
        state[rows, 0] = first if part.inverse is None else part.inverse + np.float32(first)
        state[rows, 1] = part.picked
        gone = part.entries[:, 3] < 0.5
        if gone.any():
            hidden[rows] = True if part.inverse is None else gone[part.inverse]
        any_picked = any_picked or bool(part.picked.any())
        entries.append(part.entries)
        first += len(part.entries)
    return Look(
        texture(state, atlas.width, "RG32F"),
        _palette(np.concatenate(entries), atlas.width),
        hidden if hidden.any() else None,
        any_picked,
    )


def _palette(entries: np.ndarray, width: int) -> gpu.types.GPUTexture:
    values = np.zeros((-(-len(entries) * 2 // width) * width, 4), np.float32)
    values[: 2 * len(entries)] = entries.reshape(-1, 4)
    return texture(values, width, "RGBA32F")


def _part(obj: SplatObject | None, member: Member, hover: Hover | None, marks: selection.SelectionReader) -> _Part:
    nothing = np.zeros(member.stop - member.start, bool)
    if obj is None or len(obj.data.points) != len(nothing):
        return _Part(np.zeros((1, 8), np.float32), None, nothing)
    splat = (obj.bgs.whole or obj).bgs
    picked = marks.of(obj)
    if not splat.level_bits or obj.data.attributes.get(CODE) is None:
        return _Part(np.array([[*UNLABELLED, 1, 0, 1, 1, 1]], np.float32), None, picked)
    table = code_tables.table_of(obj)
    here = table.labels(splat.shown_level)
    entries = np.zeros((len(here), 8), np.float32)
    factors = light.factors_of_codes(splat, table)
    entries[:, 5:] = 1 if factors is None else factors
    entries[:, :3] = appearance.display_colors(splat, splat.shown_level, here)
    entries[:, 3] = ~appearance.hidden_codes(splat, table)
    if hover is not None and hover.whole_uid == (obj.bgs.whole or obj).session_uid:
        entries[:, 4] = table.labels(hover.level) == np.uint32(hover.label)
    return _Part(entries, table.inverse, picked)


def mode_of(obj: SplatObject) -> int:
    """The number of an object's colouring, see `MODES`. Without labels, captured colours replace labels."""
    splat = (obj.bgs.whole or obj).bgs
    mode = MODES.get(splat.color_mode, 0)
    return 0 if mode in (1, 2) and not (splat.level_bits and obj.data.attributes.get(CODE) is not None) else mode
