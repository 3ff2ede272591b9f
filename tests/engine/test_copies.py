"""Copies of one thing are recognised in made rooms with repeated objects."""

import numpy as np
import pytest

from benchmarks.similar import CASES, SPOILT, group_scores, made, signatures_of
from bgs_engine.likeness.copies import copies
from bgs_engine.likeness.likeness import ALIKE, likeness
from bgs_engine.likeness.signature import Signatures


@pytest.mark.slow
def test_copies_in_made_rooms() -> None:
    """At level 2, objects, with true labels and with 1.5 % of the Gaussians in another object's label."""
    cases = [made(kind, seed, 60_000, spoil) for kind in CASES for spoil in (0.0, SPOILT) for seed in (1, 2)]
    found = np.array([group_scores(case) for case in cases])
    print(found.mean(0), found.min(0))
    assert (found.mean(0) >= 0.95).all()  # 1.000 and 0.996 were measured


def test_all_members_of_a_group_are_alike() -> None:
    found = signatures_of(made("crowded", 3, 60_000, 0.0))
    groups = copies(found)
    for one in np.flatnonzero(groups >= 0).tolist():
        members = groups == groups[one]
        assert members.sum() > 1
        members[one] = False
        assert likeness(found, np.array([one]))[members].max() >= ALIKE
    assert sorted(set(groups.tolist()) - {-1}) == list(range(groups.max() + 1))


def test_no_sets_and_sets_without_a_signature() -> None:
    empty = Signatures(np.zeros((3, 4), np.float32), np.zeros(3), np.zeros((3, 3)), np.zeros((3, 2)))
    assert copies(empty).tolist() == [-1, -1, -1]


def grouped_one_by_one(found: Signatures) -> list[int]:
    """The same by the definition: the two groups of the most alike pair are joined, if all their pairs say so."""
    count = len(found.sizes)
    alike = np.stack([likeness(found, np.array([k])) for k in range(count)])
    alike = np.where(alike >= ALIKE, alike, 0)
    groups = [{k} for k in range(count)]
    pairs = sorted((-alike[a, b], a, b) for a in range(count) for b in range(a + 1, count) if alike[a, b])
    for _, a, b in pairs:
        one, other = (next(group for group in groups if k in group) for k in (a, b))
        if one is not other and alike[np.ix_(sorted(one), sorted(other))].mean() >= ALIKE:
            groups.remove(other)
            one |= other
    numbers = [-1] * count
    for number, group in enumerate(sorted((g for g in groups if len(g) > 1), key=min)):
        for k in group:
            numbers[k] = number
    return numbers


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 9, 300)  # more sets than are compared at once
    colors = np.abs(rng.normal(size=(9, 32)))[kinds] + 0.5 * np.abs(rng.normal(size=(300, 32)))
    distances = np.abs(rng.normal(size=(9, 8)))[kinds] + 0.1 * np.abs(rng.normal(size=(300, 8)))
    sizes = np.exp(rng.normal(0, 0.2, 9)[kinds] + rng.normal(0, 0.05, 300))
    axes = rng.random((9, 3))[kinds] + rng.normal(0, 0.05, (300, 3))
    shares = [(part / part.sum(1, keepdims=True)).astype(np.float32) for part in (colors, distances)]
    sizes[:3] = 0
    found = Signatures(shares[0], sizes, axes, shares[1])
    groups = copies(found).tolist()
    assert groups == grouped_one_by_one(found)
    assert 4 < max(groups) < 200
