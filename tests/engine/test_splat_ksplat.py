"""`.splat` and `.ksplat`: values as other programs decode them, and every damage named."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.errors import InputError
from bgs_engine.formats.ksplat import read_ksplat
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.read import open_splat
from bgs_engine.formats.splat import read_splat, write_splat
from tests.helpers.made_ksplat import ksplat_bytes

# Two Gaussians of a .splat, and what @playcanvas/splat-transform 3.7.0 reads. It takes bytes of rotations as shares of
# 255 and antimatter15 as 128 and 128ths, so its quaternions differ by up to 1/255.
SPLAT = bytes.fromhex(
    "0c02bb408941c040cdcc4cbeba25943b2760033c77cee83b428199a781e3abc5"
    "7f6abc3da01aaf3f04560ec03d4a483d21caf93d5567a43e6da56aa18ef59ea9"
)
THEIR_SPLAT = {
    "means": [[5.844, 6.008, -0.2], [0.092, 1.368, -2.224]],
    "scales": [[-5.399, -4.826, -4.947], [-3.018, -2.104, -1.136]],
    "opacities": [0.640657, 0.5381096],
    "sh": [[-0.85494834, 0.020852398, 0.35449076], [-0.2571796, 0.52131, -0.29888436]],
}
THEIR_QUATS = [[0.011633501, 0.7716889, 0.33737153, 0.53901887], [0.11230866, 0.9100874, 0.23623545, 0.32143512]]

# Three Gaussians of degree 1, written by @mkkellogg/gaussian-splats-3d 0.4.7, and what splat-transform reads of them.
# The data of the one section: the size of its one bucket, its centre, and the rows.
ROWS = {
    1: "03000000045606409643eb3f62101840481ff93e2a09e324e433ce2b56ab49b8f8350a3a8081378074afb9b84bb118b0"
       "e735b8b6b23765b8cb396006cc0d86198220db29f723c7ba3eb00cb8b6ad93d6967dc2367aa80c2eba36663960a1dbb4"
       "5ab2df3400000000000016342f2c6d232eb87db6bdb85a37745971375db86fb8fdbb6bb9ae385a30332fbc3568b8",
    2: "03000000045606409643eb3f62101840481ff93e2a09e324e433ce2b56ab49b8f8350a3a80813780823c7b80ca55da42"
       "ff6006cc0d86198220db29f723c7ba3eb00cb8b6ad93d6967dd28ea1d2f7926676c000000000000016342f2c6d232eb8"
       "7db6bdb85a37745971374341002feaa7a4c842",
}  # fmt: skip
THEIR_KSPLAT = {
    "means": [[0.20998053, 0.5679723, 0.054990984], [-0.2764845, -0.3925215, 0.37451977],
              [-0.40100002, -0.66199994, -0.12400007]],
    "scales": [[-3.9586563, -1.4000605, -2.7973058], [-4.7325125, -3.084654, -4.163287],
               [-1.3650376, -2.7277124, -4.2333665]],
    "quats": [[-0.05731201, -0.53564453, 0.37304688, 0.7548828], [-0.84716797, -0.13256836, -0.5058594, -0.0892334],
              [-0.52246094, -0.40551758, -0.59228516, 0.45947266]],
    "opacities": [0.007843178, -0.039220713, -1.2909842],
}  # fmt: skip
THEIR_SH = {  # of the first Gaussian, coefficient by coefficient
    1: [0.0069507994, 0.020852398, -1.0078659, -0.11645508, -0.12792969, 0.48095703, -0.59033203, 0.36889648,
        -0.5493164, -0.16540527, -0.41992188, 0.7241211],
    2: [0.0069507994, 0.020852398, -1.0078659, -0.120352946, -0.1338706, 0.47442353, -0.5934706, 0.36628234,
        -0.55291766, -0.1676647, -0.42450002, 0.7245],
}  # fmt: skip
LIMITS = "77be7fbfd578393f"  # float32 -0.999 and 0.7245


def theirs(level: int) -> bytes:
    """The file of GaussianSplats3D: its header, the header of its section, and the data."""
    header = bytearray(4096)
    header[1] = 1
    for at in (4, 8):
        header[at] = 1  # sections
    for at in (12, 16):
        header[at] = 3  # Gaussians
    header[20] = level
    header[36:44] = bytes.fromhex(LIMITS)
    section = np.zeros(256, "<u4")
    section[[0, 1, 2, 3, 5, 6, 8, 9, 10]] = (3, 3, 256, 1, 12, 32767, 0, 1, 1)
    section[4] = np.float32(5).view(np.uint32)
    return bytes(header) + section.tobytes() + bytes.fromhex(ROWS[level])


def random_splat(count: int, degree: int) -> RawSplat:
    rng = np.random.default_rng(degree)
    draw = lambda *shape: rng.normal(size=(count, *shape)).astype(np.float32)  # noqa: E731
    return RawSplat(draw(3) * 3, draw(3) - 3, draw(4), draw(1).ravel(), draw((degree + 1) ** 2, 3) / 4)


def test_a_splat_is_read_as_other_programs_read_it(tmp_path: Path) -> None:
    (tmp_path / "a.splat").write_bytes(SPLAT)
    splat = read_splat(tmp_path / "a.splat")
    for name, values in THEIR_SPLAT.items():
        np.testing.assert_array_equal(getattr(splat, name).reshape(2, -1), np.array(values, np.float32).reshape(2, -1))
    unit = splat.quats / np.linalg.norm(splat.quats, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, THEIR_QUATS, atol=1.5 / 255)
    np.testing.assert_array_equal(splat.quats[0] * 128 + 128, [0x81, 0xE3, 0xAB, 0xC5])
    assert open_splat(tmp_path / "a.splat").format.name.startswith("splat")
    write_splat(tmp_path / "b.splat", splat)  # what was read is written with the same bytes of place, shape and colour
    again = np.frombuffer((tmp_path / "b.splat").read_bytes(), "u1").reshape(2, 32)
    assert np.abs(again[:, 24:].astype(int) - np.frombuffer(SPLAT, "u1").reshape(2, 32)[:, 24:]).max() <= 1
    np.testing.assert_array_equal(again[:, :12], np.frombuffer(SPLAT, "u1").reshape(2, 32)[:, :12])


def test_what_is_written_is_read_within_a_step(tmp_path: Path) -> None:
    splat = random_splat(40_000, 2)
    write_splat(tmp_path / "a.splat", splat)
    assert (tmp_path / "a.splat").stat().st_size == 32 * 40_000
    back = read_splat(tmp_path / "a.splat")
    np.testing.assert_array_equal(back.means, splat.means)
    np.testing.assert_allclose(back.scales, splat.scales, atol=1e-6)  # exp and log, each rounded to float32
    shade = lambda one: (one.sh[:, 0] * 0.28209479 + 0.5).clip(0, 1)  # noqa: E731
    assert np.abs(shade(back) - shade(splat)).max() <= 0.5 / 255 + 1e-6
    alpha = lambda one: 1 / (1 + np.exp(-one.opacities.astype(float)))  # noqa: E731
    assert np.abs(alpha(back) - alpha(splat)).max() <= 0.5 / 255 + 2e-6
    unit = splat.quats / np.linalg.norm(splat.quats, axis=1, keepdims=True)
    assert (
        np.abs(back.quats - unit).max() <= 1 / 128 + 1e-6
    )  # half a step; 1 is a whole step more than the largest byte


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    splat = random_splat(9, 0)
    splat.means[0], splat.scales[1, 1], splat.quats[2], splat.quats[3, 2] = np.nan, np.nan, 0, np.inf
    splat.opacities[[4, 5]], splat.scales[6], splat.sh[7] = (np.inf, -np.inf), (-np.inf, np.inf, 0), np.nan
    write_splat(tmp_path / "a.splat", splat)
    back = read_splat(tmp_path / "a.splat")
    assert all(np.isfinite(getattr(back, name)).all() for name in ("means", "scales", "quats", "opacities", "sh"))
    assert (back.opacities[[0, 1, 2, 3, 5]] < -13).all() and back.opacities[4] > 13


def test_a_splat_far_from_the_origin_stays_there(tmp_path: Path) -> None:
    splat = random_splat(300, 0)
    far = RawSplat(splat.means, splat.scales, splat.quats, splat.opacities, splat.sh, np.array([500_000.0, 0, 0]))
    write_splat(tmp_path / "a.splat", far)
    back = read_splat(tmp_path / "a.splat")
    # float32 numbers are 1/32 apart there.
    assert back.offset[0] and np.abs(back.means + back.offset - far.means - far.offset).max() <= 1 / 32


@pytest.mark.parametrize(("data", "said"), [(b"", "is empty"), (SPLAT[:-1], "63 bytes are no multiple of 32")])
def test_damaged_splats_are_named(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.splat").write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_splat(tmp_path / "a.splat")


@pytest.mark.parametrize("level", [1, 2])
def test_a_ksplat_is_read_as_other_programs_read_it(tmp_path: Path, level: int) -> None:
    (tmp_path / "a.ksplat").write_bytes(theirs(level))
    splat = open_splat(tmp_path / "a.ksplat")
    assert splat.format.write is None
    read = RawSplat.of_ply(splat.ply)
    for name, values in THEIR_KSPLAT.items():
        np.testing.assert_array_equal(getattr(read, name), np.array(values, np.float32))
    np.testing.assert_array_equal(read.sh[0].ravel(), np.array(THEIR_SH[level], np.float32))


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("sections", [[(500, 2)], [(200, 1), (300, 2)], [(60, 0), (40, 1), (400, 0)], [(500, 0)]])
def test_sections_buckets_and_levels(tmp_path: Path, level: int, sections: list[tuple[int, int]]) -> None:
    splat = random_splat(500, 2)
    data, order = ksplat_bytes(splat, level, sections, limits=(-1.5, 1.25))
    (tmp_path / "a.ksplat").write_bytes(data)
    back, wanted = read_ksplat(tmp_path / "a.ksplat"), splat.take(order)
    assert back.degree == max(degree for _, degree in sections)
    # Steps of a block of 2 units: 1 / 32767. float16 has 11 bits, float32 24.
    assert np.abs(back.means - wanted.means).max() <= (0.51 / 32767 if level else 0)
    half = 2.0**-11 if level else 2.0**-22
    np.testing.assert_allclose(np.exp(back.scales), np.exp(wanted.scales), rtol=half)
    np.testing.assert_allclose(back.quats, wanted.quats, rtol=half, atol=1e-6)
    first = 0
    for count, degree in sections:
        k = (degree + 1) ** 2
        rows = slice(first, first + count)
        step = (2.75 / 255 / 2 if level == 2 else half * 2) + 1e-6
        assert np.abs(back.sh[rows, 1:k] - wanted.sh[rows, 1:k].clip(-1.5, 1.25)).max(initial=0) <= step
        assert not back.sh[rows, k:].any()  # a section of a lower degree
        first += count


def test_limits_that_the_header_does_not_say(tmp_path: Path) -> None:
    data, order = ksplat_bytes(random_splat(50, 1), 2, [(50, 1)], limits=(-1.5, 1.5))
    (tmp_path / "a.ksplat").write_bytes(data[:36] + bytes(8) + data[44:])
    assert np.abs(read_ksplat(tmp_path / "a.ksplat").sh[:, 1:] - random_splat(50, 1).sh[order, 1:]).max() < 0.01


def changed(at: int, value: int, kind: str = "<u4", section: bool = True) -> bytes:
    data = bytearray(theirs(1))
    packed = np.array([value], kind).tobytes()
    at += 4096 * section
    data[at : at + len(packed)] = packed
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0\1", "4,096 bytes at least"),
        (theirs(1)[:-1], "is cut short"),
        (theirs(1)[:4500], "is cut short"),
        (changed(0, 1, "u1", section=False), r"version 1\.1"),
        (changed(1, 2, "u1", section=False), r"version 0\.2"),
        (changed(20, 3, "<u2", section=False), "compression level 3"),
        (changed(16, 4, section=False), "promises 4 Gaussians, but its sections 3"),
        (changed(4, 2**31, section=False), "is cut short"),
        (changed(0, 0), "holds no Gaussians"),
        (changed(0, 4), "does not fit its Gaussians"),
        (changed(4, 2**31), "is cut short"),
        (changed(12, 2**31), "is cut short"),
        (changed(36, 0), "fewer buckets than its Gaussians need"),
        (changed(40, 3, "<u2"), "degree 3; 0 to 2"),
        (changed(20, 11, "<u2"), "does not fit its Gaussians"),
    ],
)
def test_damaged_ksplats_are_named(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.ksplat").write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_ksplat(tmp_path / "a.ksplat")
