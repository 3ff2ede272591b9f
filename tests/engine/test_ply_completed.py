"""Flat Gaussians, plain colours and degree 4: what is added on reading, and files that stay as they were."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.harmonics import basis
from bgs_engine.formats.read import open_splat
from bgs_engine.formats.write import write_splat
from bgs_engine.io.gaussians import SH_C0, load_gaussians
from bgs_engine.io.ply import SplatPly, read_ply
from bgs_engine.io.ply_completed import FLAT_SCALE, added_names, still_added, without
from bgs_engine.io.run_folder import codes_in, write_coded_ply
from bgs_engine.output.export import write_rows
from bgs_engine.raster.sh import sh_basis
from tests.helpers.made_files import all_rows, ply_bytes, splat_dtype, splat_rows
from tests.helpers.made_files import write_splat as open_rows

COUNT = 70_000  # more than a chunk of rows


def rows_without(names: tuple[str, ...], extra: tuple[tuple[str, str], ...] = (), count: int = COUNT) -> np.ndarray:
    dtype = splat_dtype(9, extra)
    return splat_rows(count, without(dtype, names))


def flat(count: int = COUNT) -> np.ndarray:
    return rows_without(("scale_2",), (("mood", "<i4"),), count)


def plain_colors(kind: str = "u1", count: int = COUNT) -> np.ndarray:
    rows = rows_without(("f_dc_0", "f_dc_1", "f_dc_2"), tuple((name, kind) for name in ("red", "green", "blue")), count)
    if kind[-2] == "f":
        for name in ("red", "green", "blue"):
            rows[name] = np.random.default_rng(1).uniform(0, 1, count)
    return rows


def test_flat_gaussians_are_thin_along_their_normal(tmp_path: Path) -> None:
    rows = flat()
    ply = open_rows(tmp_path / "a.ply", rows)
    assert ply.added == ("scale_2",) and ply.names == (*rows.dtype.names, "scale_2")  # type: ignore[misc]
    splat = load_gaussians(ply)
    assert splat.valid.all() and splat.oddities == ()
    np.testing.assert_array_equal(ply.column("scale_2"), FLAT_SCALE)
    np.testing.assert_allclose(splat.scales[:, 2], np.exp(np.float32(FLAT_SCALE)))
    for name in rows.dtype.names or ():
        np.testing.assert_array_equal(ply.column(name), rows[name])


@pytest.mark.parametrize(("kind", "full"), [("u1", 255), ("<u2", 65535), ("<f4", 1), ("<f8", 1)])
def test_plain_colours_are_what_is_seen(tmp_path: Path, kind: str, full: float) -> None:
    rows = plain_colors(kind, 300)
    ply = open_rows(tmp_path / "a.ply", rows)
    assert ply.added == ("f_dc_0", "f_dc_1", "f_dc_2")
    seen = load_gaussians(ply).base_colors
    wanted = np.stack([rows[name].astype(float) / full for name in ("red", "green", "blue")], 1)
    np.testing.assert_allclose(seen, wanted, atol=1e-6)  # three float32 roundings of numbers below 2


def test_float_colours_of_255(tmp_path: Path) -> None:
    rows = plain_colors("<f4", 50)
    for name in ("red", "green", "blue"):
        rows[name] *= 255
    base = open_rows(tmp_path / "a.ply", rows).columns(("f_dc_0", "f_dc_1", "f_dc_2"))
    wanted = (np.stack([rows[name] for name in ("red", "green", "blue")], 1) / 255 - 0.5) / SH_C0
    np.testing.assert_allclose(base, wanted, atol=1e-6)


@pytest.mark.parametrize("made", [flat, plain_colors])
def test_files_that_are_written_lack_it_again(tmp_path: Path, made) -> None:
    rows = made()
    ply = open_rows(tmp_path / "a.ply", rows)
    write_splat(tmp_path / "b.ply", ply, None)
    assert (tmp_path / "b.ply").read_bytes() == (tmp_path / "a.ply").read_bytes()
    codes = np.arange(COUNT, dtype=np.int32)
    write_coded_ply(tmp_path / "c.ply", ply, codes)
    coded = read_ply(tmp_path / "c.ply")
    assert coded.added == ply.added
    np.testing.assert_array_equal(codes_in(coded), codes)
    assert set(coded.names) == {*ply.names, "seg_0", "seg_1", "seg_2", "seg_3"}
    some = np.array([4, 2, 60_000])
    write_rows(tmp_path / "d.ply", ply, some, False)
    assert (tmp_path / "d.ply").read_bytes() == ply_bytes(rows[some])
    write_rows(tmp_path / "e.ply", ply, some, True)  # the layout of 62 floats has everything
    plain = read_ply(tmp_path / "e.ply")
    assert plain.added == () and len(plain.names) == 62
    np.testing.assert_array_equal(plain.columns(ply.added), ply.columns(ply.added)[some])


def test_an_ascii_file_of_flat_gaussians(tmp_path: Path) -> None:
    rows = flat(5)
    head, _, _ = ply_bytes(rows).partition(b"end_header\n")
    text = "\n".join(" ".join(str(row[name].item()) for name in rows.dtype.names or ()) for row in rows)
    data = head.replace(b"binary_little_endian", b"ascii") + b"end_header\n" + text.encode() + b"\n"
    (tmp_path / "a.ply").write_bytes(data)
    ply = read_ply(tmp_path / "a.ply")
    assert ply.added == ("scale_2",)
    np.testing.assert_array_equal(all_rows(ply)["scale_1"], rows["scale_1"])


def test_what_an_edit_says_is_kept(tmp_path: Path) -> None:
    rows = all_rows(open_rows(tmp_path / "a.ply", flat(20)))
    assert still_added(rows, ("scale_2",)) == ("scale_2",)
    rows["scale_2"] += np.log(3)  # the splat was scaled
    assert still_added(rows, ("scale_2",)) == ("scale_2",)
    rows["scale_2"][4] += 1  # one disc was scaled unevenly
    assert still_added(rows, ("scale_2",)) == ()
    rows["scale_2"] = 5  # thicker than wide
    assert still_added(rows, ("scale_2",)) == ()
    rows = all_rows(open_rows(tmp_path / "a.ply", plain_colors(count=20)))
    names = ("f_dc_0", "f_dc_1", "f_dc_2")
    assert still_added(rows, names) == names
    rows["f_dc_1"] *= 1.5  # a light
    assert still_added(rows, names) == ()  # a file has all three or none


def test_both_at_once_and_splats_that_lack_nothing(tmp_path: Path) -> None:
    rows = rows_without(("scale_2", "f_dc_0", "f_dc_1", "f_dc_2"), (("red", "u1"), ("green", "u1"), ("blue", "u1")), 9)
    ply = open_rows(tmp_path / "a.ply", rows)
    assert ply.added == ("scale_2", "f_dc_0", "f_dc_1", "f_dc_2")
    assert open_splat(tmp_path / "a.ply").ply.added == ply.added
    assert added_names(splat_dtype(0, [("red", "u1"), ("green", "u1"), ("blue", "u1")]).names or ()) == ()
    assert added_names(("x", "y", "z", "red", "green", "blue")) == ()  # a point cloud


def test_degree_4_goes_through_unchanged(tmp_path: Path) -> None:
    rows = splat_rows(100, splat_dtype(72))
    ply = open_rows(tmp_path / "a.ply", rows)
    sh = load_gaussians(ply).sh
    assert isinstance(ply, SplatPly) and sh is not None and sh.shape == (100, 25, 3)
    np.testing.assert_array_equal(sh[:, 24, 1], rows["f_rest_47"])  # the last of green
    write_splat(tmp_path / "b.ply", ply, None)
    assert (tmp_path / "b.ply").read_bytes() == (tmp_path / "a.ply").read_bytes()


def test_degree_4_is_drawn_with_the_basis_that_turns_it() -> None:
    directions = np.random.default_rng(0).normal(size=(40, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(sh_basis(directions, 25), basis(directions), atol=1e-12)  # the same polynomials
