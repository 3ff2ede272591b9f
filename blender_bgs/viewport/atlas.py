# mypy: disable-error-code="arg-type, call-arg"
"""One set of textures for all shown clouds, so that one sorted draw call draws them together."""

from collections.abc import Sequence
from dataclasses import dataclass

import gpu
import numpy as np

from ..cloud import point_clouds
from ..cloud.typed import SplatObject
from ..logic.attributes import BASE, CONFIDENCE, POSITION, ROTATION, SCALE
from . import packing

DEGREES = (15, 8, 3, 0)  # number of SH coefficients above the constant one, for degrees 3 to 0; degree 4 is shown as 3


@dataclass
class Member:
    """An object in the textures: its rows `start` to `stop`, and the arrays and fingerprint of its cloud."""

    object_uid: int
    cloud_uid: int
    start: int
    stop: int
    arrays: packing.Arrays
    fingerprint: int


@dataclass
class Atlas:
    """The textures of all members. `means` [N, 3] are for sorting. `width` is the width of each texture in texels."""

    members: list[Member]
    means: np.ndarray
    width: int
    coefficients: int
    geometry: gpu.types.GPUTexture
    harmonics: gpu.types.GPUTexture

    def __len__(self) -> int:
        return len(self.means)

    def member(self, obj: SplatObject) -> Member | None:
        """The member of an object, or None if the textures do not hold its present cloud."""
        found = (m for m in self.members if m.object_uid == obj.session_uid and m.cloud_uid == obj.data.session_uid)
        return next(found, None)


def texture(values: np.ndarray, width: int, layout: str) -> gpu.types.GPUTexture:
    """A data texture from float32 values [rows x width x channels]. `layout` is the texture format, e.g. "RGBA32F"."""
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    channels = {"R32F": 1, "RG32F": 2}.get(layout, 4)
    buffer = gpu.types.Buffer("FLOAT", len(flat), flat)
    return gpu.types.GPUTexture((width, len(flat) // (width * channels)), format=layout, data=buffer)


def texel_width() -> int:
    """The width of the textures in texels."""
    return min(packing.WIDEST, gpu.capabilities.max_texture_size_get())


def read_arrays(obj: SplatObject) -> tuple[packing.Arrays, int] | None:
    """A cloud's arrays and their fingerprint, or None if it is empty or lacks an attribute."""
    data = obj.data
    position, scale = point_clouds.get_column(data, POSITION), point_clouds.get_column(data, SCALE)
    rotation, base = point_clouds.get_column(data, ROTATION), point_clouds.get_column(data, BASE)
    if position is None or scale is None or rotation is None or base is None or not len(position):
        return None
    confidence = point_clouds.get_column(data, CONFIDENCE)
    arrays = packing.arrays_of(position, scale, rotation, base, confidence)
    return arrays, packing.fingerprint([position, scale, rotation, base, *([] if confidence is None else [confidence])])


def fingerprint_of(obj: SplatObject) -> int | None:
    """The fingerprint of a cloud's attributes in the textures, or None if it lacks one. It makes no arrays."""
    columns = [point_clouds.get_column(obj.data, name) for name in (POSITION, SCALE, ROTATION, BASE, CONFIDENCE)]
    if any(column is None for column in columns[:4]):
        return None
    return packing.fingerprint([column for column in columns if column is not None])


def build(objects: Sequence[SplatObject], old: Atlas | None = None) -> Atlas | None:
    """The textures of these objects, or None if none can be drawn. Unchanged clouds reuse their arrays in `old`."""
    known = {m.cloud_uid: m for m in old.members} if old else {}
    members: list[Member] = []
    shown: list[SplatObject] = []
    start = 0
    for obj in objects:
        uid = obj.data.session_uid
        before = known.get(uid)
        if (
            before is not None
            and len(before.arrays) == len(obj.data.points)
            and before.fingerprint == fingerprint_of(obj)
        ):
            read: tuple[packing.Arrays, int] | None = (before.arrays, before.fingerprint)
        else:
            read = read_arrays(obj)
        if read is None:
            continue
        members.append(Member(obj.session_uid, uid, start, start + len(read[0]), *read))
        shown.append(obj)
        start += len(read[0])
    if not members:
        return None
    width, tallest = texel_width(), gpu.capabilities.max_texture_size_get()
    rows = packing.rows_for(start, packing.GEOMETRY_TEXELS, width)
    texels = np.zeros((rows * width // packing.GEOMETRY_TEXELS, packing.GEOMETRY_TEXELS, 4), np.float32)
    for member in members:
        packing.fill_geometry(texels[member.start : member.stop], member.arrays)
    most = max(coefficients_of(obj) for obj in shown)
    fits = [n for n in DEGREES if n <= most and packing.rows_for(start, packing.SH_TEXELS[n], width) <= tallest]
    geometry = texture(texels, width, "RGBA32F")
    del texels
    means = np.concatenate([m.arrays.means for m in members])
    return Atlas(members, means, width, fits[0], geometry, _harmonics(shown, members, fits[0], width))


def coefficients_of(obj: SplatObject) -> int:
    """The number of a cloud's SH coefficients above the constant one that are shown: 0, 3, 8 or 15."""
    return next(n for n in DEGREES if n == 0 or obj.data.attributes.get(f"radiance:sh_{n - 1}") is not None)


def _harmonics(
    objects: Sequence[SplatObject], members: Sequence[Member], coefficients: int, width: int
) -> gpu.types.GPUTexture:
    per = packing.SH_TEXELS[coefficients]
    if not per:
        return texture(np.zeros((1, 1, 4)), 1, "RGBA16F")
    rows = packing.rows_for(members[-1].stop, per, width)
    values = np.zeros(rows * width * 4, np.float32)
    table = values[: members[-1].stop * per * 4].reshape(-1, per * 4)
    for obj, member in zip(objects, members, strict=True):
        data = obj.data
        own = min(coefficients, coefficients_of(obj))
        packing.fill_harmonics(
            table[member.start : member.stop], lambda k, d=data: point_clouds.get_column(d, f"radiance:sh_{k}"), own
        )
    return texture(values, width, "RGBA16F")
