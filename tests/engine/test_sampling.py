"""Pixels of a step: every mask of every level is one stretch, and balanced sampling favours small masks."""

import numpy as np

from bgs_engine.train.sampling import PixelSampler, index_pixels


def nested_maps() -> np.ndarray:
    maps = np.zeros((2, 40, 50), np.int32)
    maps[0, 5:35, 5:45] = 7
    maps[0, 0:3, 0:3] = 9
    maps[1, 5:35, 5:25] = 3
    maps[1, 10:12, 30:32] = 4  # 4 of 1,209 labelled pixels
    return maps


def test_stretches_are_the_masks():
    maps = nested_maps()
    view = index_pixels(maps)
    found: dict[frozenset[int], int] = {}
    for start, end in zip(view.mask_start, view.mask_end, strict=True):
        pixels = frozenset(view.pixels[start:end].tolist())
        found[pixels] = found.get(pixels, 0) + 1
    wanted = [frozenset(np.flatnonzero(maps[level] == i).tolist()) for level, i in ((0, 7), (0, 9), (1, 3), (1, 4))]
    assert set(found) == set(wanted)
    flat = maps.reshape(2, -1)
    assert (flat[:, view.pixels] == view.labels[view.node].T).all()


def test_draws_each_pixel_once_with_its_own_labels():
    maps = nested_maps()
    sampler = PixelSampler(lambda _: maps, uniform=100, balanced=400, masks=8, max_bytes=1 << 20)
    px, py, labels = sampler.draw(0, 50, np.random.default_rng(0))
    assert len(set(zip(px.tolist(), py.tolist(), strict=True))) == len(px)
    assert (labels == maps[:, py, px].T).all() and (labels[:, 0] > 0).all()


def test_balanced_sampling_finds_small_masks():
    maps = nested_maps()

    def hits(balanced: int) -> int:
        sampler = PixelSampler(lambda _: maps, uniform=60, balanced=balanced, masks=16, max_bytes=1 << 20)
        draws = [sampler.draw(0, 50, np.random.default_rng(seed))[2] for seed in range(20)]
        return sum(int((labels[:, 1] == 4).sum()) for labels in draws)

    assert hits(0) < 20  # 60 of 1,209 pixels a draw, 20 draws, 4 pixels: 4 expected
    assert hits(64) > 40  # the mask is one of four, in 16 choices a draw: nearly every draw has all of it


def test_views_without_masks_give_nothing():
    sampler = PixelSampler(lambda _: None, uniform=10, balanced=10, masks=2, max_bytes=1)
    px, py, labels = sampler.draw(0, 50, np.random.default_rng(0))
    assert len(px) == len(py) == len(labels) == 0
