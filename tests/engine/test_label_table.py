"""The label table of codes: each row against the plain sums over the Gaussians of its label."""

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.label_table import SOLID_OPACITY, build_label_table

LAYOUT = BitLayout((3, 2))
OFFSET = np.array([500_000.0, 0, -3])


@pytest.fixture
def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    columns = {
        "codes": rng.integers(0, 1 << LAYOUT.total, 400).astype(np.int32),
        "means": rng.normal(size=(400, 3)).astype(np.float32),
        "opacities": rng.random(400).astype(np.float32),
        "colors": rng.random((400, 3)).astype(np.float32),
        "confidence": rng.random(400).astype(np.float32),
    }
    columns["means"][::7, 1] = np.nan
    return columns


def test_rows_are_those_of_plain_sums(columns: dict[str, np.ndarray]) -> None:
    table = build_label_table(LAYOUT, **columns, offset=OFFSET)
    for level in (1, 2):
        labels = LAYOUT.labels(columns["codes"], level)
        counts = [row.count for row in table.of(level)]
        assert counts == sorted(counts, reverse=True) and sum(counts) == 400
        for row in table.of(level):
            mine = labels == row.label
            assert row.count == mine.sum()
            assert row.confidence == pytest.approx(columns["confidence"][mine].mean(), abs=6e-5)
            finite = mine & np.isfinite(columns["means"]).all(1)
            means, weights = columns["means"][finite].astype(float), columns["opacities"][finite].astype(float) + 1e-6
            box = means[columns["opacities"][finite] >= SOLID_OPACITY]
            np.testing.assert_allclose(row.center, np.average(means, axis=0, weights=weights) + OFFSET, atol=1e-6)
            np.testing.assert_allclose(
                row.color, np.average(columns["colors"][finite], axis=0, weights=weights), atol=1e-6
            )
            np.testing.assert_allclose(row.box_min, box.min(0) + OFFSET, atol=1e-6)
            np.testing.assert_allclose(row.box_max, box.max(0) + OFFSET, atol=1e-6)
    assert table.of(1)[0].name == "L1_1" and table.of(2)[9].name == "L2_10"


def test_haze_alone_has_a_box_and_no_place_has_none(columns: dict[str, np.ndarray]) -> None:
    columns["codes"][:10], columns["codes"][10:] = 4, 8  # two labels at level 1
    columns["opacities"][10:] = 0.01
    columns["means"][:10] = np.inf
    by_label = {row.label: row for row in build_label_table(LAYOUT, **columns).of(1)}
    haze, nowhere = by_label[2], by_label[1]
    finite = np.isfinite(columns["means"][10:]).all(1)
    np.testing.assert_allclose(haze.box_max, columns["means"][10:][finite].max(0), atol=1e-6)
    assert nowhere.count == 10 and nowhere.box_min == nowhere.box_max == nowhere.color == (0, 0, 0)
