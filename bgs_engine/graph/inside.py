"""Which labels lie inside which: between matter of the other one along two axes at least."""

import numpy as np

from bgs_engine.graph.nodes import Nodes

MOST_NODES = 60_000  # more are joined to wider cells
INSIDE = 0.6  # share of a label's cells that must lie between those of the other one


def inside(nodes: Nodes) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (inner, outer) of labels, int64 [F, 2], and the share of the inner one that lies inside, float64 [F].

    A cell lies inside a label if the label has cells before and behind it along two of the three axes. So an open box
    contains what lies in it, and a shelf the books.
    """
    places, labels, count = nodes.places, nodes.labels, nodes.count
    shift = 0
    while len(labels) > MOST_NODES:
        shift += 1
        places = nodes.places >> shift
        _, rows = np.unique(_key(places, nodes.bits) * count + nodes.labels, return_index=True)
        places, labels = places[rows], nodes.labels[rows]
    between = np.concatenate([_between(places, labels, count, axis, nodes.bits) for axis in range(3)])
    if not len(between):
        return np.zeros((0, 2), np.int64), np.zeros(0)
    keys, times = np.unique(between, return_counts=True)
    keys = keys[times >= 2]
    pairs, cells = np.unique(labels[keys // count] * count + keys % count, return_counts=True)
    shares = cells / np.bincount(labels, minlength=count)[pairs // count]
    kept = shares >= INSIDE
    return np.stack([pairs // count, pairs % count], 1)[kept], shares[kept]


def _between(places: np.ndarray, labels: np.ndarray, count: int, axis: int, bits: int) -> np.ndarray:
    """Node times count plus label, for each node that lies between cells of another label along the axis."""
    across = [k for k in range(3) if k != axis]
    line = (places[:, across[0]] << bits) + places[:, across[1]]
    key = line * count + labels
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.append(True, key[order][1:] != key[order][:-1])) if len(order) else order
    along = places[order, axis]
    low, high = (f.reduceat(along, starts) if len(starts) else along for f in (np.minimum, np.maximum))
    of_line, of_label = line[order][starts], labels[order][starts]
    runs = high - low >= 2  # there is room for a cell between
    of_line, of_label, low, high = of_line[runs], of_label[runs], low[runs], high[runs]
    first, last = np.searchsorted(of_line, line), np.searchsorted(of_line, line, side="right")
    sizes = last - first
    node = np.repeat(np.arange(len(labels)), sizes)
    run = np.repeat(first, sizes) + np.arange(len(node)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    at = places[node, axis]
    found = (at > low[run]) & (at < high[run]) & (of_label[run] != labels[node])
    return node[found] * count + of_label[run[found]]


def _key(places: np.ndarray, bits: int) -> np.ndarray:
    return np.asarray((places[:, 0] << 2 * bits) + (places[:, 1] << bits) + places[:, 2])
