"""Splat files: every layout that trainers and editors write, what is refused and how, and bytes that stay the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import plyfile
import pytest

from bgs_engine.core.codes import CODE_BYTE_NAMES
from bgs_engine.core.errors import InputError
from bgs_engine.io import ply as ply_module
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import REST_COUNTS, SPLAT_PROPERTIES, read_ply, write_ply
from bgs_engine.io.ply_rows import convert_rows, plain_dtype, row_dtype
from bgs_engine.io.run_folder import codes_in, write_coded_ply
from tests.helpers.made_files import all_rows, ply_bytes, splat_dtype, splat_rows, write_splat

COUNT = 137


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 50 rows, so that 137 rows need three of them."""
    monkeypatch.setattr(ply_module, "CHUNK_ROWS", 50)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("rest", REST_COUNTS)
def test_every_harmonics_degree(tmp_path: Path, rest: int) -> None:
    rows = splat_rows(COUNT, splat_dtype(rest))
    ply = write_splat(tmp_path / "a.ply", rows)
    assert (ply.count, ply.rest_count) == (COUNT, rest)
    gaussians = load_gaussians(ply)
    assert gaussians.sh is not None and gaussians.sh.shape == (COUNT, 1 + rest // 3, 3)
    for channel in range(3):
        for k in range(rest // 3):  # channel-major in the file
            np.testing.assert_array_equal(gaussians.sh[:, 1 + k, channel], rows[f"f_rest_{channel * rest // 3 + k}"])
    np.testing.assert_array_equal(gaussians.means, np.stack([rows["x"], rows["y"], rows["z"]], 1))
    np.testing.assert_allclose(gaussians.scales[:, 1], np.exp(rows["scale_1"]), rtol=1e-6)  # two float32 roundings
    np.testing.assert_allclose(np.linalg.norm(gaussians.quats, axis=1), 1, rtol=1e-6)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("seed", range(3))
def test_any_order_and_extra_properties(tmp_path: Path, seed: int) -> None:
    kinds = splat_dtype(9, [("object_id", "<i4"), ("mask", "u1"), ("time", "<f8"), ("semantic_0", "<f4")])
    order = np.random.default_rng(seed).permutation(len(kinds.descr))
    fields = [kinds.descr[k] for k in order]
    rows = splat_rows(COUNT, np.dtype(fields), seed)
    ply = write_splat(tmp_path / "a.ply", rows, ["comment made by a trainer", "obj_info kept too"])
    assert ply.comments == ("comment made by a trainer", "obj_info kept too")
    assert all_rows(ply).tobytes() == rows.tobytes()
    wanted = ("opacity", "x", "object_id", "mask")
    np.testing.assert_array_equal(ply.columns(wanted, np.float64), np.stack([rows[n] for n in wanted], 1))
    np.testing.assert_array_equal(ply.column("time"), rows["time"])
    picked = np.array([136, 0, 51, 51])
    assert ply.take(picked).tobytes() == rows[picked].tobytes()


@pytest.mark.parametrize("form", ["ascii", "big_endian", "list"])
def test_odd_formats_read_the_same_values(tmp_path: Path, form: str) -> None:
    rows = splat_rows(COUNT, splat_dtype(9, [("label", "<i4")]))
    table = rows
    if form == "list":
        table = np.empty(COUNT, [*rows.dtype.descr, ("pair", "O")])
        for name in rows.dtype.names or ():
            table[name] = rows[name]
        for k in range(COUNT):
            table["pair"][k] = np.array([k, k + 1], np.int32)
    element = plyfile.PlyElement.describe(table, "vertex")
    data = plyfile.PlyData([element], text=form == "ascii", byte_order=">" if form == "big_endian" else "<")
    data.comments = ["from elsewhere"]
    data.write(str(tmp_path / "odd.ply"))
    ply = read_ply(tmp_path / "odd.ply")
    assert ply.dtype == rows.dtype  # little endian, without the list
    assert "comment from elsewhere" in ply.comments
    # plyfile writes ASCII floats with all the digits a float32 needs, so even these come back the same.
    assert all_rows(ply).tobytes() == rows.tobytes()
    np.testing.assert_array_equal(ply.columns(("x", "label"), np.float64)[:, 1], rows["label"])
    assert ply.take(np.array([5])).tobytes() == rows[[5]].tobytes()


def test_vertex_after_another_element(tmp_path: Path) -> None:
    rows = splat_rows(9, splat_dtype(0))
    other = np.zeros(3, [("a", "<f4")])
    elements = [plyfile.PlyElement.describe(other, "camera"), plyfile.PlyElement.describe(rows, "vertex")]
    plyfile.PlyData(elements, byte_order="<").write(str(tmp_path / "a.ply"))
    assert all_rows(read_ply(tmp_path / "a.ply")).tobytes() == rows.tobytes()


def test_windows_line_ends(tmp_path: Path) -> None:
    rows = splat_rows(4, splat_dtype(0))
    head, _, body = ply_bytes(rows).partition(b"end_header\n")
    (tmp_path / "a.ply").write_bytes(head.replace(b"\n", b"\r\n") + b"end_header\r\n" + body)
    assert all_rows(read_ply(tmp_path / "a.ply")).tobytes() == rows.tobytes()


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_ply(path)
    return str(caught.value)


def test_a_file_cut_short_says_how_many_rows_are_there(tmp_path: Path) -> None:
    rows = splat_rows(2000, splat_dtype(0))
    whole = ply_bytes(rows)
    said = refused(tmp_path / "cut.ply", whole[: len(whole) - 700 * rows.dtype.itemsize - 5])
    assert "promises 2,000 Gaussians, 1,299 are there" in said  # 700 whole rows and 5 bytes of one more are gone
    assert "promises 2,000 Gaussians, 0 are there" in refused(tmp_path / "cut.ply", whole[: -rows.nbytes])


def test_meshes_point_clouds_and_empty_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "thing.ply"
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    mesh = head + "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    assert "it is a mesh" in refused(path, mesh.encode())
    assert "it is a point cloud" in refused(path, (head + "end_header\n0 0 0\n1 0 0\n0 1 0\n").encode())
    assert "holds no Gaussians" in refused(path, ply_bytes(splat_rows(0, splat_dtype())))
    assert "is not a PLY" in refused(path, b"solid cube\n")
    assert "is empty" in refused(path, b"")
    assert "header without an end" in refused(path, b"ply\nformat ascii 1.0\nelement vertex 3\n")
    assert "damaged PLY header" in refused(path, b"ply\nformat morse 1.0\nelement vertex 1\nend_header\n")
    assert "f_rest properties" in refused(path, ply_bytes(splat_rows(3, splat_dtype(12))))
    for gone in (name for name in SPLAT_PROPERTIES if name != "scale_2"):  # discs have no third scale
        names = [n for n in splat_dtype(0).names or () if n != gone]
        assert gone in refused(path, ply_bytes(splat_rows(3, np.dtype([(n, "<f4") for n in names]))))
    with pytest.raises(InputError, match="cannot be read"):
        read_ply(tmp_path / "missing.ply")
    with pytest.raises(InputError, match="is a folder, not a file"):
        read_ply(tmp_path)


def test_infinite_opacity_is_legal(tmp_path: Path) -> None:
    rows = splat_rows(4, splat_dtype(0))
    rows["opacity"] = [np.inf, -np.inf, np.nan, 0]
    gaussians = load_gaussians(write_splat(tmp_path / "a.ply", rows))
    assert gaussians.valid.all()
    # sigmoid(15) = 1 - 3.1e-7, the limit of logits here; NaN counts as transparent.
    np.testing.assert_allclose(gaussians.opacities, [1, 0, 0, 0.5], atol=4e-7)


def test_rows_that_are_not_finite_are_marked_and_neutral(tmp_path: Path) -> None:
    rows = splat_rows(8, splat_dtype(9))
    rows["x"][0], rows["z"][1], rows["scale_2"][2], rows["rot_1"][3] = np.nan, np.inf, np.nan, -np.inf
    rows["scale_0"][4] = 200  # exp(200) is beyond float32
    for k in range(4):
        rows[f"rot_{k}"][5] = 0  # no direction
    rows["f_rest_3"][6] = np.nan  # a colour alone does not make a row invalid
    gaussians = load_gaussians(write_splat(tmp_path / "a.ply", rows))
    assert gaussians.valid.tolist() == [False] * 6 + [True] * 2
    assert (gaussians.opacities[:6] == 0).all() and (gaussians.opacities[6:] > 0).all()
    assert gaussians.sh is not None
    for values in (gaussians.means, gaussians.quats, gaussians.scales, gaussians.sh):
        assert np.isfinite(values).all()
    rows["y"] = np.nan
    with pytest.raises(InputError, match="no Gaussian with finite values"):
        load_gaussians(write_splat(tmp_path / "b.ply", rows))


@pytest.mark.usefixtures("small_chunks")
def test_coded_ply_keeps_every_byte_and_all_32_bits(tmp_path: Path) -> None:
    rows = splat_rows(COUNT, splat_dtype(45, [("object_id", "<i4"), ("time", "<f8")]))
    rows["x"][:3], rows["opacity"][3] = [np.nan, -0.0, np.inf], np.inf  # kept as they are
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    edges = np.array([0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000001], np.uint32)
    codes = np.resize(np.concatenate([bits, edges]), COUNT).view(np.int32)
    source = write_splat(tmp_path / "a.ply", rows, ["comment kept"])
    write_coded_ply(tmp_path / "coded.ply", source, codes)
    coded = read_ply(tmp_path / "coded.ply")
    assert coded.names == (*source.names, *CODE_BYTE_NAMES) and coded.comments == ("comment kept",)
    packed = all_rows(coded).view(np.uint8).reshape(COUNT, -1)
    assert packed[:, : rows.dtype.itemsize].tobytes() == rows.tobytes()
    read = codes_in(coded)
    assert read is not None and read.dtype == np.int32
    np.testing.assert_array_equal(read, codes)
    write_coded_ply(tmp_path / "again.ply", coded, codes[::-1])  # names that exist are written over, not repeated
    again = read_ply(tmp_path / "again.ply")
    assert again.names == coded.names
    np.testing.assert_array_equal(codes_in(again), codes[::-1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ply", "again.ply", "coded.ply"]


def test_codes_in_one_integer_property(tmp_path: Path) -> None:
    for kind in ("<i4", "<u4"):
        rows = splat_rows(50, splat_dtype(0, [("bgs_code", kind)]))
        np.testing.assert_array_equal(codes_in(write_splat(tmp_path / "a.ply", rows)), rows["bgs_code"].view(np.int32))
    rounded = splat_rows(50, splat_dtype(0, [("bgs_code", "<f4")]))  # an editor's float32 has lost the low bits
    assert codes_in(write_splat(tmp_path / "a.ply", rounded)) is None
    assert codes_in(write_splat(tmp_path / "a.ply", splat_rows(50, splat_dtype(0)))) is None


FAILING_WRITE = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from bgs_engine.core.errors import InputError
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import write_coded_ply
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
source = read_ply(folder / "a.ply")
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_coded_ply(folder / sys.argv[2], source, np.zeros(source.count, np.int32))
except InputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE, which Windows does not have")
def test_a_write_that_fails_leaves_nothing_and_spares_what_was_there(tmp_path: Path) -> None:
    write_splat(tmp_path / "a.ply", splat_rows(1000, splat_dtype()))
    (tmp_path / "old.ply").write_bytes(b"earlier result")
    for target in ("new.ply", "old.ply"):
        command = [sys.executable, "-c", FAILING_WRITE, str(tmp_path), target]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert f"{target} cannot be written" in done.stdout, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ply", "old.ply"]
    assert (tmp_path / "old.ply").read_bytes() == b"earlier result"


def test_writing_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_ply(tmp_path / "file" / "a.ply", plain_dtype(), iter([]), 0)


def test_plain_dtype_is_the_first_release() -> None:
    names = plain_dtype().names or ()
    assert plain_dtype().itemsize == 62 * 4
    assert names[:9] == ("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2")
    assert names[9] == "f_rest_0" and names[53:55] == ("f_rest_44", "opacity") and names[-1] == "rot_3"


@pytest.mark.parametrize("rest", REST_COUNTS)
def test_converted_rows_keep_colour_in_its_channel(rest: int) -> None:
    rows = splat_rows(20, splat_dtype(rest, [("object_id", "<i4")]))
    plain = convert_rows(rows, plain_dtype())
    for name in SPLAT_PROPERTIES:
        np.testing.assert_array_equal(plain[name], rows[name])
    for channel in range(3):
        for k in range(15):
            have = rows[f"f_rest_{channel * rest // 3 + k}"] if k < rest // 3 else np.zeros(20, np.float32)
            np.testing.assert_array_equal(plain[f"f_rest_{channel * 15 + k}"], have)
    back = convert_rows(plain, rows.dtype)
    rows["object_id"] = 0  # the plain layout has no place for it, nor for degree 4
    for name in (f"f_rest_{channel * rest // 3 + k}" for channel in range(3) for k in range(15, rest // 3)):
        rows[name] = 0
    assert back.tobytes() == rows.tobytes()


def test_row_dtype_repeats_no_name(tmp_path: Path) -> None:
    ply = write_splat(tmp_path / "a.ply", splat_rows(3, splat_dtype(0, [("seg_0", "u1")])))
    assert row_dtype(ply, [("seg_0", "u1"), ("seg_1", "u1")]).names == (*ply.names, "seg_1")
