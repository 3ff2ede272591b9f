"""Which labels touch, on what area, and in which direction."""

import itertools
from dataclasses import dataclass

import numpy as np

from bgs_engine.graph.nodes import Nodes

REACH = 1.0  # nodes touch up to this distance, in cell widths: about that of neighbours on one surface
LARGE = 2 / 3  # a Gaussian of at least this size, in cell widths, touches more than the cells beside its own
SIGMAS = 2.0  # standard deviations to which a large Gaussian touches
MOST_DOUBLINGS = 3  # no Gaussian touches farther than 8 cell widths: larger ones are haze or far away
SPARSE = 5  # a node with fewer neighbours of its label is on a sparse surface; a dense one has about eight
STRAY = 2  # a node with fewer neighbours of its label is a stray
FEWEST = 2  # nodes of a label that touch the other one; fewer are a stray
_OFFSETS = [offset for offset in itertools.product((-1, 0, 1), repeat=3) if offset >= (0, 0, 0)]
_COLUMNS = np.array([(x, y, 0) for x in (-1, 0, 1) for y in (-1, 0, 1)])

Pairs = tuple[np.ndarray, np.ndarray]  # numbers of nodes, int64 [P] each


@dataclass(frozen=True)
class Contacts:
    """E pairs of K labels that touch. Strays do not count.

    pairs: int64 [E, 2], the lower number first, ascending. areas: float64 [E], of the border they share, scene units
    squared. rises: float64 [E], -1..1: how far the first one lies above the second one where they touch. heights:
    float64 [E], where they touch, along the upward axis of the nodes, in cell widths. middles: float64 [K], the mean
    height of each label, likewise.
    """

    pairs: np.ndarray
    areas: np.ndarray
    rises: np.ndarray
    heights: np.ndarray
    middles: np.ndarray


def contacts(nodes: Nodes) -> Contacts:
    """All pairs of labels that touch."""
    near, held = _near(nodes)
    wide = _wide(nodes, held)
    parts = [_by_labels(nodes, a, b) for a, b in (near, wide)]
    # Both labels of a pair of near nodes are counted in nodes of one width, of large ones only those that they touch.
    areas = [np.minimum(parts[0].nodes_a, parts[0].nodes_b), np.maximum(parts[1].nodes_a, parts[1].nodes_b)]
    kept = [area >= FEWEST for area in areas]
    keys, of = np.unique(
        np.concatenate([part.keys[k] for part, k in zip(parts, kept, strict=True)]), return_inverse=True
    )
    of, count = of.reshape(-1), len(keys)
    area = np.zeros(count)
    np.maximum.at(area, of, np.concatenate([one[k] for one, k in zip(areas, kept, strict=True)]) * nodes.width**2)
    sums = np.concatenate([part.sums[k] for part, k in zip(parts, kept, strict=True)])
    x, y, z, lengths, heights, pairs = (np.bincount(of, column, count) for column in sums.T)
    # Offsets that cancel each other have a short sum, which has no direction.
    directed = np.maximum(np.sqrt(x * x + y * y + z * z), 0.25 * lengths)
    ends = np.stack([keys // nodes.count, keys % nodes.count], 1)
    steady = held >= STRAY
    steady |= np.bincount(nodes.labels, steady, nodes.count)[nodes.labels] == 0  # labels of strays alone
    steady_labels = nodes.labels[steady]
    total = np.bincount(steady_labels, nodes.middles[steady, 2], nodes.count)
    middles = total / np.maximum(np.bincount(steady_labels, minlength=nodes.count), 1)
    return Contacts(ends, area, z / np.maximum(directed, 1e-30), heights / np.maximum(pairs, 1), middles)


@dataclass(frozen=True)
class _ByLabels:
    """Pairs of nodes by their labels. keys: int64 [E], first label times count plus second, the lower one first.

    nodes_a, nodes_b: int64 [E], how many nodes of each label there are. sums: float64 [E, 6] over pairs of nodes: the
    offset [3] of the first node from the second one, its length, the height, and 1.
    """

    keys: np.ndarray
    nodes_a: np.ndarray
    nodes_b: np.ndarray
    sums: np.ndarray


def _by_labels(nodes: Nodes, a: np.ndarray, b: np.ndarray) -> _ByLabels:
    swap = nodes.labels[a] > nodes.labels[b]
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    keys, of = np.unique(nodes.labels[a] * nodes.count + nodes.labels[b], return_inverse=True)
    of, most = of.reshape(-1), len(nodes.labels)
    nodes_a, nodes_b = (_distinct(of * most + side, most, len(keys)) for side in (a, b))
    offset = nodes.middles[a] - nodes.middles[b]
    height = (nodes.middles[a, 2] + nodes.middles[b, 2]) / 2
    each = [*offset.T, np.linalg.norm(offset, axis=1), height, np.ones(len(a))]
    return _ByLabels(keys, nodes_a, nodes_b, np.stack([np.bincount(of, values, len(keys)) for values in each], 1))


def _distinct(members: np.ndarray, most: int, count: int) -> np.ndarray:
    """How many different members each of `count` groups has. A member is the group times `most`, plus a number."""
    members = np.sort(members)  # in contrast to np.unique, which hashes
    fresh = np.append(True, members[1:] != members[:-1])[: len(members)]
    return np.bincount(members[fresh] // most, minlength=count)


def _near(nodes: Nodes) -> tuple[Pairs, np.ndarray]:
    """The pairs of nodes of different labels that are near each other, and how many neighbours of its label a node has.

    Nodes with fewer than STRAY of them have no pairs.
    """
    sizes = np.diff(nodes.first)
    only = np.where(sizes == 1, nodes.labels[nodes.first[:-1]], -1)
    held = np.zeros(len(nodes.labels), np.int64)
    found: list[Pairs] = []
    for offset in _OFFSETS:
        step = int(nodes.numbers(np.array(offset)))
        if step == 0:
            here = there = np.flatnonzero(sizes > 1)
        else:
            at = np.searchsorted(nodes.cells, nodes.cells + step).clip(max=len(nodes.cells) - 1)
            here = np.flatnonzero(nodes.cells[at] == nodes.cells + step)
            there = at[here]
            plain = (only[here] >= 0) & (only[here] == only[there])
            held[nodes.first[here[plain]]] += 1  # no node comes twice
            held[nodes.first[there[plain]]] += 1
            here, there = here[~plain], there[~plain]
        pair, b = _spread(nodes.first[there], nodes.first[there + 1])
        again, a = _spread(nodes.first[here][pair], nodes.first[here + 1][pair])
        b = b[again]
        if step == 0:
            other = a < b
        else:
            other = nodes.labels[a] != nodes.labels[b]
            held[a[~other]] += 1
            held[b[~other]] += 1
        a, b = a[other], b[other]
        apart = nodes.middles[a] - nodes.middles[b]
        close = np.einsum("kc,kc->k", apart, apart) <= REACH**2
        found.append((a[close], b[close]))
    a, b = (np.concatenate(ends) for ends in zip(*found, strict=True))
    kept = (held[a] >= STRAY) & (held[b] >= STRAY)
    return (a[kept], b[kept]), held


def _wide(nodes: Nodes, held: np.ndarray) -> Pairs:
    """The pairs of a node with a large Gaussian on a sparse surface and a node of another label to which it reaches.

    For each octave of sizes the nodes are sorted into wider cells, so that such a Gaussian reaches no farther than the
    cells beside its own.
    """
    reach = np.minimum(SIGMAS * nodes.sizes + 0.5, 1 << MOST_DOUBLINGS)
    octaves = np.where((nodes.sizes >= LARGE) & (held < SPARSE), np.ceil(np.log2(reach)), 0).astype(int)
    found: list[Pairs] = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for octave in range(1, MOST_DOUBLINGS + 1):
        large = np.flatnonzero(octaves == octave)
        if not len(large):
            continue
        number = nodes.numbers(nodes.places >> octave)
        key = number * nodes.count + nodes.labels
        order = np.argsort(key)
        starts = np.flatnonzero(np.append(True, np.diff(key[order]) != 0))
        groups = number[order[starts]]  # nodes of one label in one wider cell
        ends = np.append(starts[1:], len(order))
        columns = nodes.numbers((nodes.places[large] >> octave)[:, None] + _COLUMNS).ravel()
        low, high = np.searchsorted(groups, columns - 1), np.searchsorted(groups, columns + 1, side="right")
        column, group = _spread(low, high)
        asked = large[column // len(_COLUMNS)]
        other = nodes.labels[order[starts[group]]] != nodes.labels[asked]
        asked, group = asked[other], group[other]
        pair, at = _spread(starts[group], ends[group])
        a, b = asked[pair], order[at]
        apart = nodes.middles[a] - nodes.middles[b]
        close = (np.einsum("kc,kc->k", apart, apart) <= reach[a] ** 2) & ((held[b] >= STRAY) | (octaves[b] > 0))
        found.append((a[close], b[close]))
    a, b = (np.concatenate(ends) for ends in zip(*found, strict=True))
    return a, b


def _spread(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of the range, and the value, of all whole numbers in the ranges starts[k] to ends[k] - 1."""
    sizes = ends - starts
    of = np.repeat(np.arange(len(sizes)), sizes)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(sizes) - sizes - starts, sizes)
