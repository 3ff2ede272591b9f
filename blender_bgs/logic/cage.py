"""A cage: a box of control points around Gaussians. Moving the points bends the space in the box.

Sederberg and Parry 1986, "Free-form deformation": a Bézier volume. With two points along an axis it is linear there,
with three quadratic, with four cubic.
"""

from dataclasses import dataclass
from math import comb

import numpy as np

from .transforms import CHUNK


@dataclass(frozen=True)
class Cage:
    """A box from `low` to `high`, float64 [3], with `points` control points along each axis."""

    points: int
    low: np.ndarray
    high: np.ndarray

    def rest(self) -> np.ndarray:
        """The control points before anything is moved, float32 [points ** 3, 3]; z runs fastest."""
        return (self.low + self._numbers() / (self.points - 1) * (self.high - self.low)).astype(np.float32)

    def faces(self) -> np.ndarray:
        """The quads of the six sides, int [F, 4], counterclockwise from outside."""
        n, quads = self.points, []
        number = np.arange(n**3).reshape(n, n, n)
        for axis in range(3):
            for side, layer in ((0, 0), (1, n - 1)):
                p = np.moveaxis(number, axis, 0)[layer]
                quad = np.stack([p[:-1, :-1], p[1:, :-1], p[1:, 1:], p[:-1, 1:]], -1).reshape(-1, 4)
                turned = (axis == 1) != (side == 0)  # moveaxis leaves x and z in the other order
                quads.append(quad[:, ::-1] if turned else quad)
        return np.concatenate(quads)

    def edges(self) -> np.ndarray:
        """The lines between neighbours along the axes, int [E, 2], also those inside the box."""
        number = np.arange(self.points**3).reshape((self.points,) * 3)
        pairs = []
        for axis in range(3):
            p = np.moveaxis(number, axis, 0)
            pairs.append(np.stack([p[:-1].ravel(), p[1:].ravel()], 1))
        return np.concatenate(pairs)

    def bend(self, places: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How the cage moves places: displacements [N, 3] and Jacobians [N, 3, 3] of the map, float64.

        Control points that are where they were give exactly 0 and the identity. Outside the box the map goes on
        linearly, so that floaters stay near.

        Args:
            places: [N, 3].
            moved: the control points now, float32 [points ** 3, 3], in the order of `rest`.
        """
        n = self.points
        shifts = (moved.astype(np.float64) - self.rest()).reshape(n, n, n, 3)
        size = self.high - self.low
        out, jacobians = np.zeros(places.shape), np.zeros((len(places), 3, 3))
        for start in range(0, len(places), CHUNK):
            rows = slice(start, start + CHUNK)
            share = (places[rows] - self.low) / size
            inside = share.clip(0, 1)
            values, slopes = _weights(inside, n)
            for axis in range(3):
                x, y, z = (slopes[k] / size[k] if k == axis else values[k] for k in range(3))
                jacobians[rows, :, axis] = _sum(shifts, x, y, z)
            out[rows] = _sum(shifts, *values)
            out[rows] += np.einsum("nij,nj->ni", jacobians[rows], (share - inside) * size)
        return out, jacobians + np.eye(3)

    def _numbers(self) -> np.ndarray:
        return np.stack(np.meshgrid(*[np.arange(self.points)] * 3, indexing="ij"), -1).reshape(-1, 3)


def _weights(share: np.ndarray, points: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Bernstein polynomials of the share [N, 3] of the way along each axis, and their slopes: [N, points] per axis."""
    degree = points - 1

    def bernstein(t: np.ndarray, of: int) -> np.ndarray:
        return np.stack([comb(of, i) * t**i * (1 - t) ** (of - i) for i in range(of + 1)], 1)

    values = [bernstein(t, degree) for t in share.T]
    slopes = []
    for t in share.T:
        lower = np.pad(bernstein(t, degree - 1), ((0, 0), (1, 1)))
        slopes.append(degree * (lower[:, :-1] - lower[:, 1:]))
    return values, slopes


def _sum(shifts: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The shifts [X, Y, Z, 3] of the control points, summed with the product of the weights of the axes: [N, 3]."""
    return np.asarray(np.einsum("nj,nk,njkc->nc", y, z, np.tensordot(x, shifts, 1), optimize=True))
