"""Splats that are no 3DGS PLY, far from the origin, with odd values or only a few Gaussians."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.io.gaussians import load_gaussians, logit
from bgs_engine.io.ply import FAR, read_ply
from bgs_engine.io.run_folder import open_run
from bgs_engine.io.transforms import read_transforms, write_transforms
from bgs_engine.output.render import RenderConfig, render_run
from bgs_engine.pipeline.runs import train_run
from bgs_engine.pipeline.scene import load_scene
from bgs_engine.train.config import TrainConfig
from bgs_engine.views import ViewsConfig, make_views
from tests.helpers.made_files import all_rows, ply_bytes, splat_dtype, splat_rows, write_splat

GEO = np.array([543210.0, 5832100.0, 120.0])  # a place in UTM; the third is near the origin
QUICK = TrainConfig(iterations=5)


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_ply(path)
    return str(caught.value)


def renamed(rows: np.ndarray, drop: tuple[str, ...] = (), add: tuple[tuple[str, str], ...] = ()) -> np.ndarray:
    """The rows without some properties and with others of value 1."""
    kept = [(name, rows.dtype[name].str) for name in rows.dtype.names or () if name not in drop]
    out = np.ones(len(rows), np.dtype([*kept, *add]))
    for name, _ in kept:
        out[name] = rows[name]
    return out


def test_what_is_no_3dgs_splat_is_named_with_what_to_do(tmp_path: Path) -> None:
    path, rows = tmp_path / "a.ply", splat_rows(20, splat_dtype(0))
    colors = tuple((name, "u1") for name in ("red", "green", "blue"))
    packed = tuple((f"packed_{name}", "<u4") for name in ("position", "rotation", "scale", "color"))
    everything = tuple(rows.dtype.names or ())
    cases = {
        "without f_dc_0": (renamed(rows, ("f_dc_0", "f_dc_1", "f_dc_2"), colors[:2]), "trainer"),
        "compressed splat without the bounds": (renamed(rows, everything, packed), "SuperSplat"),
        "harmonics of degree 5": (splat_rows(20, splat_dtype(105)), "degree 4"),
        "opacity as whole numbers": (renamed(rows, ("opacity",), (("opacity", "u1"),)), "trainer"),
        "a point cloud": (renamed(rows, everything[3:]), "trainer"),
        "in capital letters": (renamed(rows, ("x",), (("X", "<f4"),)), "Rename"),
    }
    for what, (made, remedy) in cases.items():
        path.write_bytes(ply_bytes(made))
        assert what in refused(path) and remedy in refused(path), what
    for start, what in ((b"\x1f\x8b\x08", "gzip"), (b"PK\x03\x04", "zip"), (b"<!DOCTYPE html>", "web page"),
                        (b"version https://git-lfs.github.com/spec/v1", "Git LFS")):  # fmt: skip
        path.write_bytes(start + bytes(50))
        assert what in refused(path)


def test_colons_in_property_names(tmp_path: Path) -> None:
    rows = splat_rows(30, splat_dtype(9, [("radiance:base", "<f4"), ("a b", "u1")][:1]))
    ply = write_splat(tmp_path / "a.ply", rows)
    np.testing.assert_array_equal(ply.column("radiance:base"), rows["radiance:base"])
    assert len(load_gaussians(ply)) == 30
    assert all_rows(ply).tobytes() == rows.tobytes()


def far_rows(count: int, kind: str = "<f8") -> np.ndarray:
    names = splat_dtype(0).names or ()
    rows = splat_rows(count, np.dtype([(name, kind if name in "xyz" else "<f4") for name in names]))
    for axis, place in zip("xyz", GEO, strict=True):
        rows[axis] = np.random.default_rng(3).normal(size=count) + place
    return rows


def test_positions_far_from_the_origin_keep_their_precision(tmp_path: Path) -> None:
    rows = far_rows(500)
    ply = write_splat(tmp_path / "a.ply", rows)
    gaussians = load_gaussians(ply)
    assert (np.abs(ply.offset - GEO)[:2] < 1).all() and ply.offset[2] == 0  # whole numbers, only where it is far
    assert (ply.offset == np.round(ply.offset)).all()
    exact = np.stack([rows[axis] for axis in "xyz"], 1) - ply.offset
    # float32 has 24 bits: 2^-23 of at most 120 units; without the offset the error would be up to 0.25.
    assert np.abs(gaussians.means - exact).max() < 2e-5
    np.testing.assert_array_equal(gaussians.means, ply.positions())
    assert gaussians.oddities == ()
    single = load_gaussians(write_splat(tmp_path / "b.ply", far_rows(500, "<f4")))
    assert any("0.5 units apart" in sentence for sentence in single.oddities)  # the file itself is coarse
    near = splat_rows(50, splat_dtype(0))
    near["x"] += FAR / 2
    assert not write_splat(tmp_path / "c.ply", near).offset.any()


def test_a_far_scene_gives_the_codes_and_pictures_of_the_near_one(tmp_path: Path, small_scene: Path) -> None:
    """The splat and its cameras are moved by the same way; only the float32 numbers of the file would differ."""
    near = all_rows(read_ply(small_scene / "scene.ply"))
    dtype = np.dtype([(name, "<f8" if name in "xyz" else near.dtype[name].str) for name in near.dtype.names or ()])
    rows = np.empty(len(near), dtype)
    for name in dtype.names or ():
        rows[name] = near[name]
    for axis, place in zip("xyz", GEO, strict=True):
        rows[axis] += place
    write_splat(tmp_path / "far.ply", rows)
    data = tmp_path / "data"
    data.mkdir()
    (data / "masks").symlink_to(small_scene / "masks")
    (data / "images").symlink_to(small_scene / "images")
    cameras, shared = read_transforms(small_scene / "transforms.json")
    write_transforms(data / "transforms.json", [camera.moved(-GEO) for camera in cameras], shared)
    moved = open_run(train_run(data, tmp_path / "moved", BitLayout(), QUICK, Reporter(), tmp_path / "far.ply"))
    plain = open_run(train_run(small_scene, tmp_path / "plain", BitLayout(), QUICK, Reporter()))
    assert moved.info["offset"][:2] == pytest.approx(GEO[:2], abs=20) and plain.info["offset"] == [0, 0, 0]
    same = moved.layout.labels(moved.codes, 1) == plain.layout.labels(plain.codes, 1)
    groups = {pair for pair in zip(moved.codes.tolist(), plain.codes.tolist(), strict=True)}
    # Codes are drawn in Morton order, which the offset may change; the partition must be the same but for ties.
    assert same.mean() > 0.99 or len(groups) < 1.1 * len(set(plain.codes.tolist()))
    big, twin = (max(run.labels().of(1), key=lambda label: label.count) for run in (moved, plain))
    assert np.array(big.center) - GEO == pytest.approx(np.array(twin.center), abs=0.1)  # in the file's coordinates
    render_run(moved, str(data / "transforms.json"), tmp_path / "pictures", RenderConfig(color=True), Reporter())
    render_run(plain, str(small_scene / "transforms.json"), tmp_path / "twins", RenderConfig(color=True), Reporter())
    from bgs_engine.io.images import read_image

    name = cameras[0].name
    one, other = (read_image(tmp_path / folder / "color" / f"{name}.png") for folder in ("pictures", "twins"))
    assert np.abs(one.astype(int) - other).mean() < 0.5  # of 255


def test_views_of_a_far_splat_stand_in_its_own_coordinates(tmp_path: Path) -> None:
    rows = far_rows(300)
    for k in range(3):
        rows[f"scale_{k}"] = np.log(0.1)
    rows["opacity"] = 3
    write_splat(tmp_path / "a.ply", rows)
    make_views(tmp_path / "a.ply", tmp_path / "views", ViewsConfig(count=3, size=(64, 48)), Reporter())
    cameras, _ = read_transforms(tmp_path / "views" / "transforms.json")
    assert all(np.linalg.norm(camera.position - GEO) < 50 for camera in cameras)


def test_linear_values_are_warned_of(tmp_path: Path) -> None:
    rows = splat_rows(100, splat_dtype(0))
    reporter = Reporter()
    write_splat(tmp_path / "a.ply", rows)
    load_scene(tmp_path / "a.ply", reporter)
    assert reporter.warnings == []
    for k in range(3):
        rows[f"scale_{k}"] = np.exp(rows[f"scale_{k}"])
    rows["opacity"] = 1 / (1 + np.exp(-rows["opacity"]))
    write_splat(tmp_path / "b.ply", rows)
    load_scene(tmp_path / "b.ply", reporter)
    assert [sentence.split(".")[0] for sentence in reporter.warnings] == [
        "No scale is below 0", "All opacities are between 0 and 1",
    ]  # fmt: skip


def few(scene: Path, kind: str) -> np.ndarray:
    rows = all_rows(read_ply(scene / "scene.ply"))
    solid = rows[np.argsort(-rows["opacity"], kind="stable")]
    if kind.isdigit():
        return solid[: int(kind)]
    if kind == "same place":
        made = solid[:200].copy()
        for axis in "xyz":
            made[axis] = made[axis][0]
        return made
    made = solid[:200].copy()
    made["x"][1:] = np.nan
    return made


@pytest.mark.parametrize("kind", ["1", "2", "10", "same place", "one good row"])
def test_a_few_gaussians_are_segmented_or_refused_plainly(tmp_path: Path, small_scene: Path, kind: str) -> None:
    rows = few(small_scene, kind)
    write_splat(tmp_path / "few.ply", rows)
    out = tmp_path / "run"
    try:
        ply = tmp_path / "few.ply"  # the photos are of the whole room, so they do not look like it
        run = open_run(train_run(small_scene, out, BitLayout(), QUICK, Reporter(), ply, trust_cameras=True))
    except InputError as error:
        assert "see nothing of the scene" in error.message and not out.exists()
    else:
        assert len(run.codes) == len(rows)
    scale = [f"scale_{k}" for k in range(3)]
    for name in scale:
        rows[name] = np.log(0.05)
    rows["opacity"] = logit(np.array([0.9]))[0]
    write_splat(tmp_path / "round.ply", rows)
    config = ViewsConfig(count=6, size=(64, 48))  # five views of a Gaussian are wanted, so three would cover nothing
    try:
        result = make_views(tmp_path / "round.ply", tmp_path / "views", config, Reporter())
    except InputError as error:  # two specks at opposite ends of a room fill no picture
        assert kind == "2" and "No place was found" in error.message
    else:
        assert len(result.cameras) == 6 and result.covered > 0
