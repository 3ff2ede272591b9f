"""Likeness of sets of Gaussians: copies in any pose are alike, other colours, sizes and shapes are not."""

import numpy as np
import pytest

from bgs_engine.likeness.likeness import ALIKE, likeness
from bgs_engine.likeness.signature import MOST, oklab, signatures

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
RED, BLUE = (0.8, 0.15, 0.1), (0.1, 0.2, 0.8)


def box(rng: np.random.Generator, size=(1.0, 0.6, 0.3), color=RED, count: int = 2000) -> Columns:
    """Gaussians on a box's surface: means, scales, opacities, colours."""
    points = rng.uniform(-0.5, 0.5, (count, 3))
    axis = rng.choice(3, count, p=np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]]) / sum(
        (size[1] * size[2], size[0] * size[2], size[0] * size[1])))  # fmt: skip
    points[np.arange(count), axis] = rng.choice([-0.5, 0.5], count)
    scales = rng.lognormal(-3.5, 0.3, (count, 3)) * (1, 1, 0.2)
    return points * size, scales, rng.uniform(0.3, 0.99, count), np.array(color) + rng.normal(0, 0.03, (count, 3))


def ball(rng: np.random.Generator, count: int = 2000) -> Columns:
    points = rng.normal(0, 1, (count, 3))
    _, scales, opacities, colors = box(rng, count=count)
    return 0.4 * points / np.linalg.norm(points, axis=1, keepdims=True), scales, opacities, colors


def turned(one: Columns, rng: np.random.Generator, place=(5.0, -3.0, 2.0)) -> Columns:
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return one[0] @ rotation.T + place, *one[1:]


def alike(sets: list[Columns]) -> np.ndarray:
    """The likeness of each set to the first one."""
    labels = np.repeat(np.arange(len(sets)), [len(one[0]) for one in sets])
    order = np.random.default_rng(1).permutation(len(labels))
    means, scales, opacities, colors = (
        np.concatenate(column)[order].astype(np.float32) for column in zip(*sets, strict=True)
    )
    return likeness(signatures(means, scales, opacities, colors, labels[order], len(sets)), np.array([0]))


@pytest.mark.parametrize("seed", range(5))
def test_a_copy_of_other_gaussians_in_another_pose_is_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    same = turned(box(rng, count=1300), rng)
    larger, blue, other = box(rng, (1.5, 0.9, 0.45)), box(rng, color=BLUE), box(rng, (0.75, 0.75, 0.45))
    found = alike([box(rng), same, larger, blue, other, ball(rng)])
    assert abs(found[0] - 1) < 1e-5 and found[1] > 0.7
    assert (found[[2, 3, 5]] < ALIKE / 5).all()
    assert found[4] < ALIKE  # a box of about that size and other proportions is nearest


def test_wrong_labels_and_crumbs_do_not_hide_a_copy() -> None:
    rng = np.random.default_rng(3)
    same = turned(box(rng), rng)
    means, scales, opacities, colors = (column.copy() for column in same)
    far = rng.random(len(means)) < 0.02
    means[far] += rng.normal(0, 4, (int(far.sum()), 3))
    scales[far] *= 5
    assert alike([box(rng), (means, scales, opacities, colors)])[1] > 0.7


def test_odd_gaussians_and_tiny_sets() -> None:
    rng = np.random.default_rng(4)
    odd = turned(box(rng), rng, (1e6, 0, 0))  # 32-bit positions are 6 cm apart there
    means, scales, opacities, colors = (column.copy() for column in turned(box(rng), rng))
    means[::50], scales[1::50], colors[2::50] = np.nan, np.inf, np.nan
    small = tuple(column[:5] for column in box(rng))
    with np.errstate(all="raise", under="ignore"):
        found = alike([box(rng), (means, scales, opacities, colors), small, odd])  # type: ignore[list-item]
    assert found[1] > 0.6 and found[2] == 0 and np.isfinite(found).all()


def test_a_set_is_compared_whatever_its_number_of_gaussians() -> None:
    rng = np.random.default_rng(5)
    found = alike([box(rng, count=20 * MOST), box(rng, count=MOST // 2), box(rng, count=MOST)])
    assert (found > 0.6).all()


def test_oklab_has_its_published_values() -> None:
    """White is (1, 0, 0); pure red is (0.628, 0.225, 0.126), see https://bottosson.github.io/posts/oklab/."""
    published = np.array([[1, 0, 0], [0.628, 0.225, 0.126]])
    np.testing.assert_allclose(oklab(np.array([[1, 1, 1], [1, 0, 0]])), published, atol=1e-3)


def test_a_first_gaussian_without_a_place_does_not_hide_the_others() -> None:
    rng = np.random.default_rng(4)
    means, scales, opacities, colors = box(rng, count=300)
    places = np.concatenate([np.full((1, 3), np.nan), means])
    twice = [0, *range(300)]
    found = signatures(places, scales[twice], opacities[twice], colors[twice], np.zeros(301, int), 1)
    whole = signatures(means, scales, opacities, colors, np.zeros(300, int), 1)
    assert found.usable[0] and abs(found.sizes[0] / whole.sizes[0] - 1) < 0.05


def test_sets_that_are_all_too_small_have_no_signature() -> None:
    means, scales, opacities, colors = box(np.random.default_rng(5), count=20)
    found = signatures(means, scales, opacities, colors, np.repeat([0, 1], 10), 2)
    assert not found.usable.any()
