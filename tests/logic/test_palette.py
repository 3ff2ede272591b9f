"""One colour truth: the extension's label list and the engine's pictures give a label the same colour."""

import colorsys

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.palette import TINT_SHARE, color_at, confidence_colors, label_colors, srgb_to_linear
from bgs_engine.io.pictures import overlay
from bgs_engine.output.label_pictures import LabelColors, label_places
from bgs_engine.raster.semantics import EMPTY_CODE
from blender_bgs.logic.label_tree import CodeTable, build_entries

LAYOUT = BitLayout((12, 10, 10))


def made_codes(count: int = 3000) -> np.ndarray:
    """Codes int32 [count] of labels of different sizes at three levels; the sign bit is set in some."""
    rng = np.random.default_rng(7)
    skewed = (rng.random((3, count)) ** 2 * [[9], [4], [3]]).astype(np.int64)
    return LAYOUT.pack([skewed[0] * 453, skewed[1] * 300, skewed[2]])


def test_engine_pictures_have_the_colours_of_the_extension():
    codes = made_codes()
    entries = build_entries(CodeTable.of(codes, LAYOUT))
    code_map = codes.view(np.uint32).reshape(50, 60)
    colors = LabelColors(codes, LAYOUT)
    assert {entry.level for entry in entries} == {1, 2, 3}
    for level in (1, 2, 3):
        picture, labels = colors.picture(code_map, level), LAYOUT.labels(code_map, level)
        for entry in entries:
            if entry.level == level:
                shown = picture[labels == entry.label]
                # a picture has 255 steps, and to_bytes rounds to the nearest
                assert len(shown) == entry.count and np.abs(shown / 255 - entry.color).max() <= 0.5 / 255 + 1e-9


def test_colours_do_not_depend_on_the_order_of_gaussians_and_given_ones_stay():
    codes = made_codes()
    shuffled = np.random.default_rng(0).permutation(codes)
    assert LabelColors(codes, LAYOUT).of(3) == LabelColors(shuffled, LAYOUT).of(3)
    unique, counts = np.unique(codes.view(np.uint32), return_counts=True)
    largest = int(LAYOUT.labels(unique, 1)[0])
    own = label_colors(LAYOUT, unique, counts)
    kept = label_colors(LAYOUT, unique, counts, {(1, largest): (1.0, 0.0, 0.0)})
    assert kept[(1, largest)] == (1.0, 0.0, 0.0) != own[(1, largest)]
    level_1 = [color for (level, _), color in kept.items() if level == 1]
    assert len(set(level_1)) == len(level_1)


def test_pixels_without_a_label_are_black_and_let_the_picture_through():
    codes = made_codes()
    colors = LabelColors(codes, LAYOUT)
    code_map = np.array([[codes.view(np.uint32)[0], EMPTY_CODE, LAYOUT.pack([np.array([1])] * 3).view(np.uint32)[0]]])
    code_map = code_map.astype(np.uint32)
    places = label_places(code_map, LAYOUT, 1, list(colors.of(1)))
    assert places[0, 0] > 0 and places[0, 1:].tolist() == [0, 0]  # empty; a code that no Gaussian has
    assert label_places(code_map, LAYOUT, 1, []).tolist() == [[0, 0, 0]]
    picture = colors.picture(code_map, 1)
    assert picture[0, 0].any() and not picture[0, 1:].any()
    captured = np.full((1, 3, 3), 200, np.uint8)
    mixed = overlay(captured, picture)
    assert (mixed[0, 1:] == 200).all()
    # Mixed mixes display values; overlay rounds to the nearest of 255 steps
    assert np.abs(mixed[0, 0] - (200 * (1 - TINT_SHARE) + TINT_SHARE * picture[0, 0].astype(float))).max() <= 0.5 + 1e-3


def test_siblings_differ_and_look_like_their_parent() -> None:
    parents = [color_at(1, rank, None) for rank in range(40)]
    assert len({tuple(round(c, 2) for c in p) for p in parents}) == 40
    for parent in parents[:8]:
        children = [color_at(2, rank, parent) for rank in range(12)]
        assert len({tuple(round(c, 3) for c in child) for child in children}) == 12
        hue = colorsys.rgb_to_hsv(*parent)[0]
        for child in children:
            away = abs(colorsys.rgb_to_hsv(*child)[0] - hue)
            assert min(away, 1 - away) <= 0.051  # HUE_SPREAD of level 2 and rounding


def test_confidence_runs_from_red_to_green():
    red, yellow, green = confidence_colors(np.array([0, 0.5, 1]))
    assert red[0] > 3 * red[1] and green[1] > 3 * green[0] and min(yellow[:2]) > 3 * yellow[2]


def test_srgb_to_linear_is_the_standard_curve():
    values = srgb_to_linear(np.array([0, 0.04045, 0.5, 1]))
    assert np.allclose(values, [0, 0.0031308, 0.21404114, 1], atol=1e-6)  # IEC 61966-2-1; the middle from its table
    assert (np.diff(srgb_to_linear(np.linspace(0, 1, 1024))) > 0).all()
