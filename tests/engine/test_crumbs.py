"""Crumbs: what is found on a small world made by hand and on made scenes, and which codes accepting gives."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.accept import accept
from bgs_engine.cutouts.crumbs import CRUMB, FLOATER, HAZE, STRAY, find_crumbs
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.made_scenes.scene import KINDS
from bgs_engine.made_scenes.splat import make_splat

SPACING = 0.1
LEFT, RIGHT = 7, 9  # labels of the two boards


def board(x: float, rows: int = 40) -> np.ndarray:
    """Centres of a board of rows x rows Gaussians at y = z = 0, one spacing apart."""
    a, b = np.meshgrid(np.arange(rows) * SPACING, np.arange(rows) * SPACING)
    return np.stack([a.ravel() + x, b.ravel(), np.zeros(a.size)], 1)


def gaussians(means: np.ndarray) -> Gaussians:
    """Discs that overlap their neighbours, opaque."""
    count = len(means)
    quats = np.tile(np.array([1, 0, 0, 0], "f4"), (count, 1))
    scales = np.tile(np.array([0.7, 0.7, 0.1], "f4") * SPACING, (count, 1))
    return Gaussians(means.astype("f4"), quats, scales, np.full(count, 0.9, "f4"), None, np.ones(count, bool))


@pytest.fixture
def world() -> tuple[Gaussians, np.ndarray, dict[str, slice]]:
    """Two boards far apart, and of the left one's label: a floater, a crumb, a stray in the right board, and haze."""
    crumb = np.array([[2.0, 2.0, 6.0]]) + board(0, 4)
    parts = {
        "boards": np.concatenate([board(0), board(12)]),
        "floater": np.array([[2.0, 2.0, 3.0]]),
        "crumb": crumb,
        "stray": np.array([[14.05, 2.05, 0.02]]),
        "haze": np.array([[0.2, 0.2, 1.8]]),
    }
    ends = np.cumsum([0, *map(len, parts.values())])
    place = {name: slice(a, b) for name, a, b in zip(parts, ends[:-1], ends[1:], strict=True)}
    made = gaussians(np.concatenate(list(parts.values())))
    made.scales[place["haze"]] = (0.2, 0.2, 2.0)  # it stands on the board and is faint
    made.opacities[place["haze"]] = 0.02
    labels = np.full(len(made), LEFT)
    labels[1600:3200] = RIGHT
    return made, labels, place


def test_kinds(world: tuple[Gaussians, np.ndarray, dict[str, slice]]) -> None:
    made, labels, place = world
    found = find_crumbs(made, labels)
    kinds = found.at(0.7)
    wanted = np.zeros(len(made), np.uint8)
    for name, kind in (("floater", FLOATER), ("crumb", CRUMB), ("stray", STRAY), ("haze", HAZE)):
        wanted[place[name]] = kind
    assert np.array_equal(kinds, wanted)
    host = found.hosts[place["stray"]]
    assert labels[host] == RIGHT
    assert np.linalg.norm(made.means[host] - made.means[place["stray"]]) < 4 * SPACING  # a Gaussian near by
    assert (found.hosts[kinds != STRAY] == -1).all()


def test_strength_is_monotone(world: tuple[Gaussians, np.ndarray, dict[str, slice]]) -> None:
    made, labels, _ = world
    found = find_crumbs(made, labels)
    assert not found.at(0).any()
    steps = [found.at(strength) > 0 for strength in np.linspace(0, 1, 11)]
    for weaker, stronger in itertools.pairwise(steps):
        assert not (weaker & ~stronger).any()


def test_unit_order_and_place_do_not_matter(world: tuple[Gaussians, np.ndarray, dict[str, slice]]) -> None:
    made, labels, _ = world
    kinds = find_crumbs(made, labels).at(0.7)
    large = replace(made, means=made.means * 1024, scales=made.scales * 1024)  # a power of 2 rounds nothing
    assert np.array_equal(find_crumbs(large, labels).at(0.7), kinds)
    order = np.random.default_rng(0).permutation(len(made))
    assert np.array_equal(find_crumbs(made.take(order), labels[order]).at(0.7), kinds[order])
    assert np.array_equal(find_crumbs(made, labels * 1000 + 5).at(0.7), kinds)


def test_several_large_pieces_stay() -> None:
    means = np.concatenate([board(x) for x in (0, 12, 24, 36)])  # four chairs with one label
    assert not find_crumbs(gaussians(means), np.zeros(len(means), int)).at(1).any()


def test_a_thin_thing_stays_whole() -> None:
    wire = np.stack([np.arange(300) * SPACING, np.zeros(300), np.full(300, 1.0)], 1)
    means = np.concatenate([board(0), wire])
    labels = np.repeat([LEFT, RIGHT], [1600, 300])
    assert not find_crumbs(gaussians(means), labels).at(1).any()


def test_a_label_of_faint_gaussians_stays() -> None:
    made = gaussians(board(0))
    made.opacities[:] = 0.05  # glass: no Gaussian alone is solid
    assert not find_crumbs(made, np.zeros(len(made), int)).at(1).any()


def test_small_gaussians_on_large_ones_are_no_floaters() -> None:
    means = np.concatenate([board(0), [[2.05, 2.05, 0.05]]])
    made = gaussians(means)
    made.scales[-1] = SPACING / 100  # nothing of its own size is near, but a large neighbour reaches it
    assert not find_crumbs(made, np.zeros(len(made), int)).at(1).any()


def test_low_confidence_needs_less_strength(world: tuple[Gaussians, np.ndarray, dict[str, slice]]) -> None:
    made, labels, place = world
    unsure = np.ones(len(made), np.float32)
    unsure[place["crumb"]] = 0.3
    strengths = [find_crumbs(made, labels, sure).strengths[place["crumb"]] for sure in (None, unsure)]
    assert (strengths[1] < strengths[0]).all()


def test_gaussians_that_are_not_valid_are_floaters_and_accepted_ones_do_not_count(
    world: tuple[Gaussians, np.ndarray, dict[str, slice]],
) -> None:
    made, labels, place = world
    made.valid[5] = False
    apart = np.zeros(len(made), bool)
    apart[place["crumb"]] = True
    found = find_crumbs(made, labels, None, apart)
    assert found.at(0.1)[5] == FLOATER
    assert not found.at(1)[place["crumb"]].any()
    assert labels[found.hosts[place["stray"]]] == RIGHT  # rows count in the whole splat
    nothing = find_crumbs(made.take(np.zeros(0, int)), labels[:0])
    assert len(nothing.at(1)) == 0


def test_odd_splats_overflow_nothing() -> None:
    """One Gaussian, all in one place, sizes over 33 orders of magnitude, places up to 1e30, no opacity at all."""
    rng = np.random.default_rng(0)
    labels, spread = rng.integers(0, 5, 500), rng.normal(size=(500, 3))
    odd = [gaussians(spread[:1]), gaussians(np.zeros((500, 3))), gaussians(spread), gaussians(spread * 1e30)]
    odd += [gaussians(np.concatenate([[[1e30, 0, 0]], spread[1:]])), gaussians(spread)]
    odd[2].scales[:] = 10.0 ** rng.uniform(-18, 15, (500, 3))
    odd[-1].opacities[:] = 0
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for made in odd:
            assert len(find_crumbs(made, labels[: len(made)]).at(1)) == len(made)


@pytest.mark.parametrize("kind", ["room", "crowded", "thin", "see_through"])
def test_made_scenes(kind: str) -> None:
    """Limits are a little below what benchmarks/results/crumbs.txt has for these scenes."""
    rng = np.random.default_rng(3)
    splat = make_splat(KINDS[kind](rng), 30_000, rng)
    truth = splat.labels[:, 1]
    labels, floaters = truth.copy(), truth == 0
    labels[floaters] = rng.choice(truth[~floaters], floaters.sum())
    strayed = (rng.random(len(truth)) < 0.015) & ~floaters
    labels[strayed] = rng.choice(truth[~floaters], strayed.sum())
    strayed &= labels != truth
    valid = np.ones(len(truth), bool)
    made = Gaussians(splat.means, splat.quats, splat.scales, splat.opacities, None, valid)
    found = find_crumbs(made, labels)
    kinds = found.at(0.8)
    good = ~floaters & ~strayed
    assert splat.opacities[good & (kinds > 0)].sum() < 0.005 * splat.opacities[good].sum()
    assert (kinds[floaters] > 0).mean() > 0.8
    given = strayed & (kinds == STRAY)
    assert given.sum() > 0.6 * strayed.sum()
    assert (truth[found.hosts[given]] == truth[given]).mean() > 0.75


LAYOUT = BitLayout((4, 3, 2))


def test_accepting_keeps_codes_nested() -> None:
    codes = LAYOUT.pack([np.array([0, 0, 1, 3, 3]), np.array([0, 1, 2, 5, 5]), np.array([0, 1, 2, 3, 3])])
    kinds = np.array([0, STRAY, FLOATER, CRUMB, HAZE], np.uint8)
    found = accept(codes, LAYOUT, kinds, np.array([-1, 3, -1, -1, -1]), {})
    new = found.codes
    assert new[0] == codes[0]
    assert new[1] == codes[3]  # all levels of the host
    assert found.label == 2 and LAYOUT.labels(new[2:], 1).tolist() == [2, 2, 2]  # the first free one
    by_row = [found.names[(2, int(one))] for one in LAYOUT.labels(new[2:], 2)]
    assert by_row == ["Floaters", "Crumbs", "Haze"]
    again = accept(new, LAYOUT, np.array([FLOATER, 0, 0, 0, 0], np.uint8), np.full(5, -1), found.names)
    assert (again.label, again.names) == (2, {})  # found again by its name, which stays
    assert LAYOUT.labels(again.codes, 1)[0] == 2


def test_accepting_in_layouts_with_few_bits() -> None:
    flat, nowhere = BitLayout((2,)), np.full(3, -1)
    found = accept(np.array([0, 1, 2], np.int32), flat, np.array([0, HAZE, 0], np.uint8), nowhere, {})
    assert (found.codes.tolist(), found.names) == ([0, 3, 2], {(1, 3): "Crumbs"})
    narrow = accept(np.zeros(1, np.int32), BitLayout((2, 1)), np.array([HAZE], np.uint8), nowhere[:1], {})
    assert narrow.names == {(1, 1): "Crumbs"}  # two of three kinds share a child
    wide = BitLayout((16, 16))
    codes = wide.pack([np.arange(65536), np.zeros(65536)])[:-1]
    high = accept(codes, wide, np.where(codes == codes[0], HAZE, 0), np.full(len(codes), -1), {})
    assert high.label == 65535 and high.codes[0] < 0  # a code of 32 bits is negative as int32


def test_a_full_level_1_has_room_for_strays_alone() -> None:
    full = np.arange(4, dtype=np.int32)
    with pytest.raises(UsageError, match="All 4 labels of level 1"):
        accept(full, BitLayout((2,)), np.array([FLOATER, 0, 0, 0], np.uint8), np.full(4, -1), {})
    strays = accept(full, BitLayout((2,)), np.array([STRAY, 0, 0, 0], np.uint8), np.array([2, -1, -1, -1]), {})
    assert (strays.codes.tolist(), strays.label) == ([2, 1, 2, 3], None)
