"""Reads the splats of a USD stage. It needs usd-core."""

from pathlib import Path
from typing import Any

import numpy as np
from pxr import Sdf, Tf, Usd, UsdGeom, UsdVol, Vt

from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import file_size, is_file
from bgs_engine.formats.activation import encode_colors, logarithms_of, logits_of
from bgs_engine.formats.label_tree import KEY, Found
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.usd_stage import Stage

MOST_COEFFICIENTS = 25  # degree 4
_UNREPEATED = 1_000_000  # Gaussians that any file may hold
_SMALLEST = 2  # bytes of the files for each Gaussian in them: instances make it small


def read_stage(path: Path) -> Stage:
    """All splats of the stage, at the earliest time.

    Raises:
        InputError: no USD, damaged, or without splats.
    """
    file_size(path, "Check the path and its permissions.")
    try:
        return _read(Usd.Stage.Open(str(path.resolve())), path)
    except (Tf.ErrorException, RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path.name} is a damaged USD file ({said(error)}).", "Export it again.") from None
    except MemoryError:
        raise InputError(f"{path.name} does not fit into memory.", "Use a computer with more memory.") from None


def said(error: Exception) -> str:
    """The last line of what USD says, without the place in its source."""
    try:
        lines = str(error).strip().splitlines() or ["?"]
    except UnicodeError:
        return "a text that is no UTF-8"
    return lines[-1].rpartition(" -- ")[2].rpartition(" : ")[2].strip("' .")


def _read(stage: Any, path: Path) -> Stage:
    time = Usd.TimeCode.EarliestTime()
    transforms = UsdGeom.XformCache(time)
    fields, matrices, codes, labels = [], [], [], []
    facts: dict[str, Any] | None = None
    code_at: dict[Sdf.Path, int | None] = {}
    for prim in Usd.PrimRange.Stage(stage, Usd.TraverseInstanceProxies(Usd.PrimDefaultPredicate)):
        place = prim.GetPath()
        code = code_at.get(place.GetParentPath())
        own = prim.GetCustomDataByKey(KEY)
        if isinstance(own, dict) and "level_bits" in own:
            facts = facts or _plain(own)
        elif isinstance(own, dict) and "level" in own:
            labels.append((prim.GetDisplayName() if prim.HasAuthoredDisplayName() else "", _plain(own)))
            code = own.get("code", code)
        code_at[place] = code
        if prim.IsA(UsdVol.ParticleField3DGaussianSplat):
            fields.append(prim)
            matrices.append(np.array(transforms.GetLocalToWorldTransform(prim)).T)
            codes.append(code)
    if not fields:
        raise InputError(f"{path.name} holds no splats: it has no prim ParticleField3DGaussianSplat.", "Use its PLY.")
    counts = [_length(prim, "positions", time) for prim in fields]
    total = sum(counts)
    files = [Path(layer.realPath) for layer in stage.GetUsedLayers() if layer.realPath]
    if not total:
        raise InputError(f"{path.name} holds no Gaussians.", "Export it again.")
    if total > max(_UNREPEATED, sum(file_size(file) for file in files if is_file(file)) // _SMALLEST):
        raise InputError(f"{path.name} repeats its splats to {total:,} Gaussians.", "Export it without so many copies.")
    kept = max(_coefficients(prim, time) for prim in fields)
    splat = RawSplat(
        np.empty((total, 3), np.float32), np.zeros((total, 3), np.float32), np.empty((total, 4), np.float32),
        np.empty(total, np.float32), np.zeros((total, kept, 3), np.float32),
    )  # fmt: skip
    rows, done = [], 0
    for prim, count in zip(fields, counts, strict=True):
        rows.append(slice(done, done + count))
        _fill(splat, rows[-1], prim, time)
        done += count
    up = "Z" if UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z else "Y"
    return Stage(splat, rows, matrices, codes, Found(facts, labels), up)


def _fill(splat: RawSplat, rows: slice, prim: Any, time: Any) -> None:
    """The Gaussians of one prim. An attribute that is too short counts as missing, as the schema says."""
    count = rows.stop - rows.start
    splat.means[rows] = _array(prim, "positions", time, count, 3)
    lengths, shares = _array(prim, "scales", time, count, 3), _array(prim, "opacities", time, count, 1)
    splat.scales[rows] = 0 if lengths is None else logarithms_of(lengths)
    splat.opacities[rows] = logits_of(np.ones(1, np.float32) if shares is None else shares[:, 0])
    quats = _array(prim, "orientations", time, count, 4)  # (x, y, z, w)
    splat.quats[rows] = (1, 0, 0, 0) if quats is None else np.roll(quats, 1, axis=1)
    each = (_degree(prim, time) + 1) ** 2
    name = "radiance:sphericalHarmonicsCoefficients"
    sh = _array(prim, name, time, count * each, 3)
    if sh is None:
        return
    own = sh.reshape(count, each, 3)[:, : splat.sh.shape[1]]
    splat.sh[rows, : own.shape[1]] = own
    if _color_space(prim, time).startswith("lin_"):
        encode_colors(splat.sh[rows])


def _color_space(prim: Any, time: Any) -> str:
    """The colour space that a prim or one above it names, "" if none does."""
    while prim:
        named = prim.GetAttribute("colorSpace:name")
        if named and named.HasAuthoredValue():
            return str(named.Get(time))
        prim = prim.GetParent()
    return ""


def _degree(prim: Any, time: Any) -> int:
    degree = prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get(time)
    if not isinstance(degree, int) or not 0 <= degree <= 64:
        raise ValueError(f"harmonics of degree {degree}")
    return degree


def _coefficients(prim: Any, time: Any) -> int:
    """The harmonics of a prim that are kept: 1 where it has none."""
    each = (_degree(prim, time) + 1) ** 2
    length = _length(prim, "radiance:sphericalHarmonicsCoefficients", time)
    return min(each, MOST_COEFFICIENTS) if length >= each * _length(prim, "positions", time) else 1


def _value_of(prim: Any, name: str, time: Any) -> Any:
    """The array of an attribute: in full precision, else in half; None if it has neither."""
    for attribute in (prim.GetAttribute(name), prim.GetAttribute(f"{name}h")):
        value = attribute.Get(time) if attribute else None
        if value is not None and len(value):
            return value
    return None


def _length(prim: Any, name: str, time: Any) -> int:
    value = _value_of(prim, name, time)
    return 0 if value is None else len(value)


def _array(prim: Any, name: str, time: Any, count: int, width: int) -> np.ndarray | None:
    value = _value_of(prim, name, time)
    if value is None or len(value) < count or not count:
        return None
    return np.asarray(value, np.float32).reshape(len(value), width)[:count]


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts with lists where USD has arrays."""
    arrays = (Vt.IntArray, Vt.DoubleArray, Vt.FloatArray, Vt.Int64Array)
    return {key: list(value) if isinstance(value, arrays) else value for key, value in facts.items()}
