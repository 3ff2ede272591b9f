"""Splats in raw values with labels, for the formats that hold a scene."""

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.label_table import build_label_table
from bgs_engine.formats.activation import opacities_of
from bgs_engine.formats.raw_splat import RawSplat, SplatLabels
from bgs_engine.io.gaussians import SH_C0

LAYOUT = BitLayout((4, 3, 3))


def raw_splat(count: int = 40, degree: int = 1, offset: tuple[float, float, float] = (0, 0, 0)) -> RawSplat:
    """Random Gaussians. One is opaque without limit, as a trainer may leave it."""
    rng = np.random.default_rng(degree)
    draw = lambda *shape: rng.normal(size=(count, *shape)).astype(np.float32)  # noqa: E731
    opacities = draw(1).ravel()
    opacities[0] = np.inf
    sh = draw((degree + 1) ** 2, 3)
    return RawSplat(draw(3), draw(3) - 2, draw(4), opacities, sh, np.array(offset, float))


def labelled(splat: RawSplat) -> RawSplat:
    """The splat with three levels of labels: names of people, two alike, and automatic ones."""
    rng, row = np.random.default_rng(7), np.arange(len(splat))
    codes = LAYOUT.pack([row % 2 + 1, row // 2 % 2, rng.integers(2, 4, len(splat))])
    colors = (splat.sh[:, 0] * np.float32(SH_C0) + np.float32(0.5)).clip(0, 1)
    sure = rng.uniform(0, 1, len(splat)).astype(np.float32)
    table = build_label_table(LAYOUT, codes, splat.means, opacities_of(splat.opacities), colors, sure, splat.offset)
    top, middle, fine = table.levels
    top[0].name, top[1].name = 'Söfa / "old"', "Chair"
    middle[0].name = middle[1].name = "Chair"
    fine[0].name = fine[0].automatic = "Red ball"
    fine[1].automatic, fine[1].shown_color = "Blue ball", (0.1, 0.2, 0.3)
    return RawSplat(
        splat.means,
        splat.scales,
        splat.quats,
        splat.opacities,
        splat.sh,
        splat.offset,
        SplatLabels(codes, LAYOUT, table),
    )


def assert_same(back: RawSplat, splat: RawSplat, order: np.ndarray | None) -> None:
    """Check that a file brought everything back that a scene format keeps.

    Positions and harmonics keep every bit. Lengths and shares are float32, so the logarithm of a length is right to
    1e-7 of the length, and an opacity to 6e-8.
    """
    want = splat if order is None else splat.take(order)
    np.testing.assert_array_equal(back.means, want.means)
    np.testing.assert_array_equal(back.sh, want.sh)
    np.testing.assert_array_equal(back.offset, want.offset)
    np.testing.assert_allclose(back.scales, want.scales, rtol=2e-7, atol=1e-7)
    np.testing.assert_allclose(opacities_of(back.opacities), opacities_of(want.opacities), atol=6e-8)
    lengths = np.linalg.norm(want.quats, axis=1, keepdims=True)
    np.testing.assert_allclose(back.quats, want.quats / lengths, atol=2e-7)
    assert (back.labels is None) == (want.labels is None)
    if back.labels and want.labels:
        np.testing.assert_array_equal(back.labels.codes, want.labels.codes)
        assert back.labels.layout == want.labels.layout
        assert back.labels.table == want.labels.table
