"""Closed triangle meshes: the surface of a solid on a grid, smoothing, and what a mesh must satisfy."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.cutouts.solid import OPAQUE, Solid

SMOOTHING = 8  # rounds
SHRINK, GROW = 0.5, -0.53  # Taubin 1995: the second step undoes the shrinking of the first
NEAREST = 0.05  # a crossing is at least this share of a cell away from both nodes, so no face has zero area
DEEPEST = 1.25  # cells; the floor of `solid` widens a thin wall by at most this much
THICK = 3.5  # cells of solid that must lie behind a surface that is moved inwards


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh: vertices float64 [V, 3] in scene units, faces int [F, 3], counterclockwise from outside."""

    vertices: np.ndarray
    faces: np.ndarray

    def edges(self) -> np.ndarray:
        """Every edge of a closed mesh once, int [E, 2], the smaller vertex first. Its two faces have it both ways."""
        sides = self._sides()
        return sides[sides[:, 0] < sides[:, 1]]

    def is_closed(self) -> bool:
        """Whether each edge has exactly two faces, which run along it in opposite directions."""
        sides, count = self._sides(), len(self.vertices)
        there, back = sides[:, 0] * count + sides[:, 1], sides[:, 1] * count + sides[:, 0]
        return len(np.unique(there)) == len(there) and np.array_equal(np.sort(there), np.sort(back))

    def volume(self) -> float:
        """The volume inside, in cubed scene units."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)

    def normals(self) -> np.ndarray:
        """Unit normals of the vertices, [V, 3], weighted by the areas of their faces."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        area = np.cross(b - a, c - a)
        total = _sums(self.faces.T.ravel(), np.tile(area, (3, 1)), len(self.vertices))
        return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)

    def _sides(self) -> np.ndarray:
        return np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])


def surface_of(solid: Solid) -> Mesh:
    """The closed surface of a solid: surface nets (Gibson 1998), smoothed, and without what the grid added to walls.

    The mesh has one vertex for each cube of eight nodes that the surface crosses, and one quad, split into triangles,
    for each pair of neighbours of which one is inside. It is a manifold because `solid.manifold` made it one.
    """
    inside = solid.inside
    value = np.where(inside, np.maximum(solid.opacity, OPAQUE), np.minimum(solid.opacity, OPAQUE)).astype(np.float64)
    size = np.array(inside.shape)
    strides = np.array([size[1] * size[2], size[2], 1])
    quads, cubes, places = [], [], []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        p = np.moveaxis(inside, axis, 0)
        i, *jk = np.nonzero(p[1:] != p[:-1])
        node = np.insert(np.stack(jk, 1), axis, i, axis=1)
        start = node @ strides
        a, b = value.reshape(-1)[start], value.reshape(-1)[start + strides[axis]]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(a == b, 0.5, (OPAQUE - a) / (b - a))
        place = node.astype(np.float64)
        place[:, axis] += np.clip(share, NEAREST, 1 - NEAREST)
        around = np.stack([start - strides[u] - strides[v], start - strides[v], start, start - strides[u]], 1)
        leaves = inside.reshape(-1)[start]  # the lower node is inside: the surface looks up the axis
        quads.append(np.where(leaves[:, None], around, around[:, ::-1]))
        cubes.append(around.ravel())
        places.append(np.repeat(place, 4, axis=0))
    used, quad = np.unique(np.concatenate(quads), return_inverse=True)
    quad = quad.reshape(-1, 4)
    at = np.searchsorted(used, np.concatenate(cubes))
    vertices = _sums(at, np.concatenate(places), len(used)) / np.bincount(at)[:, None]
    first = np.linalg.norm(vertices[quad[:, 0]] - vertices[quad[:, 2]], axis=1)
    second = np.linalg.norm(vertices[quad[:, 1]] - vertices[quad[:, 3]], axis=1)
    faces = np.where(
        (first <= second)[:, None], quad[:, [0, 1, 2, 0, 2, 3]], quad[:, [1, 2, 3, 1, 3, 0]]
    ).reshape(-1, 3)  # fmt: skip
    mesh = smoothed(Mesh(vertices, faces), SMOOTHING)
    mesh = _settled(mesh, solid)
    return Mesh(mesh.vertices * solid.cell + solid.low, mesh.faces)


def smoothed(mesh: Mesh, rounds: int) -> Mesh:
    """The mesh without the steps of the grid. It keeps its size."""
    edges, count = mesh.edges(), len(mesh.vertices)
    ends, others = np.concatenate([edges[:, 0], edges[:, 1]]), np.concatenate([edges[:, 1], edges[:, 0]])
    number = np.maximum(np.bincount(ends, minlength=count), 1)[:, None]
    vertices = mesh.vertices
    for _ in range(rounds):
        for factor in (SHRINK, GROW):
            vertices = vertices + factor * (_sums(ends, vertices[others], count) / number - vertices)
    return Mesh(vertices, mesh.faces)


def _settled(mesh: Mesh, solid: Solid) -> Mesh:
    """The mesh, in cells, moved inwards to where the walls absorb most, where there is solid behind them.

    The grid widens thin walls, and nothing else shows where in them the surface was. A thin sheet stays as it is.
    """
    normals = mesh.normals()
    deep = np.arange(0, THICK + 0.25, 0.25)
    solid_behind = np.ones(len(normals), bool)
    best, found = np.zeros(len(normals)), np.full(len(normals), -1.0)
    size = np.array(solid.inside.shape)
    for depth in deep:
        place = mesh.vertices - depth * normals
        if depth >= 0.75:
            node = np.clip(np.rint(place).astype(int), 0, size - 1)
            solid_behind &= solid.inside[tuple(node.T)]
        if depth <= DEEPEST:
            here = interpolated(solid.wall, place)
            better = here > found + 1e-3
            best, found = np.where(better, depth, best), np.where(better, here, found)
    move = np.where(solid_behind, best, 0.0)
    edges, count = mesh.edges(), len(normals)
    ends, others = np.concatenate([edges[:, 0], edges[:, 1]]), np.concatenate([edges[:, 1], edges[:, 0]])
    number = np.maximum(np.bincount(ends, minlength=count), 1)
    for _ in range(4):
        move = 0.5 * move + 0.5 * np.bincount(ends, move[others], count) / number
    return Mesh(mesh.vertices - move[:, None] * normals, mesh.faces)


def interpolated(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values of a grid [X, Y, Z] at places [N, 3] in cells, interpolated linearly."""
    size = np.array(values.shape)
    low = np.clip(np.floor(places).astype(int), 0, size - 2)
    part = np.clip(places - low, 0, 1)
    out = np.zeros(len(places))
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, part, 1 - part).prod(1)
        out += weight * values[tuple((low + corner).T)]
    return out


def _sums(rows: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Sums of values [K, 3] by row number, [count, 3]."""
    return np.stack([np.bincount(rows, values[:, k], count) for k in range(3)], 1)
