"""Any pile of masks becomes a forest that is nested, disjoint and independent of the order of the pile."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgs_engine.core.errors import UsageError
from bgs_engine.masks.bits import MaskStack, iou
from bgs_engine.masks.levels import cut_levels, size_limits
from bgs_engine.masks.nesting import Forest, NestingConfig, build_forest

H, W = 24, 36
# min_area scales with the image: 4 pixels at this size.
SMALL = NestingConfig(min_area=4 * 640 * 480 // (H * W), sliver=0)


@st.composite
def piles(draw: st.DrawFn) -> list[tuple[np.ndarray, float]]:
    """Up to 12 boxes, ellipses and ragged masks with scores that often tie."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    yy, xx = np.mgrid[0:H, 0:W]
    pile = []
    for _ in range(draw(st.integers(0, 12))):
        cy, cx, ry, rx = rng.uniform(0, H), rng.uniform(0, W), rng.uniform(1, H), rng.uniform(1, W)
        box = (abs(yy - cy) < ry) & (abs(xx - cx) < rx)
        round_ = ((yy - cy) / ry) ** 2 + ((xx - cx) / rx) ** 2 < 1
        mask = [box, round_, box & (rng.random((H, W)) < 0.8)][rng.integers(3)]
        pile.append((mask, float(rng.choice([0.7, 0.8, 0.8, 0.9]))))
    return pile


def stack(pile: list[tuple[np.ndarray, float]]) -> MaskStack:
    return MaskStack.pack(H, W, (m for m, _ in pile), np.array([s for _, s in pile], np.float32))


def members(forest: Forest, node: int) -> np.ndarray:
    """Pixels of a node with its descendants, by walking up from every pixel's node (the slow, plain way)."""
    table = np.zeros(forest.count + 1, bool)
    for k in range(1, forest.count + 1):
        up = k
        while up and up != node:
            up = forest.parents[up]
        table[k] = up == node
    return table[forest.node_map]


@settings(max_examples=150, deadline=None)
@given(piles(), st.randoms(use_true_random=False), st.integers(0, 2))
def test_forest_properties(pile, random, sliver):
    config = NestingConfig(min_area=SMALL.min_area, sliver=sliver * 18)  # 18 at 640x480 is 1 pixel here
    forest = build_forest(stack(pile), config)
    shuffled = list(pile)
    random.shuffle(shuffled)
    again = build_forest(stack(shuffled), config)
    assert np.array_equal(forest.node_map, again.node_map)
    assert np.array_equal(forest.parents, again.parents)
    assert np.array_equal(forest.scores, again.scores)

    assert (forest.parents[1:] < np.arange(1, forest.count + 1)).all()  # parents first, hence no cycle
    areas = forest.areas()
    for k in range(1, forest.count + 1):
        assert areas[k] == np.count_nonzero(members(forest, k)) >= 4  # min_area at this size
        parent = forest.parents[k]
        assert not parent or areas[k] < areas[parent]  # strictly nested: no node repeats its parent
    rests = np.bincount(forest.node_map.ravel(), minlength=forest.count + 1)[1:]
    assert ((rests == 0) | (rests >= 4)).all()  # a rest is a segment of its own or belongs to a child
    covered = np.any([m for m, _ in pile if np.count_nonzero(m) >= 4] or [np.zeros((H, W), bool)], axis=0)
    assert not forest.node_map[~covered].any()


@settings(max_examples=150, deadline=None)
@given(piles(), st.integers(1, 4), st.lists(st.floats(0, 30), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_levels_are_nested_dense_and_cover_the_same_pixels(pile, levels, limits, seed):
    forest = build_forest(stack(pile), SMALL)
    sizes = np.random.default_rng(seed).uniform(0, 30, forest.count + 1)  # also children "larger" than parents
    maps = cut_levels(forest, sizes, np.sort(limits)[::-1][: max(1, levels - 1)], levels)
    assert maps.shape == (levels, H, W) and maps.dtype == np.uint16
    for fine, coarse in zip(maps[1:], maps[:-1], strict=True):
        pairs = np.unique(np.stack([fine.ravel(), coarse.ravel()]), axis=1)
        assert len(np.unique(pairs[0])) == pairs.shape[1]  # a fine id lies in one coarse id
    for level_map in maps:
        assert np.array_equal(np.unique(level_map[level_map > 0]), np.arange(1, level_map.max() + 1))
        assert np.array_equal(level_map > 0, forest.node_map > 0)
    if levels > 1:  # the finest level tells every node with pixels of its own apart
        assert maps[-1].max() == len(np.unique(forest.node_map[forest.node_map > 0]))


def rectangle(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((H, W), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_part_object_group_and_remainder():
    group, left, right, part = (
        rectangle(0, 0, 20, 30),
        rectangle(1, 1, 19, 12),
        rectangle(1, 16, 19, 28),
        rectangle(2, 2, 8, 8),
    )
    forest = build_forest(stack([(part, 0.8), (right, 0.9), (group, 0.7), (left, 0.9)]), SMALL)
    assert forest.parents.tolist() == [0, 0, 1, 1, 3]  # group; right and left (smaller) in it; part in left
    node_map = forest.node_map
    assert node_map[0, 0] == 1 and node_map[5, 20] == 2 and node_map[15, 5] == 3 and node_map[4, 4] == 4
    assert node_map[22, 33] == 0
    sizes = np.array([0, 10, 3, 3, 1])
    # Limit 4: the group is too large and is divided, its rest stands alone; limit 20: it stays whole.
    maps = cut_levels(forest, sizes, np.array([20, 4]), 3)
    assert [int(m.max()) for m in maps] == [1, 3, 4]
    assert cut_levels(forest, sizes, np.array([4]), 1).max() == 3


def test_better_score_keeps_the_overlap_and_heavy_losers_go():
    strong, half, most = rectangle(0, 0, 10, 12), rectangle(0, 8, 10, 18), rectangle(2, 5, 12, 13)
    forest = build_forest(stack([(strong, 0.9), (half, 0.8)]), SMALL)
    assert forest.count == 2 and forest.areas().tolist()[1:] == [
        120,
        60,
    ]  # 100 - 40 shared with the better one
    # `most` loses 56 of its 80 pixels, more than half: it is dropped, and its free pixels are nobody's.
    forest = build_forest(stack([(strong, 0.9), (most, 0.8)]), SMALL)
    assert forest.count == 1 and forest.node_map[11, 6] == 0


def test_duplicates_keep_the_better_score():
    a, b = rectangle(0, 0, 20, 30), rectangle(0, 0, 20, 29)  # IoU 29/30
    forest = build_forest(stack([(a, 0.7), (b, 0.8)]), SMALL)
    assert forest.count == 1 and forest.areas()[1] == 580 and forest.scores[1] == np.float32(0.8)


def test_thin_rims_go_to_the_child_but_thin_shapes_stay():
    whole = rectangle(4, 4, 20, 20) | rectangle(11, 20, 13, 34)  # a body with a thin handle
    body = rectangle(5, 5, 19, 19)
    tidy = NestingConfig(min_area=SMALL.min_area, sliver=18)
    node_map = build_forest(stack([(whole, 0.9), (body, 0.9)]), tidy).node_map
    assert node_map[4, 10] == node_map[10, 10] == 2  # the rim of 1 pixel
    assert node_map[11, 30] == 1  # the handle, far from the body


def test_packing_and_counts_agree_with_plain_booleans():
    rng = np.random.default_rng(0)
    masks = rng.random((9, 61, 1201)) < rng.uniform(0, 1, (9, 1, 1))  # 73,261 pixels: more than one block, odd bits
    packed = MaskStack.pack(61, 1201, masks)
    flat = masks.reshape(9, -1).astype(np.int64)
    assert np.array_equal(packed.areas(), flat.sum(1))
    assert np.array_equal(packed.intersections(), flat @ flat.T)
    assert all(np.array_equal(packed.mask(k), masks[k]) for k in range(9))
    union = np.count_nonzero(masks[0] | masks[1])
    assert iou(packed.intersections())[0, 1] == pytest.approx((flat[0] @ flat[1]) / union)


def test_size_limits_and_level_numbers():
    assert size_limits([np.arange(1, 6), np.arange(6, 12)], [0.9, 0.5]).tolist() == [10, 6]
    assert size_limits([], [0.9]).tolist() == [np.inf]
    empty = build_forest(MaskStack.empty(H, W))
    for levels in (0, 5):
        with pytest.raises(UsageError, match="1 to 4"):
            cut_levels(empty, np.zeros(1), np.array([1.0]), levels)
