"""The arrays that all formats are read into: the same values as the PLY has, and back."""

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.label_table import LabelTable
from bgs_engine.formats.raw_splat import RawSplat, SplatLabels
from bgs_engine.io.ply import read_ply, write_ply
from bgs_engine.io.run_folder import codes_in


def random_splat(count, degree, offset=(0, 0, 0)):
    rng = np.random.default_rng(degree)
    draw = lambda *shape: rng.normal(size=(count, *shape)).astype(np.float32)  # noqa: E731
    layout = BitLayout((12, 10, 10))
    labels = SplatLabels(rng.integers(0, 99, count).astype(np.int32), layout, LabelTable(layout, [[], [], []]))
    return RawSplat(
        draw(3), draw(3), draw(4), draw(1).ravel(), draw((degree + 1) ** 2, 3), np.array(offset, float), labels
    )


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("offset", [(0, 0, 0), (500_000, 0, 4_000_000)])
def test_rows_and_back(tmp_path, degree, offset):
    splat = random_splat(50, degree, offset)
    rows = splat.to_ply(tmp_path / "scene.spz")
    write_ply(tmp_path / "scene.ply", rows.dtype, (chunk for _, chunk in rows.chunks()), rows.count)
    for ply in (rows, read_ply(tmp_path / "scene.ply")):
        back = RawSplat.of_ply(ply)
        assert back.degree == degree
        for name in ("scales", "quats", "opacities", "sh"):
            np.testing.assert_array_equal(getattr(back, name), getattr(splat, name))
        place = back.means.astype(float) + back.offset
        np.testing.assert_allclose(place, splat.means.astype(float) + splat.offset, atol=1e-6)
        np.testing.assert_array_equal(codes_in(ply), splat.labels.codes)


def test_taken_rows_have_their_labels():
    splat = random_splat(9, 1)
    some = splat.take(np.array([7, 2]))
    np.testing.assert_array_equal(some.sh, splat.sh[[7, 2]])
    np.testing.assert_array_equal(some.labels.codes, splat.labels.codes[[7, 2]])
