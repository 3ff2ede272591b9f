"""USD with ParticleField3DGaussianSplat prims: what was written comes back, and stages of other programs are read."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.errors import EnvironmentLacksError, InputError, OutputError
from bgs_engine.formats import usd, usd_child
from bgs_engine.formats.raw_splat import RawSplat
from tests.helpers.made_raw_splat import assert_same, labelled, raw_splat

try:
    from pxr import Usd, UsdValidation
except ImportError:
    pytest.skip("usd-core is not installed: pip install 'bgs-engine[formats]'", allow_module_level=True)

HEAD = '#usda 1.0\n( upAxis = "{up}" )\n'
PRIM = """
def ParticleField3DGaussianSplat "Splat" {{
    point3f[] positions = [(1, 2, 3), (4, 5, 6)]
    float3[] scales = [(1, 2, 4), (0.5, 0.5, 0.5)]
    quatf[] orientations = [(1, 0, 0, 0), (0, 1, 0, 0)]
    float[] opacities = [0.5, 1]
    uniform int radiance:sphericalHarmonicsDegree = 0
    float3[] radiance:sphericalHarmonicsCoefficients = [(1, 0, -1), (0, 0, 0)]
    {more}
}}
"""


def read_text(text: str, folder: Path) -> RawSplat:
    (folder / "a.usda").write_text(text, encoding="utf-8")
    return usd.read(folder / "a.usda")


@pytest.mark.parametrize("ending", [".usdc", ".usda", ".usdz", ".usd"])
def test_a_splat_with_labels_comes_back(tmp_path: Path, ending: str) -> None:
    splat = labelled(raw_splat(40, 2, (500_000, 0, -4_000_000)))
    order = usd.write(tmp_path / f"room{ending}", splat)
    assert_same(usd.read(tmp_path / f"room{ending}"), splat, order)


@pytest.mark.parametrize("degree", [0, 3, 4])
def test_a_splat_without_labels_comes_back(tmp_path: Path, degree: int) -> None:
    splat = raw_splat(40, degree)
    assert usd.write(tmp_path / "a.usdc", splat) is None
    assert_same(usd.read(tmp_path / "a.usdc"), splat, None)


def test_labels_are_nested_prims_and_valid(tmp_path: Path) -> None:
    splat = labelled(raw_splat())
    usd.write(tmp_path / "my room.usdz", splat)
    stage = Usd.Stage.Open(str(tmp_path / "my room.usdz"))
    top = stage.GetDefaultPrim()
    assert splat.labels is not None
    names = [row.name for row in splat.labels.table.levels[0]]
    assert (top.GetName(), top.GetDisplayName()) == ("my_room", "my room")
    assert [prim.GetDisplayName() for prim in top.GetChildren()] == names == ['Söfa / "old"', "Chair"]
    chairs = top.GetChildren()[1].GetChildren()
    assert len({prim.GetName() for prim in chairs}) == len(chairs)
    leaf = top.GetChildren()[0].GetChildren()[0].GetChildren()[0]
    code = leaf.GetAttribute("bgs:code").Get()
    assert leaf.GetTypeName() == "ParticleField3DGaussianSplat"
    assert len(leaf.GetAttribute("positions").Get()) == (splat.labels.codes == code).sum()
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert not UsdValidation.ValidationContext(validators).Validate(stage)  # what usdchecker runs


@pytest.mark.parametrize("up", ["Y", "Z"])
def test_axes_and_raw_values(tmp_path: Path, up: str) -> None:
    splat = read_text(HEAD.format(up=up) + PRIM.format(more=""), tmp_path)
    # A PLY points y down: a stage with y up is turned about z. With z up, (x, y, z) is first laid back to (x, z, -y).
    want = [[-1, -2, 3], [-4, -5, 6]] if up == "Y" else [[-1, -3, -2], [-4, -6, -5]]
    np.testing.assert_allclose(splat.means, want, atol=1e-6)
    np.testing.assert_allclose(splat.scales[0], np.log([1, 2, 4]), atol=1e-6)
    np.testing.assert_allclose(splat.opacities[0], 0, atol=1e-6)
    np.testing.assert_array_equal(splat.sh[0, 0], [1, 0, -1])


def test_transforms_of_prims_above(tmp_path: Path) -> None:
    move = 'double3 xformOp:translate = (0, 10, 0); uniform token[] xformOpOrder = ["xformOp:translate"]'
    grow = 'float3 xformOp:scale = (2, 2, 2); uniform token[] xformOpOrder = ["xformOp:scale"]'
    inside = PRIM.format(more=move)
    splat = read_text(f'{HEAD.format(up="Y")}def Xform "Top" {{\n{grow}\n{inside}\n}}', tmp_path)
    np.testing.assert_allclose(splat.means, [[-2, -24, 6], [-8, -30, 12]], atol=1e-5)
    np.testing.assert_allclose(splat.scales[1], np.log([1, 1, 1]), atol=1e-6)


def test_what_the_schema_leaves_out(tmp_path: Path) -> None:
    text = 'def ParticleField3DGaussianSplat "A" {\npoint3h[] positionsh = [(1, 2, 4)]\nfloat[] opacities = []\n}'
    splat = read_text(HEAD.format(up="Y") + text, tmp_path)
    np.testing.assert_array_equal(splat.means, [[-1, -2, 4]])
    np.testing.assert_array_equal(splat.sh, np.zeros((1, 1, 3)))  # grey
    np.testing.assert_array_equal(splat.scales, np.zeros((1, 3)))


def test_a_renamed_prim_gives_the_new_name(tmp_path: Path) -> None:
    usd.write(tmp_path / "a.usda", labelled(raw_splat()))
    text = (
        (tmp_path / "a.usda").read_text(encoding="utf-8").replace('displayName = "Red ball"', 'displayName = "Blüte"')
    )
    back = read_text(text, tmp_path)
    assert back.labels is not None
    assert back.labels.table.levels[2][0].name == "Blüte" and back.labels.table.levels[2][0].automatic == "Red ball"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#usda 1.0\n(", "damaged"),
        ("PXR-USDC" + "x" * 300, "damaged"),
        ("hello", "damaged"),
        ('#usda 1.0\ndef Xform "A" {}', "holds no splats"),
        ('#usda 1.0\ndef ParticleField3DGaussianSplat "A" {}', "holds no Gaussians"),
        (HEAD.format(up="Y") + PRIM.format(more="").replace("Degree = 0", "Degree = -1"), "degree -1"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_text(text, tmp_path)


def test_a_reader_that_ends_or_does_not_end_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usd.write(tmp_path / "a.usdc", raw_splat())
    started = usd_child.start
    for program in ("import os; os.abort()", "import time; time.sleep(60)"):

        def instead(_command: list[str], program: str = program, **more: object) -> object:
            return started([sys.executable, "-c", program], **more)  # type: ignore[arg-type]

        monkeypatch.setattr(usd_child, "start", instead)
        monkeypatch.setattr(usd_child, "SECONDS", 1.0)
        with pytest.raises(InputError, match="came to no end"):
            usd.read(tmp_path / "a.usdc")


def test_a_missing_package_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    jobs: list[Callable[[], object]] = [
        lambda: usd.read(tmp_path / "a.usda"), lambda: usd.write(tmp_path / "a.usda", raw_splat()),
    ]  # fmt: skip
    for job in jobs:
        with pytest.raises(EnvironmentLacksError, match=r"usd-core, which is missing. .*bgs-engine\[formats\]"):
            job()


def test_a_table_that_lacks_a_label_is_refused(tmp_path: Path) -> None:
    splat = replace(labelled(raw_splat()))
    assert splat.labels is not None
    splat.labels.table.levels[0].pop()
    with pytest.raises(InputError, match="lacks label"):
        usd.write(tmp_path / "a.usdc", splat)
    assert not list(tmp_path.iterdir())


def test_a_file_name_with_half_a_character(tmp_path: Path) -> None:
    splat = raw_splat(20)
    path = tmp_path / "a\udcff.usda"  # as Python has a byte that is no UTF-8
    try:
        usd.write(path, splat)
    except OutputError:
        pytest.skip("this file system has UTF-8 names only")
    with pytest.raises(InputError, match="has a path that is no UTF-8"):
        usd.read(path)
    assert_same(usd.read(path.rename(tmp_path / "a.usda")), splat, None)
