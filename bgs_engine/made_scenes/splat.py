"""Turns labelled pieces into Gaussians like a trainer's: flat discs, opacities with two humps, some floaters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bgs_engine.io.gaussians import SH_C0, logit
from bgs_engine.io.ply import SPLAT_PROPERTIES
from bgs_engine.made_scenes.builder import Piece
from bgs_engine.made_scenes.rooms import Rooms
from bgs_engine.made_scenes.shapes import sample

DISC = (0.6, 0.8, 0.12)  # standard deviations along, across and through a disc, in sample spacings
THICK = 0.3  # of the narrowest curved or framed extent: discs are never wider, so thin things keep their outline
SHELL_DENSITY = 0.25  # of the density on things: floors and walls are large and plain
AREA_EXPONENT = 0.75  # small pieces are sampled more densely, as captures are where detail is
FEWEST_OF_PIECE = 25  # Gaussians of a piece
FAINT_SHARE = 0.25
MESSY_SHARE = 0.03  # large, faint, straddling borders
FLOATER_SHARE = 0.003


@dataclass(frozen=True)
class Splat:
    """N Gaussians, random row order; float64 but for the last two.

    labels int32 [N, 3]: group, object, part from 1, floaters 0. messy bool [N]: large, faint and off its surface.
    """

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray
    labels: np.ndarray
    messy: np.ndarray


def make_splat(rooms: Rooms, count: int, rng: np.random.Generator) -> Splat:
    """`count` Gaussians on the pieces' surfaces, and some that float in the rooms."""
    pieces = rooms.pieces
    shares = _shares(pieces, count)
    sampled = [sample(piece.primitive, n, rng) for piece, n in zip(pieces, shares.tolist(), strict=True)]
    points, normals, colors = (np.concatenate(column) for column in zip(*sampled, strict=True))
    labels = np.repeat([piece.labels for piece in pieces], shares, axis=0).astype(np.int32)
    area = np.array([piece.primitive.area for piece in pieces])
    thin = np.array([_narrowest(piece) for piece in pieces]) * THICK
    spacing = np.repeat(np.minimum(np.sqrt(area / np.maximum(shares, 1)), thin), shares)
    given = np.repeat([piece.primitive.opacity for piece in pieces], shares)

    scales = spacing[:, None] * np.array(DISC) * rng.lognormal(0, 0.2, (count, 3))
    opacities = np.where(rng.random(count) < FAINT_SHARE, rng.uniform(0.15, 0.6, count), rng.uniform(0.9, 0.99, count))
    opacities = np.where(given < 1, given * rng.uniform(0.7, 1.3, count), opacities)
    kind = rng.random(count)
    messy, floater = kind < MESSY_SHARE, kind > 1 - FLOATER_SHARE
    scales[messy] *= rng.uniform(1.5, 3, (int(messy.sum()), 1))
    points[messy] += rng.normal(0, 1, (int(messy.sum()), 3)) * spacing[messy, None]
    half_w, half_d = rooms.room[0] / 2, rooms.room[1] / 2
    floating = rng.uniform((-half_w, -half_d, 0.2), (half_w, half_d, 2.0), (int(floater.sum()), 3))
    centers = np.array(rooms.centers)
    floating[:, :2] += centers[np.arange(len(floating)) % len(centers)]
    points[floater] = floating
    labels[floater] = 0
    faint = messy | floater
    opacities[faint] = np.minimum(opacities[faint], rng.uniform(0.05, 0.4, int(faint.sum())))
    order = rng.permutation(count)
    columns = (points, _facing(normals, rng), scales, opacities, colors, labels, messy)
    return Splat(*(column[order] for column in columns))


def ply_rows(splat: Splat, rest: int, rng: np.random.Generator) -> np.ndarray:
    """Structured rows in the INRIA layout with `rest` (0 or 9) f_rest properties: slight view-dependent shading."""
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    names += [f"f_rest_{i}" for i in range(rest)] + list(SPLAT_PROPERTIES[6:])
    rows = np.zeros(len(splat.means), np.dtype([(name, "<f4") for name in names]))
    for k, axis in enumerate("xyz"):
        rows[axis] = splat.means[:, k]
        rows[f"f_dc_{k}"] = (splat.colors[:, k] - 0.5) / SH_C0
        rows[f"scale_{k}"] = np.log(splat.scales[:, k])
    for k in range(rest):
        rows[f"f_rest_{k}"] = rng.normal(0, 0.03, len(rows))
    for k in range(4):
        rows[f"rot_{k}"] = splat.quats[:, k]
    rows["opacity"] = logit(splat.opacities)
    return rows


def _shares(pieces: Sequence[Piece], count: int) -> np.ndarray:
    """Gaussians of each piece, int [pieces], together `count`."""
    area = np.array([piece.primitive.area for piece in pieces])
    weight = area**AREA_EXPONENT * np.where([piece.shell for piece in pieces], SHELL_DENSITY, 1)
    fewest = min(FEWEST_OF_PIECE, count // (2 * len(pieces)))
    shares = fewest + np.floor((count - fewest * len(pieces)) * weight / weight.sum()).astype(int)
    shares[np.argmax(shares)] += count - shares.sum()
    return shares


def _narrowest(piece: Piece) -> float:
    """The extent that a disc on the piece must not exceed: the second smallest of a box, whose faces are flat."""
    primitive = piece.primitive
    return sorted(primitive.size)[1] if primitive.kind == "box" else primitive.thickness


def _facing(normals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Unit quaternions (w, x, y, z) [N, 4] that turn +z to the normals, spun at random about them."""
    x, y, z = normals.T
    turn = np.stack([1 + z, -y, x, np.zeros_like(z)], 1)
    turn[z < -0.999999] = (0, 1, 0, 0)
    turn /= np.linalg.norm(turn, axis=1, keepdims=True)
    half = rng.uniform(0, np.pi, len(normals))
    c, s = np.cos(half), np.sin(half)  # times the quaternion (c, 0, 0, s)
    w, a, b, _ = turn.T
    return np.stack([w * c, a * c + b * s, b * c - a * s, w * s], 1)
