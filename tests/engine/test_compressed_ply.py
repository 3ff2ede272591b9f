"""The compressed PLY of SuperSplat: values as its own program decodes them, rounding within the format's steps."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.errors import InputError
from bgs_engine.formats.compressed_ply import read_compressed, write_compressed
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.read import open_splat
from bgs_engine.io.ply import read_ply

NAMES = ("means", "scales", "quats", "opacities", "sh")
BOUNDS = [f"{end}_{what}{axis}" for what, axes in (("", "xyz"), ("scale_", "xyz"), ("", "rgb"))
          for end in ("min", "max") for axis in axes]  # fmt: skip
WORDS = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]

# Three Gaussians of degree 1, coded and decoded by @playcanvas/splat-transform 3.7.0.
THEIR_BOUNDS = [
    -0.8019999861717224, -1.3240000009536743, -0.24799999594688416, 0.41999998688697815, 1.1360000371932983,
    0.7490000128746033, -4.73199987411499, -3.0840001106262207, -4.232999801635742, -1.3650000095367432,
    -1.399999976158142, -2.796999931335449, 0.21818730235099792, 0.38152018189430237, 0.3445657789707184,
    0.45331332087516785, 0.5383648872375488, 0.7043776512145996,
]  # fmt: skip
THEIR_WORDS = [[0x0, 0xB7AC94B3, 0xFFE6C800, 0x6CC56A9F], [0xFFFFFADF, 0xDD61F30D, 0x3AFFFFFF, 0xFF00FF],
               [0x342707FF, 0x25FDBA40, 0x64, 0xFF00FF0C]]  # fmt: skip
THEIR_BYTES = [[123, 110, 110, 111, 106, 146, 121, 131, 139], [128, 124, 109, 128, 123, 139, 96, 143, 110],
               [137, 141, 126, 166, 141, 149, 138, 118, 121]]  # fmt: skip
DECODED = [  # x y z, rot, scale, opacity, f_dc, f_rest, as it writes them into a PLY
    [-0.802, -1.324, -0.248, 0.5232452, 0.40573967, 0.5918682, -0.45965397, -1.365, -2.726788, -4.233, 0.504556,
     -0.6459882, 0.009537239, -0.020792175, -0.140625, -0.546875, -0.546875, -0.515625, -0.671875, 0.578125, -0.203125,
     0.109375, 0.359375],
    [0.42, 1.136, 0.10998486, -0.057370346, -0.53568697, 0.37256163, 0.75560963, -3.9572773, -1.4, -2.797, np.inf,
     -0.999, 0.13599998, -0.55099994, 0.015625, -0.109375, -0.578125, 0.015625, -0.140625, 0.359375, -0.984375,
     0.484375, -0.546875],
    [-0.55306304, -0.78534895, 0.749, 0.84730124, 0.13202092, 0.50665617, 0.089165956, -4.732, -3.084, -4.1628485,
     -3.0081549, -0.16549997, -0.42000002, 0.7244999, 0.296875, 0.421875, -0.046875, 1.203125, 0.421875, 0.671875,
     0.328125, -0.296875, -0.203125],
]  # fmt: skip
DECODED_NAMES = ["x", "y", "z", "rot_0", "rot_1", "rot_2", "rot_3", "scale_0", "scale_1", "scale_2", "opacity",
                 "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{k}" for k in range(9))]  # fmt: skip


def file_bytes(bounds: list[str] | None = None, count: int = 3, chunks: int = 1, rest: int = 9, sh: int = 3) -> bytes:
    """The file above, as its header may have it."""
    bounds = BOUNDS if bounds is None else bounds
    lines = ["ply", "format binary_little_endian 1.0", "comment made elsewhere", f"element chunk {chunks}"]
    lines += [f"property float {name}" for name in bounds] + [f"element vertex {count}"]
    lines += [f"property uint {name}" for name in WORDS]
    if rest:
        lines += [f"element sh {sh}", *(f"property uchar f_rest_{k}" for k in range(rest))]
    values = np.array([THEIR_BOUNDS[BOUNDS.index(name)] for name in bounds], "<f4")
    data = values.tobytes() + np.array(THEIR_WORDS, "<u4").tobytes() + np.array(THEIR_BYTES, "u1")[:, :rest].tobytes()
    return "\n".join([*lines, "end_header\n"]).encode() + data


def random_splat(count: int, degree: int, seed: int = 0) -> RawSplat:
    rng = np.random.default_rng(seed)
    draw = lambda *shape: rng.normal(size=(count, *shape)).astype(np.float32)  # noqa: E731
    return RawSplat(draw(3), draw(3) - 3, draw(4), draw(1).ravel(), draw((degree + 1) ** 2, 3) / 3)


def test_values_are_those_of_the_program_that_made_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(file_bytes())
    ply = read_ply(tmp_path / "a.ply")
    assert ply.comments == ("comment made elsewhere",) and ply.rest_count == 9
    np.testing.assert_array_equal(ply.columns(DECODED_NAMES), np.array(DECODED, np.float32))  # to the last bit
    assert len(open_splat(tmp_path / "a.ply").ply.take(np.array([2, 0]))) == 2
    (tmp_path / "b.compressed.ply").write_bytes(file_bytes())
    assert open_splat(tmp_path / "b.compressed.ply").ply.count == 3


def test_files_without_bounds_of_colours_or_without_harmonics(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(file_bytes(BOUNDS[:12], rest=0))
    splat = RawSplat.of_ply(read_ply(tmp_path / "a.ply"))
    assert splat.degree == 0
    # The first colour is 0x6c, 0xc5, 0x6a of 255; 0.2820947917738781 is the constant harmonic.
    wanted = (np.array([0x6C, 0xC5, 0x6A]) / 255 - 0.5) / 0.28209479177387814
    np.testing.assert_allclose(splat.sh[0, 0], wanted, rtol=1e-6)  # one rounding to float32
    np.testing.assert_array_equal(splat.means, np.array(DECODED, np.float32)[:, :3])


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 255, 256, 257, 9000])
def test_what_is_written_is_read_within_a_step(tmp_path: Path, count: int, degree: int) -> None:
    splat = random_splat(count, degree)
    order = write_compressed(tmp_path / "a.compressed.ply", splat)
    assert sorted(order.tolist()) == list(range(count))
    back, wanted = read_compressed(tmp_path / "a.compressed.ply"), splat.take(order)
    assert back.degree == min(degree, 3)
    for name, bits in (("means", (11, 10, 11)), ("scales", (11, 10, 11))):
        have, want = getattr(back, name), getattr(wanted, name)
        for start in range(0, count, 256):  # half a step of each chunk's own extent, and a rounding to float32
            part = want[start : start + 256]
            step = (part.max(0) - part.min(0)) / (2 ** np.array(bits) - 1)
            assert (np.abs(have[start : start + 256] - part) <= step / 2 + 1e-6).all()
    unit = wanted.quats / np.linalg.norm(wanted.quats, axis=1, keepdims=True)
    # Half a step is 1 / 1023 / sqrt(2) in each of three components; the fourth follows them. Twice that covers all.
    assert (1 - np.abs((unit * back.quats).sum(1)) < 3 * (2 / 1023 / np.sqrt(2)) ** 2).all()
    alpha = lambda logits: 1 / (1 + np.exp(-logits.astype(float)))  # noqa: E731
    assert np.abs(alpha(back.opacities) - alpha(wanted.opacities)).max() <= 0.5 / 255 + 1e-6
    if degree:
        k = min(wanted.sh.shape[1], 16)
        assert np.abs(back.sh[:, 1:k] - wanted.sh[:, 1:k].clip(-4, 4)).max() <= 1 / 32  # 256 steps from -4 to 4


def test_order_keeps_neighbours_together(tmp_path: Path) -> None:
    """Rows in a random order would have chunks as large as the splat: then this error is ten times as large."""
    splat = random_splat(20_000, 0)
    order = write_compressed(tmp_path / "a.compressed.ply", splat)
    error = np.abs(read_compressed(tmp_path / "a.compressed.ply").means - splat.means[order])
    assert np.median(error) < np.ptp(splat.means) / 1023 / 20


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    splat = random_splat(300, 1)
    splat.means[7], splat.scales[8, 1], splat.quats[9], splat.quats[10, 2] = np.nan, np.nan, 0, np.inf
    splat.opacities[[11, 12]], splat.scales[13], splat.sh[14] = (np.inf, -np.inf), -np.inf, np.nan
    order = write_compressed(tmp_path / "a.compressed.ply", splat).tolist()
    back = read_compressed(tmp_path / "a.compressed.ply").take(np.argsort(order))
    assert all(np.isfinite(getattr(back, name)).all() for name in ("means", "scales", "quats", "sh"))
    assert (back.opacities[[7, 8, 9, 10, 12]] == -np.inf).all() and back.opacities[11] == np.inf
    assert np.ptp(back.means) <= np.ptp(splat.means[np.isfinite(splat.means).all(1)])  # none was moved far away
    assert (back.scales[13] <= -19.9).all()  # -20 is the smallest there, and steps are below 0.1


def test_a_splat_far_from_the_origin_stays_there(tmp_path: Path) -> None:
    splat = random_splat(300, 0)
    far = RawSplat(splat.means, splat.scales, splat.quats, splat.opacities, splat.sh, np.array([500_000.0, 0, 0]))
    order = write_compressed(tmp_path / "a.compressed.ply", far)
    back = read_compressed(tmp_path / "a.compressed.ply")
    assert back.offset[0] == pytest.approx(500_000, abs=10)
    # float32 numbers are 1/32 apart there.
    assert np.abs(back.means + back.offset - far.means[order] - far.offset).max() < 1 / 32


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (file_bytes()[:-5], "is cut short"),
        (file_bytes(count=2**40), "is cut short"),
        (file_bytes(count=0), "holds no Gaussians"),
        (file_bytes(chunks=0), "without the bounds of all its chunks"),
        (file_bytes(BOUNDS[1:]), "lacks min_x"),
        (file_bytes(rest=8), "not those of degree 1, 2 or 3"),
        (file_bytes(sh=2), "harmonics of 2 Gaussians, but 3"),
        (file_bytes().replace(b"uint packed_scale", b"float packed_scale"), "another type of packed_scale"),
        (file_bytes().replace(b"binary_little_endian", b"binary_big_endian"), "in a form that nobody writes"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_ply(tmp_path / "a.ply")
