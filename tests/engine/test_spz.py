"""SPZ files of versions 2, 3 and 4: the same values as in Niantic's own program, and nothing lost but rounding."""

import base64
import gzip
import struct
import sys
import warnings
import zlib
from typing import Any

import numpy as np
import pytest

from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.read import open_splat
from bgs_engine.formats.spz import FORMAT, FORMAT_4, decode_spz, read_spz, write_spz
from bgs_engine.formats.write import losses, write_splat
from tests.engine.test_raw_splat import random_splat

# Three Gaussians of degree 3, written by @adobe/spz 0.2.3, which is Niantic's program as WebAssembly.
NIANTIC = {
    2: (
        "H4sIAAAAAAAAAyXNIQsCQRAF4EGLwR9wSSYYLi5YjNtssijIFeHApGmDiEVYsAgiXhK5oIfJIlw1ucFgko3GiWK2WFxHZXgT"
        "Pt4wzUZbFQCg+E2ZVwBQBbj69Ph6eg+JhzNACeDpK9t3q9sfmvlqd1Cdbm+gR5PpIo0ey82pdjXBmpSoy5uihDRmJJ1QGJMh"
        "zS6ly1GjoZ/LML7PggT3N2sFOxmMMRfOUoYJD5eEU9z9+8WGEen7mGJkz9kM/1BOSqHoe5xR7oRl1/QBBGMDwdAAAAA="
    ),
    3: (
        "H4sIAAAAAAAAA/NzDw5gZmBgAGMeICHBwKDCwHDu/6ydP7/8/88w4T/DEQYGDgaGL//l5v8Lis0saeietmhtQFhsclZBWW3z"
        "vaBFRyK3JrF6HJk3rUFixoMAAwuHGwEPJjwoUFjwwOGCQYBCwoOGBwVAcQeHCxsUChQaHoDFHTQSXnRITFBYcePAAQOg+IMG"
        "hQSFDQYXDjxYoDABCIGKDC4EANVCxE8c0Ih4UPCi4kGCAlB8A1CsAWhHwAUHB4OAByDNCx5suGBwAChe8AAAR8RC4NMAAAA="
    ),
    4: (
        "TkdTUAQAAAADAAAAAwwABiAAAAAAAAAAAAAAAAAAAAAkAAAAAAAAABsAAAAAAAAADAAAAAAAAAADAAAAAAAAABIAAAAAAAAA"
        "CQAAAAAAAAASAAAAAAAAAAkAAAAAAAAAFQAAAAAAAAAMAAAAAAAAAG8AAAAAAAAAhwAAAAAAAAAotS/9IBvZAAAAGAAAJAAA"
        "zv+aufn0//8AkP8AxAAACAAA9P8otS/9IAMZAAAen/4otS/9IAlJAABSXWl0gIuWoq0otS/9IAlJAABQVl1janB2fYMotS/9"
        "IAxhAADeUqLEWbViBUjEnpYotS/9IIc1AwACSBcawCUdLtGnMv+GmVQmlUllWqUyrVJ9qk/0twQ/m8ssuRp/ryHaeh5tJjtk"
        "e+C4A4hS0NcOXZ1O68sOsRl/JlOKQXAOgsMImqXr0WeyRFO/4801S1ff82VQMfXBgAEBANRmMwo="
    ),
}
# What that program reads from them, turned into the axes of a PLY. Rotations are (x, y, z, w).
POSITIONS = "1.5 -2.25 3.125 -100.4 0.00292969 7 12.25 -0.5 0.75"
SCALES = "-5 -4.625 -4.1875 -3.8125 -3.375 -3 -2.625 -2.1875 -1.8125"
ROTATIONS = {
    2: "0.105882 -0.207843 0.309804 0.921744 0.835294 -0.121569 -0.239216 0.479875 0.498039 0.6 -0.615686 0.113521",
    3: "0.102399 -0.204798 0.307197 0.923689 0.837029 -0.119004 -0.239392 0.477401 0.499541 0.599173 -0.617676 "
    "0.0996315",
}
OPACITIES = "-2.0149 0.504556 5.53733"
COLORS = "-1.18954 -0.901961 -0.588235 -0.300654 0.0130721 0.300654 0.588235 0.901961 1.18954"
HARMONICS = (  # of the first Gaussian
    "0 0.8125 -0.1875 -0.75 0.375 0.625 -0.5625 -0.5 0.6875 0.375 -0.75 -0.125 0.75 -0.125 -0.75 "
    "0.25 0.75 -0.5 -0.625 0.625 0.375 -0.75 -0.25 0.75 0 -0.75 0.125 0.75 -0.375 -0.625 "
    "0.5 0.5 -0.625 -0.375 0.75 0.125 -0.75 0 0.75 -0.25 -0.75 0.5 0.625 -0.625 -0.5 "
)


def niantic_splat() -> RawSplat:
    """The Gaussians that the files above were written from."""
    means = np.array([1.5, -2.25, 3.125, -100.4, 0.003, 7, 12.25, -0.5, 0.75], np.float32).reshape(3, 3)
    scales = (-5 + 0.4 * np.arange(9, dtype=np.float32)).reshape(3, 3)
    xyzw = np.array([[0.1, -0.2, 0.3, 0.9], [-0.7, 0.1, 0.2, -0.4], [0.5, 0.6, -0.62, 0.1]], np.float32)
    colors = (-1.2 + 0.3 * np.arange(9)).reshape(3, 1, 3)
    harmonics = (np.sin(1.7 * np.arange(135)) * 0.8).reshape(3, 15, 3)
    sh = np.concatenate([colors, harmonics], axis=1).astype(np.float32)
    return RawSplat(means, scales, xyzw[:, (3, 0, 1, 2)], np.array([-2, 0.5, 6], np.float32), sh)


def numbers(text: str) -> np.ndarray:
    return np.array(text.split(), np.float32)


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_file_of_niantics_program_has_the_values_that_it_reads(version):
    splat = decode_spz(base64.b64decode(NIANTIC[version]), "a.spz")
    rotations = numbers(ROTATIONS[min(version, 3)]).reshape(3, 4)[:, (3, 0, 1, 2)]
    near: Any = {"rtol": 1e-5, "atol": 1e-6}  # it was written with six digits
    np.testing.assert_allclose(splat.means.ravel(), numbers(POSITIONS), **near)
    np.testing.assert_allclose(splat.scales.ravel(), numbers(SCALES), **near)
    np.testing.assert_allclose(splat.quats, rotations, **near)
    np.testing.assert_allclose(splat.opacities, numbers(OPACITIES), **near)
    np.testing.assert_allclose(splat.sh[:, 0].ravel(), numbers(COLORS), **near)
    np.testing.assert_allclose(splat.sh[0, 1:].ravel(), numbers(HARMONICS), **near)


def test_the_bytes_are_those_of_niantics_program(tmp_path):
    write_spz(tmp_path / "a.spz", niantic_splat())
    written = gzip.decompress((tmp_path / "a.spz").read_bytes())
    assert written == gzip.decompress(base64.b64decode(NIANTIC[3]))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
def test_round_trip_loses_nothing_but_rounding(tmp_path, version, degree):
    count = 70_000  # several blocks
    splat = random_splat(count, min(degree, 3))
    rng = np.random.default_rng(4)
    sh = rng.uniform(-0.9, 0.9, (count, (degree + 1) ** 2, 3)).astype(np.float32)
    splat = RawSplat(splat.means, splat.scales, splat.quats, splat.opacities, sh)
    write_spz(tmp_path / "a.spz", splat, version)
    back = read_spz(tmp_path / "a.spz")
    assert back.degree == degree
    assert np.abs(back.means - splat.means).max() <= 0.5 / (1 << 13) + 1e-6  # a reach of 4 to 8: 13 bits
    assert np.abs(back.scales - splat.scales).max() <= 0.5 / 16 + 1e-5
    alphas = [1 / (1 + np.exp(-s.opacities.astype(float))) for s in (splat, back)]
    assert np.abs(alphas[0] - alphas[1]).max() <= 0.5 / 255 + 1e-6
    assert np.abs(back.sh[:, 0] - splat.sh[:, 0]).max() <= 0.5 / 255 / 0.15 + 1e-5
    if degree:
        # half a step of 5 bits, and half a step of the rounding to 8 bits before it
        assert np.abs(back.sh[:, 1:4] - splat.sh[:, 1:4]).max() <= 1 / 32 + 1 / 256 + 1e-6
        assert np.abs(back.sh[:, 4:] - splat.sh[:, 4:]).max(initial=0) <= 1 / 16 + 1 / 256 + 1e-6
    same = (back.quats * splat.quats).sum(1) / np.linalg.norm(splat.quats, axis=1)
    assert np.degrees(2 * np.arccos(np.abs(same).clip(0, 1))).max() < 0.4  # half a step of 10 bits in each component


def test_the_file_is_one_gzip_member_that_pythons_gzip_reads(tmp_path):
    """Many readers stop at the end of the first member."""
    write_spz(tmp_path / "a.spz", random_splat(70_000, 1))
    data = (tmp_path / "a.spz").read_bytes()
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert len(inflate.decompress(data)) == 16 + 70_000 * (20 + 9)
    assert inflate.eof
    assert not inflate.unused_data
    assert len(gzip.decompress(data)) == 16 + 70_000 * (20 + 9)


@pytest.mark.parametrize(("reach", "bits"), [(0, 12), (0.9, 16), (20, 12), (2047.9, 12), (2048, 11), (8_000_000, 0)])
def test_bits_behind_the_point_fit_the_reach(tmp_path, reach, bits):
    splat = random_splat(5, 0)
    splat.means[:] = 0
    splat.means[3] = (0, -reach, 0)
    write_spz(tmp_path / "a.spz", splat)
    assert gzip.decompress((tmp_path / "a.spz").read_bytes())[13] == bits
    assert np.abs(read_spz(tmp_path / "a.spz").means[3] - (0, -reach, 0)).max() <= 0.5**bits / 2


def test_a_position_that_does_not_fit_is_refused(tmp_path):
    splat = random_splat(5, 0)
    splat.means[3, 0] = 1e7
    with pytest.raises(InputError, match="SPZ reaches 8 million"):
        write_spz(tmp_path / "a.spz", splat)
    assert not (tmp_path / "a.spz").exists()


def test_values_that_are_not_finite_stay_invisible(tmp_path):
    splat = random_splat(6, 1)
    splat.means[0, 1] = splat.scales[1, 0] = splat.quats[2, 3] = splat.opacities[3] = np.nan
    splat.quats[4] = 0
    splat.opacities[5] = np.inf
    splat.sh[5, 1, 1] = np.nan
    splat.scales[0, 0] = -np.inf
    with warnings.catch_warnings(action="error"):  # one would be printed before the user
        write_spz(tmp_path / "a.spz", splat)
    back = read_spz(tmp_path / "a.spz")
    np.testing.assert_array_equal(back.opacities[:5], -np.inf)
    assert back.opacities[5] == np.inf
    assert back.sh[5, 1, 1] == 0
    for name in ("means", "scales", "quats", "sh"):
        assert np.isfinite(getattr(back, name)).all()


def test_an_empty_splat(tmp_path):
    for version in (3, 4):
        write_spz(tmp_path / "a.spz", random_splat(0, 3), version)
        assert len(read_spz(tmp_path / "a.spz")) == 0


def packed(head: bytes, body: bytes = b"") -> bytes:
    return gzip.compress(head + body)


def head(version=3, count=1, degree=0, fraction=12, flags=0) -> bytes:
    return struct.pack("<4sIIBBBB", b"NGSP", version, count, degree, fraction, flags, 0)


BODY = bytes(20)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no SPZ file"),
        (b"ply\n", "no SPZ file"),
        (b"\x1f\x8b", "no SPZ file, or it is cut short"),
        (b"\x1f\x8b" + bytes(30), "cannot be unpacked"),
        (packed(b"PK" + bytes(30)), "no SPZ file"),
        (packed(head(version=1), BODY), "version 1; versions 2, 3 and 4"),
        (packed(head(version=5), BODY), "version 5; versions 2, 3 and 4"),
        (packed(head(version=4), BODY), "version 4 in the container of version 3"),
        (head(version=3) + bytes(16), "version 3 in the container of version 4"),
        (head(version=4)[:15] + bytes([9]) + bytes(16), "9 streams, not 5"),
        (head(version=4)[:15] + bytes([5]) + struct.pack("<I", 4000) + bytes(12), "its table of streams lies outside"),
        (head(version=4)[:15] + bytes([5]) + struct.pack("<I", 32) + bytes(96), "sizes of its streams"),
        (packed(head(degree=5), BODY), "degree 5"),
        (packed(head(fraction=99), BODY), "99 bits behind the point"),
        (packed(head(count=2), BODY), "it has 20 bytes of 2 Gaussians, not 40"),
        (packed(head(flags=0x80), BODY), "levels of detail"),
        (packed(head(), BODY)[:-9], "cut short"),
        (packed(head(), BODY)[:-8] + bytes(8), "cannot be unpacked"),
    ],
)
def test_damage_is_a_sentence(data, said):
    with pytest.raises(InputError, match=said) as caught:
        decode_spz(data, "a.spz")
    assert caught.value.hint


def test_a_file_that_promises_gigabytes_is_refused_before_it_is_unpacked():
    count = 1 << 28
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    data = deflate.compress(head(count=count) + bytes(300 << 20)) + deflate.flush()
    with pytest.raises(InputError, match="promises 5,368,709,120 bytes"):
        decode_spz(data, "a.spz")


def extension(kind: int, payload: bytes) -> bytes:
    return struct.pack("<II", kind, len(payload)) + payload


def test_an_extension_says_other_axes():
    """Adobe's extension 0xADBE0003 holds the axes. System 6 is RDF, as in a PLY; unknown extensions are skipped."""
    position = np.array([4096, 8192, -4096], "<i4").view("u1").reshape(3, 4)[:, :3].tobytes()  # 1, 2, -1
    body = position + bytes([128, 128, 128, 128, 160, 160, 160]) + struct.pack("<I", 0)
    places = {4: (1, -2, 1), 6: (1, 2, -1), 8: (1, -2, -1), 0: (1, -2, 1)}
    for system, place in places.items():
        more = extension(0x12340001, b"abc") + extension(0xADBE0003, struct.pack("<I", system))
        splat = decode_spz(packed(head(flags=2), body + more), "a.spz")
        np.testing.assert_array_equal(splat.means[0], place)
    np.testing.assert_array_equal(decode_spz(packed(head(), body), "a.spz", ply_axes=False).means[0], (1, 2, -1))
    more = extension(0xADBE0003, struct.pack("<I", 10))
    with pytest.raises(InputError, match="axes that are not read"):
        decode_spz(packed(head(flags=2), body + more), "a.spz")


def test_version_4_without_zstandard_says_what_to_install(monkeypatch, tmp_path):
    for name in ("compression", "compression.zstd", "backports", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EnvironmentLacksError, match=r"needs the package backports\.zstd") as caught:
        decode_spz(base64.b64decode(NIANTIC[4]), "a.spz")
    assert "bgs-engine[formats]" in caught.value.hint
    with pytest.raises(EnvironmentLacksError):
        write_spz(tmp_path / "a.spz", niantic_splat(), 4)
    assert not list(tmp_path.iterdir())


def test_the_ending_says_the_version_to_write_and_the_first_bytes_the_one_to_read(tmp_path):
    rows = niantic_splat().to_ply(tmp_path / "a.ply")
    for name, version in (("a.spz", 3), ("a.v4.spz", 4)):
        assert write_splat(tmp_path / name, rows, None).labels_file is None
        data = (tmp_path / name).read_bytes()
        assert (data if version == 4 else gzip.decompress(data))[4] == version
    (tmp_path / "b.spz").write_bytes((tmp_path / "a.v4.spz").read_bytes())
    (tmp_path / "b.v4.spz").write_bytes((tmp_path / "a.spz").read_bytes())
    assert [open_splat(tmp_path / name).format for name in ("b.spz", "b.v4.spz")] == [FORMAT_4, FORMAT]


def test_a_splat_far_from_the_origin_is_moved_there_and_that_is_said(tmp_path):
    far = random_splat(20, 0, (500_000, 0, 4_000_000))
    rows = far.to_ply(tmp_path / "a.ply")
    assert "moved by -500,000, 0, -4,000,000" in losses(FORMAT, rows)
    write_spz(tmp_path / "a.spz", far)
    assert np.abs(read_spz(tmp_path / "a.spz").means - far.means).max() < 1e-3
