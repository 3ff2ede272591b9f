"""Gaussians that reach out of their label are cut; what is in it stays bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from bgs_engine.cutouts.cuts import below, normal_distribution
from bgs_engine.cutouts.trimming import Trimmed, trim
from bgs_engine.io.gaussians import Gaussians

SIDE, STEP = 30, 0.1  # a board of SIDE x SIDE discs
SPIKE, VEIL = SIDE * SIDE, SIDE * SIDE + 1  # the rows behind it


def board(opacity: float = 0.9) -> Gaussians:
    """A flat board, a faint spike that sticks out of its edge, and a faint disc in the air above it."""
    side = np.arange(SIDE) * STEP
    means = np.stack(np.meshgrid(side, side, [0.0], indexing="ij"), -1).reshape(-1, 3)
    means = np.concatenate([means, [[side[-1] + 0.3, 1.5, 0.0], [1.5, 1.5, 1.0]]]).astype(np.float32)
    count = len(means)
    scales = np.tile(np.array([0.07, 0.07, 0.01], np.float32), (count, 1))
    scales[SPIKE], scales[VEIL] = (0.5, 0.05, 0.02), (0.2, 0.2, 0.02)
    opacities = np.full(count, opacity, np.float32)
    opacities[[SPIKE, VEIL]] = 0.3 * opacity / 0.9
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    return Gaussians(means, quats, scales, opacities, None, np.ones(count, bool))


def labels_of(gaussians: Gaussians) -> np.ndarray:
    return np.zeros(len(gaussians), np.uint32)


def test_the_normal_distribution_is_exact_to_seven_digits() -> None:
    x = np.linspace(-6, 6, 101)
    assert np.abs(normal_distribution(x) - norm.cdf(x)).max() < 1e-7


@pytest.mark.parametrize("width", [0.0, 0.6])
@pytest.mark.parametrize("at", [-1.0, 0.0, 1.5])
def test_halves_have_the_moments_of_the_product(at: float, width: float) -> None:
    x = np.linspace(-9, 9, 36_001)
    step = norm.cdf((at - x) / width) if width else (x < at).astype(float)
    weight = norm.pdf(x) * step
    mass = weight.sum() * (x[1] - x[0])
    mean = (weight * x).sum() / weight.sum()
    found = below(np.array([at]), width)
    assert found.mass[0] == pytest.approx(mass, abs=5e-4)  # the sum misses half a step of 0.0005
    assert found.mean[0] == pytest.approx(mean, abs=5e-4)
    assert found.variance[0] == pytest.approx((weight * (x - mean) ** 2).sum() / weight.sum(), abs=5e-4)


def test_a_spike_is_cut_at_the_edge_and_a_veil_goes() -> None:
    gaussians = board()
    found = trim(gaussians, labels_of(gaussians))
    assert found.rows.tolist() == [SPIKE, VEIL] and found.gone.tolist() == [False, True]
    edge = gaussians.means[:SPIKE, 0].max()
    # The spike is 0.5 long. What stays lies inside, what was cut off lies outside; neither leaves the spike's line.
    assert found.stays.means[0, 0] < edge - 0.1 and found.cut_off.means[0, 0] > edge + 0.1
    assert np.allclose(found.stays.means[0, 1:], gaussians.means[SPIKE, 1:], atol=1e-3)
    assert np.allclose(np.sort(found.stays.scales[0])[:2], [0.02, 0.05], atol=1e-4)
    assert 0.2 < found.stays.scales[0].max() < 0.45
    assert found.stays.opacities[1] == 0
    for half, whole in (
        (found.cut_off.means[1], gaussians.means[VEIL]),
        (found.cut_off.scales[1], gaussians.scales[VEIL]),
        (found.cut_off.opacities[1], gaussians.opacities[VEIL]),
    ):
        assert np.array_equal(half, whole)


def test_both_halves_together_look_like_the_spike() -> None:
    gaussians = board()
    found = trim(gaussians, labels_of(gaussians))
    x = np.linspace(-2, 2, 401)
    light = np.ones(len(x))
    for half in (found.stays, found.cut_off):
        size = half.scales[0].max()
        light *= 1 - half.opacities[0] * np.exp(-0.5 * ((x + gaussians.means[SPIKE, 0] - half.means[0, 0]) / size) ** 2)
    true = 0.3 * np.exp(-0.5 * (x / 0.5) ** 2)
    assert (
        np.abs(1 - light - true).max() < 0.2 * 0.3
    )  # a soft cut keeps the picture within 20 % of the peak; a hard one, within 32 %


def test_strength_0_trims_nothing() -> None:
    gaussians = board()
    assert len(trim(gaussians, labels_of(gaussians), 0).rows) == 0


def test_neighbours_of_other_labels_hold_nothing() -> None:
    gaussians = board()
    labels = labels_of(gaussians)
    labels[[0, SPIKE]] = 7  # the rest of this label is at the other end of the board
    found = trim(gaussians, labels)
    assert SPIKE in found.rows[found.gone]


def test_no_label_vanishes() -> None:
    gaussians = board()
    labels = labels_of(gaussians)
    labels[VEIL] = 7
    assert VEIL not in trim(gaussians, labels).rows


def test_glass_is_not_eaten() -> None:
    gaussians = board(opacity=0.2)
    assert trim(gaussians, labels_of(gaussians)).rows.tolist() == [SPIKE, VEIL]


def test_a_faint_layer_on_many_small_gaussians_stays() -> None:
    """A large faint disc on a surface colours it. It is asked about 64 of its thousands of neighbours."""
    rng = np.random.default_rng(0)
    means = np.column_stack([rng.uniform(0, 1, (20_000, 2)), rng.normal(0, 0.002, 20_000)]).astype(np.float32)
    means[0] = (0.5, 0.5, 0.004)
    scales = np.tile(np.array([0.008, 0.008, 0.002], np.float32), (len(means), 1))
    scales[0] = (0.15, 0.15, 0.01)
    opacities = np.full(len(means), 0.9, np.float32)
    opacities[0] = 0.2
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (len(means), 1))
    gaussians = Gaussians(means, quats, scales, opacities, None, np.ones(len(means), bool))
    assert 0 not in trim(gaussians, labels_of(gaussians)).rows


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_the_unit_of_the_scene_does_not_matter(unit: float) -> None:
    gaussians = board()
    other = replace(gaussians, means=gaussians.means * np.float32(unit), scales=gaussians.scales * np.float32(unit))
    one, two = (trim(g, labels_of(g)) for g in (gaussians, other))
    assert np.array_equal(one.rows, two.rows)
    assert np.allclose(one.stays.means * unit, two.stays.means, rtol=1e-4)


def nothing(found: Trimmed) -> bool:
    return len(found.rows) == 0 and len(found.stays.means) == 0


def test_few_and_broken_gaussians() -> None:
    gaussians = board()
    one = gaussians.take(np.array([0]))
    assert nothing(trim(one, labels_of(one)))
    assert nothing(trim(one.take(np.zeros(0, int)), np.zeros(0, np.uint32)))
    broken = replace(gaussians, valid=np.zeros(len(gaussians), bool))
    assert nothing(trim(broken, labels_of(broken)))
    same = gaussians.take(np.zeros(5000, int))  # all in one place
    assert nothing(trim(same, labels_of(same)))  # each lies in the others


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [0, 1e-30, 1e15])
def test_sizes_out_of_all_proportion(size: float) -> None:
    gaussians = board()
    gaussians.scales[5] = size
    found = trim(gaussians, labels_of(gaussians))
    assert set(found.rows.tolist()) <= {5, SPIKE, VEIL}
    assert np.isfinite(found.stays.means).all() and np.isfinite(found.cut_off.scales).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("place", [1e20, 1e38])
def test_places_out_of_all_proportion(place: float) -> None:
    gaussians = board()
    gaussians.means[5] = place
    assert np.isfinite(trim(gaussians, labels_of(gaussians)).stays.means).all()
