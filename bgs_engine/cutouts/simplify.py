"""Fewer faces for a closed mesh: edges collapse where that changes the surface least (Garland and Heckbert 1997).

Each round collapses many edges at once. They are so far apart that each sees the mesh as if it were alone. An edge
collapses only if the mesh stays a closed manifold (the link condition) and no face turns over.
"""

import numpy as np

from bgs_engine.cutouts.surface import Mesh

PULL = 1e-3  # weight of the old positions against the planes; it decides where the planes leave a choice
ROUNDS = 400
SHARE = 0.4  # of the edges, the cheapest ones, may collapse in a round
TURNED = 0.2  # cosine of the largest turn of a face
_PAIRS = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)]  # of a quadric's 10 numbers


def simplified(mesh: Mesh, faces: int) -> Mesh:
    """The mesh with at most `faces` triangles, or as few as a closed manifold of its kind allows."""
    points, triangles = mesh.vertices.copy(), mesh.faces.copy()
    size = float(np.ptp(points, axis=0).max()) or 1.0
    middle = points.mean(0)
    points = (points - middle) / size
    quadrics = _quadrics(points, triangles)
    refused = np.zeros(0, np.int64)
    for _ in range(ROUNDS):
        if len(triangles) <= faces:
            break
        edges = Mesh(points, triangles).edges()
        keys = edges[:, 0] * len(points) + edges[:, 1]
        places, costs = _best_places(points, quadrics, edges)
        costs[np.isin(keys, refused)] = np.inf
        chosen = _far_apart(triangles, edges, costs, len(points))
        chosen = chosen[np.argsort(costs[chosen])][: max(1, (len(triangles) - faces + 1) // 2)]
        if not len(chosen):
            if not len(refused):
                break
            refused = np.zeros(0, np.int64)
            continue
        good = _allowed(points, triangles, edges, chosen, places)
        refused = np.concatenate([refused, keys[chosen[~good]]])
        chosen = chosen[good]
        if not len(chosen):
            continue
        kept, gone = edges[chosen].T
        points[kept] = places[chosen]
        quadrics[kept] += quadrics[gone]
        target = np.arange(len(points))
        target[gone] = kept
        triangles = target[triangles]
        a, b, c = triangles.T
        triangles = triangles[(a != b) & (b != c) & (c != a)]
        # An edge whose surroundings changed may be possible now.
        changed = np.zeros(len(points), bool)
        changed[kept] = changed[gone] = True
        refused = refused[~(changed[refused // len(points)] | changed[refused % len(points)])]
    used, triangles = np.unique(triangles, return_inverse=True)
    return Mesh(points[used] * size + middle, triangles.reshape(-1, 3))


def _quadrics(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The squared distances from the planes of the faces around each vertex, weighted by area: [V, 10]."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1)
    normal /= np.maximum(area, 1e-300)[:, None]
    plane = np.concatenate([normal, -(normal * a).sum(1, keepdims=True)], 1)
    ten = np.stack([plane[:, i] * plane[:, j] for i, j in _PAIRS], 1) * area[:, None]
    rows = triangles.T.ravel()
    return np.stack([np.bincount(rows, np.tile(ten[:, k], 3), len(points)) for k in range(10)], 1)


def _best_places(points: np.ndarray, quadrics: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each edge collapses to, [E, 3], and what that costs, [E]."""
    q = quadrics[edges[:, 0]] + quadrics[edges[:, 1]]
    middle = (points[edges[:, 0]] + points[edges[:, 1]]) / 2
    pull = PULL * (q[:, 0] + q[:, 4] + q[:, 7]) + 1e-30
    matrix = np.empty((len(q), 3, 3))
    for k, (i, j) in enumerate(_PAIRS):
        if j < 3:
            matrix[:, i, j] = matrix[:, j, i] = q[:, k]
    right = -q[:, [3, 6, 8]] + pull[:, None] * middle
    matrix[:, [0, 1, 2], [0, 1, 2]] += pull[:, None]
    place = np.linalg.solve(matrix, right[:, :, None])[:, :, 0]
    four = np.concatenate([place, np.ones((len(q), 1))], 1)
    cost = np.zeros(len(q))
    for k, (i, j) in enumerate(_PAIRS):
        cost += (1 if i == j else 2) * q[:, k] * four[:, i] * four[:, j]
    length = ((points[edges[:, 0]] - points[edges[:, 1]]) ** 2).sum(1)
    return place, np.maximum(cost, 0) + pull * length  # the length decides on flat ground


def _far_apart(triangles: np.ndarray, edges: np.ndarray, costs: np.ndarray, count: int) -> np.ndarray:
    """The edges that are cheaper than all edges that touch a face at one of their ends. No two share such a face."""
    order = np.argsort(costs, kind="stable")
    rank = np.empty(len(edges), np.int64)
    rank[order] = np.arange(len(edges))
    most = min(int(np.isfinite(costs).sum()), max(1, int(SHARE * len(edges))))
    rank[rank >= most] = len(edges)  # these do not take part, and stand in nobody's way
    of_vertex = _least(edges.ravel(), np.repeat(rank, 2), count)
    of_face = of_vertex[triangles].min(1)
    around = _least(triangles.ravel(), np.repeat(of_face, 3), count)
    return np.flatnonzero((rank < most) & (rank == around[edges].min(1)))


def _least(rows: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """The least value of each row number, int [count]."""
    order = np.argsort(values, kind="stable")[::-1]
    out = np.full(count, np.iinfo(np.int64).max)
    out[rows[order]] = values[order]  # the last one written stays
    return out


def _allowed(
    points: np.ndarray, triangles: np.ndarray, edges: np.ndarray, chosen: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Which of the chosen edges keep the mesh a closed manifold and turn no face over, bool [K]."""
    count = len(points)
    owner = np.full(count, -1)
    owner[edges[chosen, 0]] = owner[edges[chosen, 1]] = np.arange(len(chosen))
    # Both ends see exactly two common neighbours.
    ends, others = np.concatenate([edges[:, 0], edges[:, 1]]), np.concatenate([edges[:, 1], edges[:, 0]])
    near = (owner[ends] >= 0) & (owner[ends] != owner[others])
    pair = np.sort(owner[ends[near]].astype(np.int64) * count + others[near])
    common = np.bincount(pair[1:][pair[1:] == pair[:-1]] // count, minlength=len(chosen))
    neighbours = np.bincount(owner[ends[near]], minlength=len(chosen))
    good = (common == 2) & (neighbours - common > 3)
    # Faces that stay do not turn over.
    mine = owner[triangles]
    owners = mine.max(1)
    stays = (owners >= 0) & ((mine >= 0).sum(1) == 1)
    face, own = triangles[stays], owners[stays]
    old = [points[face[:, k]] for k in range(3)]
    new = [np.where((mine[stays, k] >= 0)[:, None], places[chosen[own]], old[k]) for k in range(3)]
    before, after = (np.cross(b - a, c - a) for a, b, c in (old, new))
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    flat = (before * after).sum(1) <= TURNED * lengths
    good[np.unique(own[flat])] = False
    return good
