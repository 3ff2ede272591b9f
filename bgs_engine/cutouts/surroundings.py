"""What lies round small pieces: the label that surrounds them, and a Gaussian of it."""

import itertools

import numpy as np

from bgs_engine.cutouts.touching import Grid, Touching

SURROUNDED = 0.5  # nearness that must come together round a piece for it to lie in another label
_AROUND = list(itertools.product((-1, 0, 1), repeat=3))


def hosts_of_pieces(
    touch: Touching, numbers: np.ndarray, piece: np.ndarray, small: np.ndarray, means: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """For each of the pieces, the row of a Gaussian of the label that surrounds it, int64 [P]; -1 for none.

    Only large pieces surround. Each cell of a label that a piece touches is near it by `sqrt(o) / (1 + d^2)^2`: o is
    the opacity in the cell, and d the distance of the most opaque Gaussians in their sizes. The label whose nearness
    adds up to most surrounds the piece. The root keeps a solid thing from winning over see-through ones.

    Args:
        touch: what touches what.
        numbers: [P], ascending: the numbers that `touch.pieces` gives the pieces.
        piece: int [N], which of them each Gaussian belongs to.
        small: bool [P]: the pieces to ask for.
        means: [N, 3].
        sizes: [N], standard deviations.
    """
    asked = np.unique(touch.nodes[small[piece]])
    owner = np.searchsorted(numbers, touch.pieces[asked])
    index = np.searchsorted(numbers, touch.pieces).clip(max=len(numbers) - 1)
    large = (numbers[index] == touch.pieces) & ~small[index]
    found: list[tuple[np.ndarray, ...]] = [tuple(np.zeros((4, 0), np.int64))]
    above = np.zeros((0, 3), np.int64)  # (piece, node, Gaussian) from narrower grids
    for grid in touch.grids:
        nodes = slice(grid.first, grid.first + len(grid.keys))
        node = asked[(asked >= nodes.start) & (asked < nodes.stop)]
        here = np.stack([owner[np.searchsorted(asked, node)], node - grid.first, grid.best[node - grid.first]], 1)
        for wanted, opacities in ((here, grid.held), (above, grid.entered)):
            found += _round(touch, grid, wanted, np.where(large[nodes], opacities, 0), means, sizes)
        if len(grid.parents):  # all grids but the widest
            above = np.concatenate([here, above])
            above[:, 1] = grid.parents[above[:, 1]]
            above = np.unique(above, axis=0)
    return _nearest(len(numbers), touch.labels, *(np.concatenate(column) for column in zip(*found, strict=True)))


def _round(
    touch: Touching, grid: Grid, wanted: np.ndarray, opacities: np.ndarray, means: np.ndarray, sizes: np.ndarray
) -> list[tuple[np.ndarray, ...]]:
    """Pieces, labels, rows and nearness of the nodes with opacity in the cells in and round those of `wanted`."""
    filled = np.flatnonzero(opacities > 0)
    keys, out = grid.keys[filled], list[tuple[np.ndarray, ...]]()
    own = grid.keys[wanted[:, 1]] % touch.labels
    cells = grid.keys[wanted[:, 1]] - own
    for offset in _AROUND if len(wanted) else ():
        cell = cells + touch.step(offset)
        at, end = np.searchsorted(keys, cell), np.searchsorted(keys, cell + touch.labels)
        asking = np.flatnonzero(at < end)
        while len(asking):  # one label of each cell at a time
            node = filled[at[asking]]
            label, row, ask = grid.keys[node] % touch.labels, grid.best[node], wanted[asking, 2]
            gap = ((means[row].astype(np.float64) - means[ask]) ** 2).sum(1) / (sizes[row] + sizes[ask]) ** 2
            near, other = np.sqrt(opacities[node]) / (1 + gap) ** 2, label != own[asking]
            out.append((wanted[asking[other], 0], label[other], row[other], near[other]))
            at[asking] += 1
            asking = asking[at[asking] < end[asking]]
    return out


def _nearest(
    pieces: int, labels: int, piece: np.ndarray, label: np.ndarray, row: np.ndarray, near: np.ndarray
) -> np.ndarray:
    """Of the label that is nearest to each piece the row of the nearest Gaussian, int64 [pieces]; -1 for none."""
    hosts = np.full(pieces, -1, np.int64)
    pair, index = np.unique(piece * labels + label, return_inverse=True)
    index = index.reshape(-1)
    total = np.bincount(index, near, minlength=len(pair))
    best = np.full(len(pair), -1, np.int64)
    order = np.argsort(near, kind="stable")
    best[index[order]] = row[order]
    order = np.argsort(total, kind="stable")
    order = order[total[order] >= SURROUNDED]
    hosts[pair[order] // labels] = best[order]
    return hosts
