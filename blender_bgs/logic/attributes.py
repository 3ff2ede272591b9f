"""Converts PLY properties to Blender attributes and back without losing a bit.

Names follow Blender 5.3's own splat importer (`position`, `scale`, `rotation`, `radiance:base`, `radiance:sh_k`), so
Blender 5.3 can show the cloud as native splats. Activations (exp, sigmoid, normalising) lose bits. The attributes
`bgs_raw_*` therefore keep the raw values. The export uses a raw value wherever its activated value was not edited.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from bgs_engine.core.codes import CODE_BYTE_NAMES, CODE_INT_NAME
from bgs_engine.io.gaussians import sigmoid
from bgs_engine.io.ply import SPLAT_PROPERTIES, SplatPly
from bgs_engine.io.run_folder import codes_in

from .transforms import TINY_SCALE


@dataclass(frozen=True)
class Kind:
    """How to read and write a Blender attribute type in bulk: `foreach_set(key, flat array of dtype)`."""

    key: str
    width: int
    dtype: type


KINDS = {
    "FLOAT": Kind("value", 1, np.float32),
    "INT": Kind("value", 1, np.int32),
    "BOOLEAN": Kind("value", 1, np.bool_),
    "INT32_2D": Kind("value", 2, np.int32),
    "FLOAT_VECTOR": Kind("vector", 3, np.float32),
    "QUATERNION": Kind("value", 4, np.float32),
    "FLOAT_COLOR": Kind("color", 4, np.float32),
    "FLOAT4": Kind("vector", 4, np.float32),
}

POSITION, SCALE, ROTATION, BASE = "position", "scale", "rotation", "radiance:base"
RAW_POSITION, RAW_SCALE, RAW_ROTATION = "bgs_raw_position", "bgs_raw_scale", "bgs_raw_rotation"
RAW_OPACITY = "bgs_raw_opacity"
CODE, LABEL, ROW, COLOR, CONFIDENCE = "bgs_code", "bgs_label", "bgs_row", "bgs_color", "bgs_confidence"
SHAPED_AT = "bgs_shaped_at"  # the position at which a Gaussian's shape is true; see `cloud.shapes`
WHOLE_POSITION = "bgs_whole_position"  # on a label object with a pivot: the position in its whole cloud
SOURCE = "bgs_source"  # the number of the import that a Gaussian came from; 0 on points that are no Gaussians
TRIMMED = "bgs_trimmed"  # on a label object: Clean Objects trimmed this Gaussian
TRIMMED_TO = "bgs_trimmed_to"  # where it put it, in the space of the whole cloud
GONE = "bgs_gone"  # on a label object: the number of what Clean Objects took away beside it; see `parts.gone`
RADIUS = "radius"
INSTANCED = "bgs_instanced"  # 1 on the ellipsoids of a render; the material reads it
IN_OBJECTS = "bgs_in_objects"  # on a whole cloud: the Gaussians in label objects, if only some labels have one
SELECTED = ".selection"  # the name that Blender's point-cloud edit mode uses, so Blender's own tools set it too
OWN = (POSITION, SCALE, ROTATION, RAW_POSITION, RAW_SCALE, RAW_ROTATION, RAW_OPACITY, CODE, LABEL, ROW, COLOR, RADIUS,
       CONFIDENCE, IN_OBJECTS, SHAPED_AT, SOURCE, WHOLE_POSITION, TRIMMED, TRIMMED_TO, GONE)  # fmt: skip
RESTS = (24, 15, 8, 3)  # spherical-harmonics coefficients above the constant one, of degree 4 to 1
LONGEST_NAME = 60  # bytes; Blender cuts attribute names at 63


@dataclass(frozen=True)
class Column:
    """One attribute: its name, Blender's data type and its values, [N] or [N, width], in that type's dtype."""

    name: str
    data_type: str
    values: np.ndarray


@dataclass(frozen=True)
class PlyLayout:
    """The property order, types and comments of the PLY that a cloud came from. The cloud keeps it as text."""

    properties: tuple[tuple[str, str], ...]
    comments: tuple[str, ...] = ()
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)  # the attribute `position` is the file's less this
    added: tuple[str, ...] = ()  # properties that the file lacks, see `bgs_engine.io.ply_completed`

    @classmethod
    def of(cls, ply: SplatPly) -> "PlyLayout":
        """The PLY layout of an opened PLY."""
        x, y, z = ply.offset.tolist()
        return cls(tuple((name, ply.dtype[name].str) for name in ply.names), ply.comments, (x, y, z), ply.added)

    @classmethod
    def parse(cls, text: str) -> "PlyLayout":
        """The PLY layout that `to_text` wrote."""
        data = json.loads(text)
        x, y, z = data.get("offset", (0.0, 0.0, 0.0))
        properties, added = tuple((n, t) for n, t in data["properties"]), tuple(data.get("added", ()))
        return cls(properties, tuple(data["comments"]), (x, y, z), added)

    def to_text(self) -> str:
        """The PLY layout as one string, for a custom property."""
        facts = {"properties": self.properties, "comments": self.comments, "offset": self.offset}
        return json.dumps({**facts, "added": self.added} if self.added else facts)

    @property
    def dtype(self) -> np.dtype:
        """NumPy type of one packed row."""
        return np.dtype(list(self.properties))

    @property
    def rest(self) -> int:
        """Spherical-harmonics coefficients above the constant one: 0, 3, 8, 15 or 24."""
        return sum(name.startswith("f_rest_") for name, _ in self.properties) // 3

    def with_rest(self, rest: int) -> "PlyLayout":
        """The same PLY layout with `rest` spherical-harmonics coefficients above the constant one for each channel."""
        kept = [(n, t) for n, t in self.properties if not n.startswith("f_rest_")]
        place = 1 + max((i for i, (n, _) in enumerate(kept) if n.startswith("f_dc_")), default=len(kept) - 1)
        kept[place:place] = [(f"f_rest_{i}", "<f4") for i in range(3 * rest)]
        return PlyLayout(tuple(kept), self.comments, added=self.added)

    def with_codes(self) -> "PlyLayout":
        """The same PLY layout with seg_0..seg_3 at its end, unless it has codes already.

        A float `bgs_code` holds no codes: an editor that made one has lost their low bits.
        """
        kinds = dict(self.properties)
        if np.dtype(kinds.get(CODE_INT_NAME, "<f4")).kind in "iu":
            return self
        extra = [(name, "|u1") for name in CODE_BYTE_NAMES if name not in kinds]
        return replace(self, properties=(*self.properties, *extra))

    def in_object_space(self) -> "PlyLayout":
        """The same PLY layout for rows in the space of the object, whose origin is at `offset`."""
        return replace(self, offset=(0.0, 0.0, 0.0))


def columns_of(ply: SplatPly) -> Iterator[Column]:
    """Yield every attribute of a splat. Only one at a time is in memory beside Blender's copy."""
    position = ply.positions()
    raw_scale = ply.columns(("scale_0", "scale_1", "scale_2"))
    raw_rotation = ply.columns(("rot_0", "rot_1", "rot_2", "rot_3"))
    clean = clean_position(position)
    yield Column(POSITION, "FLOAT_VECTOR", clean)
    raw = _raw_position(ply, position)
    if raw is not None:
        yield Column(RAW_POSITION, "FLOAT_VECTOR", raw)
    del position, clean, raw
    yield Column(SCALE, "FLOAT_VECTOR", activate_scale(raw_scale))
    yield Column(RAW_SCALE, "FLOAT_VECTOR", raw_scale)
    del raw_scale
    yield Column(ROTATION, "QUATERNION", activate_rotation(raw_rotation))
    yield Column(RAW_ROTATION, "FLOAT_COLOR", raw_rotation)
    del raw_rotation
    raw_opacity = ply.columns(("opacity",)).ravel()
    base = np.empty((ply.count, 4), np.float32)
    base[:, :3] = ply.columns(("f_dc_0", "f_dc_1", "f_dc_2"))
    base[:, 3] = sigmoid(raw_opacity)
    yield Column(BASE, "FLOAT_COLOR", base)
    yield Column(RAW_OPACITY, "FLOAT", raw_opacity)
    del base
    rest = ply.rest_count // 3
    if rest:
        # Channel-major in the file: coefficient k of red, green, blue is at k, rest + k, 2 rest + k.
        block = ply.columns([f"f_rest_{i}" for i in range(3 * rest)])
        for k in range(rest):
            yield Column(harmonic(k), "FLOAT_VECTOR", np.ascontiguousarray(block[:, k::rest]))
        del block
    yield from _extra_columns(ply)
    yield Column(ROW, "INT", np.arange(ply.count, dtype=np.int32))
    codes = codes_in(ply)
    if codes is not None:
        yield Column(CODE, "INT", codes)


def _raw_position(ply: SplatPly, position: np.ndarray) -> np.ndarray | None:
    """The file's own positions, float32 [N, 3], where `position` does not give them back; None where it does."""
    if not ply.offset.any():
        return None if np.isfinite(position).all() else position
    own = ply.columns(("x", "y", "z"))
    with np.errstate(over="ignore", invalid="ignore"):
        back = (position + ply.offset).astype(np.float32)
    return None if np.array_equal(back, own) else own


def _extra_columns(ply: SplatPly) -> Iterator[Column]:
    """Yield, bit for bit, properties that a splat does not need and standard ones that are not float32."""
    coded = codes_in(ply) is not None
    for index, name in enumerate(ply.names):
        kind = ply.dtype[name]
        if (is_standard(name) and kind.str == "<f4") or (coded and name in (*CODE_BYTE_NAMES, CODE_INT_NAME)):
            continue
        data_type, values = pack_scalar(ply.column(name))
        yield Column(extra_name(name, index), data_type, values)


def harmonic(k: int) -> str:
    """The name of the attribute of spherical-harmonics coefficient k above the constant one, counted from 0."""
    return f"radiance:sh_{k}"


def is_standard(name: str) -> bool:
    """Whether a splat attribute holds this PLY property."""
    return name in SPLAT_PROPERTIES or name.startswith("f_rest_")


def extra_name(name: str, index: int) -> str:
    """The name of the attribute that keeps PLY property `name`, the file's `index`-th.

    It has the prefix `ply:` if the plain name is already in use.
    """
    if len(name.encode()) > LONGEST_NAME:
        return f"ply:#{index}"
    taken = name in OWN or is_standard(name) or name.startswith((".", "radiance:"))
    return f"ply:{name}" if taken else name


def pack_scalar(values: np.ndarray) -> tuple[str, np.ndarray]:
    """Blender attribute type and values that keep every bit of a PLY scalar [N]."""
    kind = values.dtype
    if kind == np.float32:
        return "FLOAT", values
    if kind == np.float64:
        return "INT32_2D", values.astype("<f8").view("<i4").reshape(-1, 2)
    if kind == np.uint32:
        return "INT", values.view(np.int32)
    return "INT", values.astype(np.int32)


def unpack_scalar(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The inverse of `pack_scalar`: values [N] of the PLY's dtype."""
    if dtype == np.float64:
        return np.ascontiguousarray(values, "<i4").view("<f8").ravel()
    if dtype == np.uint32:
        return np.ascontiguousarray(values, np.int32).view(np.uint32)
    return values.astype(dtype)


def clean_position(raw: np.ndarray) -> np.ndarray:
    """Positions [N, 3] with non-finite ones moved to the origin, because one NaN breaks Blender's bounding box."""
    return np.where(np.isfinite(raw).all(1, keepdims=True), raw, np.float32(0))


def activate_scale(raw: np.ndarray) -> np.ndarray:
    """Standard deviations [N, 3] in scene units from their logarithms."""
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.exp(raw)
    bad = ~np.isfinite(scale)
    if bad.any():
        scale[bad] = TINY_SCALE
    return scale


def activate_rotation(raw: np.ndarray) -> np.ndarray:
    """Unit quaternions [N, 4], (w, x, y, z), from quaternions of any length. Invalid ones become the identity."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        unit = raw / np.sqrt(np.einsum("ij,ij->i", raw, raw))[:, None]
    bad = ~np.isfinite(unit).all(1)
    if bad.any():
        unit[bad] = (1, 0, 0, 0)
    return unit
