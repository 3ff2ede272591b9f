"""GLB and glTF with KHR_gaussian_splatting: what was written comes back, and files of other programs are read right."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgs_engine.core.errors import InputError
from bgs_engine.core.harmonics import basis
from bgs_engine.core.quaternions import quaternion_matrices
from bgs_engine.formats import gltf
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.spz import read_spz, write_spz
from tests.helpers.made_gltf import SPLATS, attributes, document, glb_bytes, gltf_bytes, packed, parts_of
from tests.helpers.made_raw_splat import assert_same, labelled, raw_splat

TURN = np.diag([-1.0, -1.0, 1.0])  # from glTF to PLY


def there_and_back(splat: RawSplat, path: Path) -> RawSplat:
    order = gltf.write(path, splat)
    back = gltf.read(path)
    assert_same(back, splat, order)
    return back


def read_made(made: dict[str, Any], data: bytes, folder: Path) -> RawSplat:
    (folder / "a.glb").write_bytes(glb_bytes(made, data))
    return gltf.read(folder / "a.glb")


def covariances(splat: RawSplat) -> np.ndarray:
    axes = quaternion_matrices(splat.quats) * np.exp(splat.scales.astype(float))[:, None]
    return axes @ axes.transpose(0, 2, 1)


# --- what we write ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("offset", [(0, 0, 0), (500_000, 0, -4_000_000)])
def test_a_splat_comes_back(tmp_path: Path, degree: int, offset: tuple[float, float, float]) -> None:
    there_and_back(raw_splat(40, degree, offset), tmp_path / "a.glb")
    there_and_back(labelled(raw_splat(40, degree, offset)), tmp_path / "b.glb")


def test_labels_are_nested_named_nodes(tmp_path: Path) -> None:
    splat = labelled(raw_splat())
    gltf.write(tmp_path / "room.glb", splat)
    made, _ = parts_of(tmp_path / "room.glb")
    nodes = made["nodes"]
    assert nodes[0]["name"] == "room" and nodes[0]["extras"]["bgs"]["level_bits"] == [4, 3, 3]
    assert splat.labels is not None
    top = splat.labels.table.levels[0]
    assert [nodes[child]["name"] for child in nodes[0]["children"]] == [row.name for row in top]
    first = nodes[nodes[0]["children"][0]]
    assert first["extras"]["bgs"]["label"] == top[0].label and "mesh" not in first
    leaf = nodes[nodes[first["children"][0]]["children"][0]]
    facts = leaf["extras"]["bgs"]
    assert (facts["level"], facts["code"]) == (3, facts["label"])
    count = made["accessors"][made["meshes"][leaf["mesh"]]["primitives"][0]["attributes"]["POSITION"]]["count"]
    assert count == (splat.labels.codes == facts["code"]).sum() == facts["count"]


def test_values_are_those_of_another_writer(tmp_path: Path) -> None:
    """Those that splat-transform 3.7.0 writes for this Gaussian, but for the quaternion of an equal ellipsoid."""
    sh = (np.arange(48).reshape(1, 16, 3) / 64).astype(np.float32)
    one = RawSplat(
        np.array([[1, 2, 3]], np.float32), np.array([[-1, -2, 0.5]], np.float32),
        np.array([[0.8, 0.4, -0.4, 0.2]], np.float32), np.array([0.75], np.float32), sh,
    )  # fmt: skip
    gltf.write(tmp_path / "a.glb", one)
    made, data = parts_of(tmp_path / "a.glb")
    found = {}
    for name, index in made["meshes"][0]["primitives"][0]["attributes"].items():
        view = made["bufferViews"][made["accessors"][index]["bufferView"]]
        part = data[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        found[name.removeprefix(f"{SPLATS}:")] = np.frombuffer(part, "u1" if name == "COLOR_0" else "<f4").tolist()
    assert found["POSITION"] == [-1, -2, 3]
    assert found["COLOR_0"] == [128, 129, 130, 173]
    assert found["SCALE"] == [0.3678794503211975, 0.1353352814912796, 1.6487212181091309]
    assert found["OPACITY"] == [0.6791787147521973]
    flipped = [1, 3, 5, 7, 9, 11, 13, 15]  # harmonics that are odd under half a turn about z
    for k, name in enumerate([f"SH_DEGREE_{d}_COEF_{c}" for d in range(4) for c in range(2 * d + 1)]):
        assert found[name] == (sh[0, k] * (-1 if k in flipped else 1)).tolist()
    x, y, z, w = found["ROTATION"]
    theirs = np.array([[-0.2, 0.4, 0.4, 0.8]])
    sizes = np.diag(np.exp([-2.0, -4, 1]))
    mine, other = quaternion_matrices(np.concatenate([[[w, x, y, z]], theirs]))
    np.testing.assert_allclose(mine @ sizes @ mine.T, other @ sizes @ other.T, atol=1e-6)


def test_gaussians_that_cannot_be_drawn_are_left_out(tmp_path: Path) -> None:
    splat = labelled(raw_splat())
    splat.means[3, 1], splat.quats[5], splat.scales[7, 2] = np.nan, 0, np.inf
    order = gltf.write(tmp_path / "a.glb", splat)
    assert order is not None and sorted(set(range(40)) - set(order.tolist())) == [3, 5, 7]
    back = gltf.read(tmp_path / "a.glb")
    assert back.labels is not None and splat.labels is not None
    np.testing.assert_array_equal(back.labels.codes, splat.labels.codes[order])
    splat.means[:] = np.nan
    with pytest.raises(InputError, match="No Gaussian for"):
        gltf.write(tmp_path / "a.glb", splat)


def test_labels_whose_gaussians_went_away_go_too(tmp_path: Path) -> None:
    splat = labelled(raw_splat())
    assert splat.labels is not None
    some = splat.take(np.flatnonzero(splat.labels.codes != splat.labels.codes[0]))
    gltf.write(tmp_path / "a.glb", some)
    back = gltf.read(tmp_path / "a.glb")
    assert back.labels is not None and some.labels is not None
    assert {row.label for row in back.labels.table.levels[2]} == set(some.labels.codes.tolist())
    named = {row.label: row.name for row in splat.labels.table.levels[0]}
    assert {row.label: row.name for row in back.labels.table.levels[0]} == named


def test_a_table_that_lacks_a_label_is_refused(tmp_path: Path) -> None:
    splat = labelled(raw_splat())
    assert splat.labels is not None
    splat.labels.table.levels[1].pop()
    with pytest.raises(InputError, match="lacks label"):
        gltf.write(tmp_path / "a.glb", splat)
    assert not list(tmp_path.iterdir())


# --- what others write -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["similar", "mirrored", "unequal"])
def test_transforms_of_nodes_move_shapes_and_colours(tmp_path: Path, kind: str) -> None:
    turn = quaternion_matrices(np.array([[0.5, 0.1, -0.7, 0.2]]))[0]
    scale = {"similar": [2.0, 2.0, 2.0], "mirrored": [-2.0, 2.0, 2.0], "unequal": [3.0, 1.0, 0.5]}[kind]
    quat = np.array([0.1, -0.7, 0.2, 0.5]) / np.linalg.norm([0.1, -0.7, 0.2, 0.5])
    node = {"translation": [1, 2, 3], "rotation": quat.tolist(), "scale": scale}
    values = attributes()
    still = read_made(*document(values), tmp_path)
    moved = read_made(*document(values, node), tmp_path)
    matrix = TURN @ turn @ np.diag(scale) @ TURN
    np.testing.assert_allclose(moved.means, still.means @ matrix.T + TURN @ [1, 2, 3], atol=1e-5)
    np.testing.assert_allclose(covariances(moved), matrix @ covariances(still) @ matrix.T, atol=1e-5)
    rotation = matrix @ np.linalg.inv(np.diag(np.abs(scale))) if kind != "unequal" else None
    if rotation is not None:  # the colour in direction R d is what it was in direction d
        ways = np.eye(3)
        seen = np.einsum("dk,nkc->ndc", basis(ways)[:, :4], still.sh.astype(float))
        turned = np.einsum("dk,nkc->ndc", basis(ways @ rotation.T)[:, :4], moved.sh.astype(float))
        np.testing.assert_allclose(turned, seen, atol=1e-5)


def test_a_matrix_and_nested_nodes(tmp_path: Path) -> None:
    values = attributes()
    made, data = document(values)
    shift = np.eye(4)
    shift[:3, 3] = [0, 5, 0]
    made["nodes"] = [{"children": [1], "scale": [2, 2, 2]}, {"mesh": 0, "matrix": shift.T.ravel().tolist()}]
    moved = read_made(made, data, tmp_path)
    np.testing.assert_allclose(moved.means, values["POSITION"] @ np.diag([-2, -2, 2]) + [0, -10, 0], atol=1e-5)
    made["nodes"][1]["children"] = [0]
    with pytest.raises(InputError, match="two parents"):
        read_made(made, data, tmp_path)


@pytest.mark.parametrize("stride", [0, 16, 252])
def test_plain_interleaved_and_packed_numbers(tmp_path: Path, stride: int) -> None:
    values = attributes()
    plain = read_made(*document(values), tmp_path)
    packed = {
        **values,
        f"{SPLATS}:ROTATION": (values[f"{SPLATS}:ROTATION"] * 32767).round().astype(np.int16),
        f"{SPLATS}:OPACITY": (values[f"{SPLATS}:OPACITY"] * 255).round().astype(np.uint8),
    }
    back = read_made(*document(packed, stride=stride), tmp_path)
    np.testing.assert_array_equal(back.sh, plain.sh)
    np.testing.assert_allclose(back.quats, plain.quats, atol=2e-5)  # half a step of 1 / 32767
    shares, exact = (1 / (1 + np.exp(-one.opacities)) for one in (back, plain))
    np.testing.assert_allclose(shares, exact, atol=2.1e-3)  # half a step of 1 / 255


def test_text_with_its_buffer_inside_or_beside(tmp_path: Path) -> None:
    made, data = document(attributes())
    plain = read_made(made, data, tmp_path)
    (tmp_path / "inside.gltf").write_bytes(gltf_bytes(made, data))
    (tmp_path / "my data.bin").write_bytes(data)
    beside = {**made, "buffers": [{"uri": "my%20data.bin", "byteLength": len(data)}]}
    (tmp_path / "beside.gltf").write_text(json.dumps(beside))
    for name in ("inside.gltf", "beside.gltf"):
        np.testing.assert_array_equal(gltf.read(tmp_path / name).means, plain.means)
    for uri in ("../a.bin", "/etc/hostname", "https://example.com/a.bin", "file:a.bin"):
        (tmp_path / "bad.gltf").write_text(json.dumps({**made, "buffers": [{"uri": uri, "byteLength": len(data)}]}))
        with pytest.raises(InputError, match="not beside it"):
            gltf.read(tmp_path / "bad.gltf")


def test_the_release_candidate_has_logarithms(tmp_path: Path) -> None:
    values = attributes()
    new = read_made(*document(values), tmp_path)
    old = read_made(*document({**values, f"{SPLATS}:SCALE": np.log(values[f"{SPLATS}:SCALE"])}), tmp_path)
    np.testing.assert_allclose(old.scales, new.scales, rtol=1e-6)


def test_drafts_have_a_colour_with_opacity(tmp_path: Path) -> None:
    values = attributes()
    new = read_made(*document(values), tmp_path)
    color = np.concatenate([values[f"{SPLATS}:SH_DEGREE_0_COEF_0"] * 0.28209479 + 0.5, values[f"{SPLATS}:OPACITY"]], 1)
    draft = {"POSITION": values["POSITION"], "COLOR_0": color.astype(np.float32),
             "_ROTATION": values[f"{SPLATS}:ROTATION"], "_SCALE": values[f"{SPLATS}:SCALE"]}  # fmt: skip
    old = read_made(*document(draft), tmp_path)
    np.testing.assert_allclose(old.sh[:, 0], new.sh[:, 0], atol=1e-6)
    np.testing.assert_allclose(old.opacities, new.opacities, atol=1e-5)


def test_linear_colours_are_encoded(tmp_path: Path) -> None:
    values = attributes()
    values[f"{SPLATS}:SH_DEGREE_0_COEF_0"][:] = (0.2140411 - 0.5) / 0.28209479  # 0.5 in sRGB
    splat = read_made(*document(values, about={"kernel": "ellipse", "colorSpace": "lin_rec709_display"}), tmp_path)
    np.testing.assert_allclose(splat.sh[:, 0], 0, atol=1e-5)


def test_labels_of_a_moved_file_are_measured_anew(tmp_path: Path) -> None:
    splat = labelled(raw_splat())
    gltf.write(tmp_path / "a.glb", splat)
    made, data = parts_of(tmp_path / "a.glb")
    made["nodes"][0]["translation"] = [0, 0, 10]
    made["nodes"][1]["name"] = "Renamed"
    made["nodes"][1]["scale"] = [2, 2, 2]
    back = read_made(made, data, tmp_path)
    assert back.labels is not None and splat.labels is not None
    was, now = splat.labels.table.levels[0], back.labels.table.levels[0]
    assert [row.name for row in now] == ["Renamed", was[1].name]
    np.testing.assert_allclose(now[0].center, 2 * np.array(was[0].center) + [0, 0, 10], atol=1e-4)
    np.testing.assert_allclose(now[1].center, np.add(was[1].center, [0, 0, 10]), atol=1e-4)


@pytest.mark.parametrize(
    "extension", ["KHR_gaussian_splatting_compression_spz_2", "KHR_spz_gaussian_splats_compression"]
)
def test_splats_packed_as_spz(tmp_path: Path, extension: str) -> None:
    """The axes of the SPZ are those of the glTF, so only the turn from glTF to PLY is made."""
    splat = raw_splat(40, 1)
    splat.opacities[0] = 1
    write_spz(tmp_path / "a.spz", splat)
    spz = (tmp_path / "a.spz").read_bytes()
    back = read_made(*packed(spz, extension), tmp_path)
    plain = read_spz(tmp_path / "a.spz")  # in the axes of a PLY: half a turn about x from those of the file
    assert len(back) == 80
    np.testing.assert_array_equal(back.means[40:], plain.means * np.array([-1, 1, -1], np.float32))
    np.testing.assert_allclose(back.means[:40], np.add(back.means[40:], [0, 0, 5]), atol=1e-6)
    np.testing.assert_allclose(
        covariances(back)[40:], covariances(plain) * np.outer([-1, 1, -1], [-1, 1, -1]), atol=1e-6
    )
    np.testing.assert_array_equal(back.opacities[:40], plain.opacities)
    np.testing.assert_array_equal(back.sh[40:, 1], plain.sh[:, 1])  # y: unlike x and z, the same in both
    np.testing.assert_array_equal(back.sh[40:, 2:], -plain.sh[:, 2:])


def test_damaged_spz_in_a_glb_is_a_sentence(tmp_path: Path) -> None:
    made, data = document(attributes())
    made["meshes"][0]["primitives"][0]["extensions"][SPLATS]["extensions"] = {
        "KHR_gaussian_splatting_compression_spz": {"bufferView": 0}
    }
    with pytest.raises(InputError, match="is no SPZ file"):
        read_made(made, data, tmp_path)


# --- damage and limits -----------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    def changed(**what: Any) -> dict[str, Any]:
        return {**document(attributes())[0], **what}

    made, data = document(attributes())
    sparse = [{**one, "sparse": {}} for one in made["accessors"]]
    for wrong, said in (
        (changed(asset={"version": "3.0"}), "is glTF 3.0"),
        (changed(extensionsRequired=["EXT_meshopt_compression"]), "needs the glTF extension EXT_meshopt_compression"),
        (changed(meshes=[{"primitives": [{"attributes": {}}]}]), "holds no splats"),
        (changed(accessors=sparse), "sparse"),
        (changed(buffers=[{"byteLength": 10**9}]), "cut short"),
        (changed(nodes=[{"mesh": 10**9}]), "no entry"),
        (changed(nodes=[{"mesh": 0, "scale": [0, 1, 1]}]), "without size"),
        ({}, "damaged"),
    ):
        with pytest.raises(InputError, match=said):
            read_made(wrong, data, tmp_path)
    old = bytearray(glb_bytes(made, data))
    old[4] = 1
    (tmp_path / "a.glb").write_bytes(old)
    with pytest.raises(InputError, match="version 1"):
        gltf.read(tmp_path / "a.glb")


def test_a_small_file_cannot_repeat_itself_into_memory(tmp_path: Path) -> None:
    made, data = document(attributes(1000))
    made["nodes"] = [{"mesh": 0}] * 20_000
    made["scenes"] = [{"nodes": list(range(20_000))}]
    with pytest.raises(InputError, match="repeats its splats to 20,000,000 Gaussians"):
        read_made(made, data, tmp_path)
    made["meshes"][0]["primitives"] *= 20_000  # of equal numbers, too
    made["scenes"] = [{"nodes": [0]}]
    with pytest.raises(InputError, match="repeats its splats to 20,000,000 Gaussians"):
        read_made(made, data, tmp_path)


def test_damaged_labels_are_a_sentence(tmp_path: Path) -> None:
    gltf.write(tmp_path / "a.glb", replace(labelled(raw_splat())))
    made, data = parts_of(tmp_path / "a.glb")
    for facts in ({"level": 9, "label": 1}, {"level": 1, "label": "x"}, {"level": 1}):
        made["nodes"][1]["extras"] = {"bgs": facts}
        with pytest.raises(InputError, match=r"labels|label tree"):
            read_made(made, data, tmp_path)
