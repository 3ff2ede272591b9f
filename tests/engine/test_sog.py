"""SOG files of versions 1 and 2: the same values as PlayCanvas' program reads, and nothing lost but what is said."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL", reason="the package pillow is missing: pip install 'bgs-engine[formats]'")

from bgs_engine.core.errors import InputError
from bgs_engine.formats import sog_files, sog_palette
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.read import open_splat
from bgs_engine.formats.sog import FORMAT, FORMAT_FOLDER, read_sog, write_sog
from bgs_engine.formats.sog_files import webp
from tests.engine.test_raw_splat import random_splat


def files_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def pixels(*rows) -> bytes:
    return webp(np.array([rows], np.uint8))


def two_gaussians() -> dict[str, bytes]:
    """A file of version 2 made by hand. Its values are those that splat-transform 2.7.1 reads from the same bytes."""
    meta = {
        "version": 2,
        "count": 2,
        "means": {"mins": [-1, 0, 2], "maxs": [1, 0, 3], "files": ["l.webp", "u.webp"]},
        "scales": {"codebook": [-5.0, -4.0, -1.5], "files": ["s.webp"]},
        "quats": {"files": ["q.webp"]},
        "sh0": {"codebook": [0.25, 0.5, -1.0], "files": ["c.webp"]},
        "shN": {"count": 3, "bands": 1, "codebook": [0.0, 0.125, -0.5], "files": ["p.webp", "n.webp"]},
    }
    palette = np.zeros((1, 192, 3), np.uint8)
    palette[0, 3:6] = ((1, 2, 0), (0, 1, 2), (2, 2, 1))  # the second of the three entries
    return {
        "meta.json": json.dumps(meta).encode(),
        "l.webp": pixels((255, 0, 0, 255), (0, 0, 255, 255)),
        "u.webp": pixels((255, 0, 0, 255), (0, 0, 255, 255)),
        "s.webp": pixels((0, 1, 2, 255), (2, 2, 2, 255)),
        "q.webp": pixels((0, 255, 255, 253), (7, 7, 7, 9)),
        "c.webp": pixels((0, 1, 2, 0), (2, 1, 0, 51)),
        "p.webp": webp(palette),
        "n.webp": pixels((1, 0, 0, 255), (200, 200, 0, 255)),
    }


def check_two(splat: RawSplat, opacities: tuple[float, float]) -> None:
    e = np.e
    np.testing.assert_allclose(splat.means, [[e - 1, 0, e**2 - 1], [1 - e, 0, e**3 - 1]], rtol=1e-6)
    np.testing.assert_allclose(splat.scales, [[-5, -4, -1.5], [-1.5, -1.5, -1.5]])
    root = np.sqrt(0.5)  # three components of that length leave nothing for the fourth
    np.testing.assert_allclose(splat.quats, [[-root, 0, root, root], [1, 0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(splat.sh[:, 0], [[0.25, 0.5, -1], [-1, 0.5, 0.25]])
    np.testing.assert_allclose(splat.sh[0, 1:], [[0.125, -0.5, 0], [0, 0.125, -0.5], [-0.5, -0.5, 0.125]])
    np.testing.assert_array_equal(splat.sh[1, 1:], 0)  # a number beyond the palette
    np.testing.assert_allclose(splat.opacities, opacities, rtol=1e-5)


def test_version_2_in_a_zip_and_in_a_folder(tmp_path):
    files = two_gaussians()
    (tmp_path / "a.sog").write_bytes(sog_files.zipped(files))
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    logits = (-13.815510, np.log(0.2 / 0.8))  # 0 counts as a millionth
    check_two(read_sog(tmp_path / "a.sog"), logits)
    check_two(read_sog(tmp_path / "meta.json"), logits)
    assert open_splat(tmp_path).format == FORMAT_FOLDER
    assert open_splat(tmp_path / "a.sog").format == FORMAT


def test_version_1_has_bounds_in_place_of_codebooks(tmp_path):
    files = two_gaussians()
    meta = json.loads(files["meta.json"])
    del meta["version"], meta["count"]
    meta["means"]["shape"] = [2, 3]
    meta["scales"] = {"mins": [-5] * 3, "maxs": [250] * 3, "files": ["s.webp"]}
    meta["sh0"] = {"mins": [0] * 4, "maxs": [255] * 4, "files": ["c.webp"]}
    meta["shN"] = {"mins": -10, "maxs": 245, "files": ["p.webp", "n.webp"]}
    files["meta.json"] = json.dumps(meta).encode()
    (tmp_path / "a.sog").write_bytes(sog_files.zipped(files))
    splat = read_sog(tmp_path / "a.sog")
    near: Any = {"rtol": 1e-5, "atol": 1e-4}
    np.testing.assert_allclose(splat.scales, [[-5, -4, -3], [-3, -3, -3]], **near)
    np.testing.assert_allclose(splat.sh[:, 0], [[0, 1, 2], [2, 1, 0]], **near)
    np.testing.assert_allclose(splat.opacities, [0, 51], **near)
    np.testing.assert_allclose(splat.sh[0, 1:], [[-9, -8, -10], [-10, -9, -8], [-8, -8, -9]], **near)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip_loses_no_more_than_is_said(tmp_path, degree):
    splat = random_splat(3000, degree)
    order = write_sog(tmp_path / "a.sog", splat)
    assert sorted(order.tolist()) == list(range(3000))
    want, back = splat.take(order), read_sog(tmp_path / "a.sog")
    assert back.degree == degree
    logs = [np.sign(s.means) * np.log1p(np.abs(s.means)) for s in (want, back)]
    assert (np.abs(logs[0] - logs[1]).max(0) <= np.ptp(logs[0], axis=0) / 65535 / 2 + 1e-6).all()
    same = np.abs((back.quats * want.quats).sum(1)) / np.linalg.norm(want.quats, axis=1)
    assert np.degrees(2 * np.arccos(same.clip(0, 1))).max() < 1.2  # half a step of 8 bits in each component
    alphas = [1 / (1 + np.exp(-s.opacities.astype(float))) for s in (want, back)]
    assert np.abs(alphas[0] - alphas[1]).max() <= 0.5 / 255 + 1e-6
    # 256 values over 8 standard deviations: 1/32 each if they lay evenly, and k-means is better than that
    assert np.sqrt(np.square(back.scales - want.scales).mean()) < 1 / 32 / np.sqrt(12)
    assert np.sqrt(np.square(back.sh[:, 0] - want.sh[:, 0]).mean()) < 1 / 32 / np.sqrt(12)
    if degree:  # 2048 entries for 3000 rows of noise
        assert np.sqrt(np.square(back.sh[:, 1:] - want.sh[:, 1:]).mean()) < 0.8


def test_few_sets_of_harmonics_are_kept_but_for_the_codebook(tmp_path):
    kinds = random_splat(32, 3).sh.round(1)  # some hundred different numbers at most
    splat = random_splat(2000, 3)
    splat.sh[:] = kinds[np.arange(2000) % 32]
    order = write_sog(tmp_path / "a.sog", splat)
    assert np.abs(read_sog(tmp_path / "a.sog").sh[:, 1:] - splat.sh[order, 1:]).max() < 1e-4


def test_transparent_pixels_keep_their_colours(tmp_path):
    splat = random_splat(100, 0)
    splat.opacities[:] = -np.inf
    order = write_sog(tmp_path / "a.sog", splat)
    assert np.abs(read_sog(tmp_path / "a.sog").sh[:, 0] - splat.sh[order, 0]).max() < 0.05


def test_values_that_are_not_finite_stay_invisible(tmp_path):
    splat = random_splat(40, 1)
    splat.means[0, 1] = splat.scales[1, 0] = splat.quats[2, 3] = splat.opacities[3] = np.nan
    splat.means[4] = np.inf
    splat.quats[5] = 0
    splat.sh[6, 1], splat.sh[7, 1], splat.sh[8, 0] = np.inf, -np.inf, np.nan
    order = write_sog(tmp_path / "a.sog", splat)
    back = read_sog(tmp_path / "a.sog")
    assert (back.opacities[np.isin(order, range(6))] < -13).all()
    for name in ("means", "scales", "quats", "opacities", "sh"):
        assert np.isfinite(getattr(back, name)).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 65])
def test_small_splats(tmp_path, count):
    order = write_sog(tmp_path / "a.sog", random_splat(count, 2))
    assert len(read_sog(tmp_path / "a.sog")) == len(order) == count


def test_degree_4_is_written_as_3(tmp_path):
    splat = random_splat(20, 1)
    sh = np.random.default_rng(0).normal(size=(20, 25, 3)).astype(np.float32)
    write_sog(tmp_path / "a.sog", RawSplat(splat.means, splat.scales, splat.quats, splat.opacities, sh))
    assert read_sog(tmp_path / "a.sog").degree == 3


def test_equal_splats_give_equal_files(tmp_path):
    for name in ("a.sog", "b.sog"):
        write_sog(tmp_path / name, random_splat(500, 1))
    assert (tmp_path / "a.sog").read_bytes() == (tmp_path / "b.sog").read_bytes()


def changed(**parts) -> dict[str, bytes]:
    """The two Gaussians with other parts of meta.json."""
    files = two_gaussians()
    files["meta.json"] = json.dumps(json.loads(files["meta.json"]) | parts).encode()
    return files


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no meta.json"),
        ({"meta.json": b"{"}, "not valid JSON"),
        ({"meta.json": b"[]"}, "describes no splat"),
        ({"meta.json": b"{}"}, "does not describe a splat"),
        (changed(version=3), "version 3; versions 1 and 2"),
        (changed(count=-1), "does not describe a splat"),
        (changed(count=3), "1 pixels, which do not fit|2x1 pixels, which do not fit"),
        (changed(count=10**9), "promises 20,000,000,000 bytes"),
        (changed(quats={"files": ["../q.webp"]}), "no name of a file"),
        (changed(quats={"files": ["x.webp"]}), "has no x.webp"),
        (changed(quats={"files": ["meta.json"]}), "meta.json is no WebP picture"),
        (changed(scales={"codebook": [0.0] * 257, "files": ["s.webp"]}), "256 numbers expected"),
        (two_gaussians() | {"q.webp": two_gaussians()["q.webp"][:-4]}, "q.webp is damaged"),
        (two_gaussians() | {"p.webp": webp(np.zeros((1, 191, 3), np.uint8))}, "191x1 pixels"),
        (two_gaussians() | {"q.webp": webp(np.zeros((4000, 4000, 3), np.uint8))}, "4000x4000 pixels"),
    ],
)
def test_damage_is_a_sentence(tmp_path, files, said):
    (tmp_path / "a.sog").write_bytes(sog_files.zipped(files))
    with pytest.raises(InputError, match=said) as caught:
        read_sog(tmp_path / "a.sog")
    assert caught.value.hint


def test_no_zip_is_a_sentence(tmp_path):
    (tmp_path / "a.sog").write_bytes(b"PK\x03\x04" + bytes(50))
    with pytest.raises(InputError, match="no SOG file, or it is damaged"):
        read_sog(tmp_path / "a.sog")


def test_a_zip_that_promises_gigabytes_is_refused(tmp_path):
    files = two_gaussians()
    with zipfile.ZipFile(tmp_path / "a.sog", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("meta.json", files["meta.json"] + b" " * (20 << 20))
    with pytest.raises(InputError, match="bytes, too many"):
        read_sog(tmp_path / "a.sog")


def test_a_codebook_is_as_good_as_lloyds():
    """Of a normal distribution the best 256 values leave 2.7207 / 256^2 of the variance (Panter and Dite)."""
    values = np.random.default_rng(0).normal(size=300_000).astype(np.float32)
    numbers, codes = sog_palette.codebook(values)
    assert (np.diff(numbers) >= 0).all()
    assert np.square(numbers[codes] - values).mean() < 1.1 * 2.7207 / 256**2
    assert sog_palette.codebook(np.full(9, 3, np.float32))[0][0] == 3


def test_a_palette_finds_separate_groups():
    rng = np.random.default_rng(1)
    middles = rng.normal(size=(512, 24)).astype(np.float32)
    rows = middles[rng.integers(0, 512, 40_000)] + rng.normal(0, 0.001, (40_000, 24)).astype(np.float32)
    entries, labels = sog_palette.palette(rows, 4096)
    assert entries.shape == (4096, 24)
    assert np.square(entries[labels] - rows).mean() < 1e-5  # noise alone would be 1e-6, a missed group 2


def test_no_picture_is_a_sentence_about_the_folder(tmp_path):
    for name, data in {**two_gaussians(), "l.webp": b"\x89PNG\r\n\x1a\n"}.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=rf"^{tmp_path.name}: l.webp is no WebP picture\. "):
        read_sog(tmp_path / "meta.json")
