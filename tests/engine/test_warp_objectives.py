"""Sampling and objectives by the card's kernels on Warp's CPU device: the CPU's pixels, losses and gradients."""

import numpy as np
import pytest

from bgs_engine.associate.mask_children import MaskChildren
from bgs_engine.core.codes import BitLayout
from bgs_engine.raster.cpu.fragments import tile_order
from bgs_engine.raster.warp import wp
from bgs_engine.raster.warp.view import to_device
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.device_objectives import (
    DeviceContrastiveObjective,
    DeviceObjective,
    DeviceSegmentObjective,
    loss_value,
)
from bgs_engine.train.device_sampling import DevicePixelSampler, DeviceSample, index_on_device
from bgs_engine.train.objectives import ContrastiveObjective, Objective, SegmentObjective
from bgs_engine.train.sampling import index_pixels
from tests.helpers.warp_device import DEVICE

LAYOUT = BitLayout((5, 4, 4))
SIZE = (80, 60)


def nested_maps() -> np.ndarray:
    """Blocks in blocks in blocks, int32 [3, H, W]: one coarse mask undivided, one corner and one strip unlabelled."""
    ys, xs = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    maps = np.stack([(ys // s) * (SIZE[0] // s) + xs // s + 1 for s in (20, 10, 5)]).astype(np.int32)
    undivided = maps[0] == 3
    maps[1][undivided] = maps[2][undivided] = 60_000
    maps[:, :7, :9] = 0
    maps[2, 30:40] = 0
    return maps


def drawn(uniform: int = 300, balanced: int = 1200, masks: int = 16, seed: int = 3) -> DeviceSample:
    sampler = DevicePixelSampler(lambda _: nested_maps(), uniform, balanced, masks, 1 << 20, DEVICE)
    sample = sampler.draw(0, SIZE[0], np.random.default_rng(seed))
    assert sample is not None
    return sample


def test_the_index_is_the_cpus() -> None:
    ours, theirs = index_on_device(nested_maps(), DEVICE), index_pixels(nested_maps())
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    for name in ("mask_start", "mask_end", "level_start"):
        np.testing.assert_array_equal(getattr(ours, name).numpy(), getattr(theirs, name))
    starts = ours.node_start.numpy()
    for node in range(len(ours.labels)):
        stretch = slice(starts[node], starts[node + 1])
        assert set(ours.pixels.numpy()[stretch]) == set(theirs.pixels[stretch])


def test_draws_are_labelled_and_single_and_know_their_labels() -> None:
    sample, maps = drawn(), nested_maps()
    px, py, node = sample.px.numpy(), sample.py.numpy(), sample.node.numpy()
    there = node >= 0
    assert (px[~there] == -1).all() and there.sum() == sample.drawn.numpy()[0] < len(px)
    np.testing.assert_array_equal(sample.view.labels[node[there]], maps[:, py[there], px[there]].T)
    places = py[there] * SIZE[0] + px[there]
    assert len(np.unique(places)) == len(places)
    assert (np.diff(tile_order(px[there], py[there], SIZE[0])) == 1).all()
    again = drawn().px.numpy()
    np.testing.assert_array_equal(px, again)
    assert (drawn(seed=4).px.numpy() != again).any()


def test_draws_are_spread_as_the_rules_say() -> None:
    """Uniform draws hit masks by area, balanced ones by level and mask: the undivided mask alone is far oftener hit."""
    maps = nested_maps()
    undivided = maps[0] == 3
    area = undivided.sum() / (maps[0] > 0).sum()
    counts = np.zeros(2)
    for kind, (uniform, balanced) in enumerate(((400, 0), (0, 400))):
        for seed in range(40):
            sample = drawn(uniform, balanced, 40, seed)
            px, py = sample.px.numpy(), sample.py.numpy()
            counts[kind] += undivided[py[px >= 0], px[px >= 0]].sum() / sample.drawn.numpy()[0]
    shares = counts / 40
    # 40 draws of 400: the standard error of a share of 0.08 is 0.002. Balanced: 1 of 12, 1 of 44 and 1 of 140 masks.
    assert abs(shares[0] - area) < 0.01
    assert abs(shares[1] - (1 / 12 + 1 / 44 + 1 / 140) / 3) < 0.02


def test_a_view_without_labels_gives_no_sample() -> None:
    sampler = DevicePixelSampler(lambda _: np.zeros((2, 5, 5), np.int32), 10, 10, 2, 1 << 20, DEVICE)
    assert sampler.draw(0, 5, np.random.default_rng(0)) is None


def mask_children() -> MaskChildren:
    """Every seventh mask is contradicted."""
    pairs = zip(nested_maps(), LAYOUT.level_bits, strict=True)
    return MaskChildren(tuple({(0, int(i)): int(i) % (1 << b) for i in np.unique(m) if i and i % 7} for m, b in pairs))


OBJECTIVES: dict[str, tuple[Objective, DeviceObjective]] = {
    "segments": (SegmentObjective(LAYOUT, mask_children()), DeviceSegmentObjective(LAYOUT, mask_children(), DEVICE))
} | {
    name: (ContrastiveObjective(LAYOUT, config), DeviceContrastiveObjective(LAYOUT, config, DEVICE))
    for name, config in {
        "contrastive": TrainConfig(),
        "not progressive": TrainConfig(progressive=False, virtual_negative=0.0),
        "straight through": TrainConfig(straight_through=True),
    }.items()
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_are_the_cpus(name: str) -> None:
    theirs, ours = OBJECTIVES[name]
    sample = drawn()
    there = sample.node.numpy() >= 0
    labels = sample.view.labels[sample.node.numpy()[there]]
    features = np.random.default_rng(1).random((len(there), LAYOUT.total)).astype(np.float32)
    loss, grad = theirs(features[there], labels, 0)
    total = wp.zeros(1, dtype=wp.int64, device=DEVICE)
    got = ours(to_device(features, wp.float32, DEVICE), sample, total).numpy()
    # float32 sums of a thousand pixels; the fixed point of 2^-40 is far below that.
    assert loss_value(int(total.numpy()[0])) == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(got[there], grad, atol=1e-5 * np.abs(grad).max())
    assert not got[~there].any()
