"""Writes a USD stage of splats: one prim, or the tree of labels as prims. It needs usd-core."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdUtils, UsdVol, Vt

from bgs_engine.core.errors import OutputError
from bgs_engine.core.files import writing
from bgs_engine.core.input_files import open_file
from bgs_engine.formats.activation import lengths_of, opacities_of, unit_quats
from bgs_engine.formats.axes import LUF_TO_PLY, quat_signs, sh_signs
from bgs_engine.formats.label_tree import KEY, Branch, scene_facts
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.usd_read import said

CODE = "bgs:code"  # the attribute that holds the code of all Gaussians of a prim
COLOR_SPACE = "srgb_rec709_scene"  # OpenUSD's name of sRGB
SIGMAS = 3.0  # of the Gaussian kernel's support, as its schema says
_PIECE = 1 << 22  # bytes that are copied at a time


def write_stage(path: Path, splat: RawSplat, rows: np.ndarray, tree: list[Branch] | None) -> None:
    """Write the Gaussians `rows`, int [K], which are all drawable, and the tree of their labels.

    usd-core writes to a path of its own. So the stage goes to a temporary folder first.

    Raises:
        OutputError: the file cannot be written.
    """
    name = path.stem.encode("utf-8", "replace").decode("utf-8")  # names of files may hold half a character
    stage = _stage(name, splat, rows, tree)
    try:
        with tempfile.TemporaryDirectory(prefix="bgs-usd-") as folder:
            made = Path(folder) / f"splat{'.usdc' if path.suffix.lower() == '.usdz' else path.suffix.lower()}"
            stage.GetRootLayer().Export(str(made))
            del stage
            if path.suffix.lower() == ".usdz":
                package = made.with_suffix(".usdz")
                UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(made)), str(package))
                made = package
            with open_file(made) as source, writing(path) as stream:
                while piece := source.read(_PIECE):
                    stream.write(piece)
    except (Tf.ErrorException, RuntimeError, OSError) as error:
        raise OutputError(
            f"{path} cannot be written: USD says {said(error)}.",
            "Free disk space in the folder for temporary files.",
        ) from None


def _stage(name: str, splat: RawSplat, rows: np.ndarray, tree: list[Branch] | None) -> Any:
    stage = Usd.Stage.CreateInMemory("splat.usdc")
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    top = UsdGeom.Xform.Define(stage, f"/{_identifier(name, [])}")
    stage.SetDefaultPrim(top.GetPrim())
    top.GetPrim().SetDisplayName(name)
    if splat.offset.any():
        top.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Vec3d(*(splat.offset * LUF_TO_PLY).tolist()))
    if tree is None or splat.labels is None:
        _fill(UsdVol.ParticleField3DGaussianSplat.Define(stage, top.GetPath().AppendChild("Splat")), splat, rows)
        return stage
    top.GetPrim().SetCustomDataByKey(KEY, scene_facts(splat.labels))
    waiting = [(top.GetPath(), tree)]
    while waiting:
        above, branches = waiting.pop()
        taken: list[str] = []
        for branch in branches:
            taken.append(_identifier(branch.name, taken))
            place = above.AppendChild(taken[-1])
            if branch.rows is None:
                prim = UsdGeom.Xform.Define(stage, place).GetPrim()
            else:
                field = UsdVol.ParticleField3DGaussianSplat.Define(stage, place)
                _fill(field, splat, rows[branch.rows])
                prim = field.GetPrim()
            _describe(prim, branch)
            waiting.append((place, branch.children))
    return stage


def _describe(prim: Any, branch: Branch) -> None:
    if branch.name:
        prim.SetDisplayName(branch.name)
    prim.SetCustomDataByKey(KEY, {key: _value(value) for key, value in branch.facts.items()})
    if "code" in branch.facts:
        code = int(np.uint32(branch.facts["code"]).astype(np.int32))
        prim.CreateAttribute(CODE, Sdf.ValueTypeNames.Int, True, Sdf.VariabilityUniform).Set(code)


def _value(value: Any) -> Any:
    """A fact as USD stores it exactly: numbers with a fraction as doubles."""
    return Vt.DoubleArray(value) if isinstance(value, list | tuple) else value


def _fill(field: Any, splat: RawSplat, rows: np.ndarray) -> None:
    """Give a prim its Gaussians."""
    coefficients = splat.sh.shape[1]
    signs = np.array(LUF_TO_PLY, np.float32)
    means, lengths = splat.means[rows] * signs, lengths_of(splat.scales[rows])
    quats = unit_quats(splat.quats[rows]) * quat_signs(LUF_TO_PLY)
    field.CreatePositionsAttr(Vt.Vec3fArray.FromNumpy(means))
    field.CreateScalesAttr(Vt.Vec3fArray.FromNumpy(lengths))
    field.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(np.ascontiguousarray(np.roll(quats, -1, axis=1))))
    field.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(opacities_of(splat.opacities[rows])))
    field.CreateRadianceSphericalHarmonicsDegreeAttr(splat.degree)
    sh = np.take(splat.sh, rows, axis=0)
    sh *= sh_signs(LUF_TO_PLY, coefficients)[:, None]
    field.CreateRadianceSphericalHarmonicsCoefficientsAttr(Vt.Vec3fArray.FromNumpy(sh.reshape(-1, 3)))
    reach = np.float32(SIGMAS) * lengths.max(1, keepdims=True)
    with np.errstate(over="ignore"):
        extent = np.stack([(means - reach).min(0), (means + reach).max(0)])
    limit = np.finfo(np.float32).max
    field.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(extent.clip(-limit, limit).astype(np.float32)))
    Usd.ColorSpaceAPI.Apply(field.GetPrim()).CreateColorSpaceNameAttr(COLOR_SPACE)


def _identifier(name: str, taken: Iterable[str]) -> str:
    """A name of a prim, of letters, digits and _, that is not `taken`."""
    first = Tf.MakeValidIdentifier(name)
    numbered = (first if k == 1 else f"{first}_{k}" for k in range(1, 1 << 40))
    return next(one for one in numbered if one not in taken)
