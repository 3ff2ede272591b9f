"""Sparse pixels: which Gaussians make up each sampled pixel, with weights, and the gradients through them.

A fragment is one (pixel, Gaussian) pair with non-zero weight. Listing the fragments of ~10k sampled pixels once a
step costs less than one full frame, and turns rendering into F = W f with W sparse: forward over pixels, backward
over Gaussians through the transposed list, no atomics, the same sums in the same order on every run.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import prange

from bgs_engine.raster.cpu.jit import parallel, serial
from bgs_engine.raster.cpu.near import (
    BANDS,
    LANES,
    OPACITY,
    ROWS,
    find_hits,
    gather_near,
    longest_list,
    opacity_cutoffs,
)
from bgs_engine.raster.cpu.view import View
from bgs_engine.raster.semantics import ALPHA_MAX, ALPHA_MIN, EXTENT_CAP, TILE, TRANSMITTANCE_MIN

CHUNK = 64  # pixels that share one stretch of the fragment buffers and one thread
RUN = 16  # pixels of a tile that share a list
START_CAPACITY = 64  # fragments a pixel, on average over a chunk; doubled whenever a chunk overflows


@parallel
def _list_fragments(px, py, tiles_x, tile, offsets, ranks, records, opacity, cutoff, alpha_max, t_min, extent_cap,
                    capacity, rank, falloff, weight, start, end):  # fmt: skip
    """Fill the fragment buffers; True if every chunk fitted into CHUNK * capacity fragments.

    Up to `RUN` pixels of one tile that follow each other share one short list of Gaussians, gathered as far as one of
    them looks. It leaves out what none of them can touch.
    """
    pixels = px.size
    chunks = (pixels + CHUNK - 1) // CHUNK
    t = records.dtype.type
    half, one = t(0.5), t(1)
    fits = np.ones(BANDS, np.uint8)
    room = longest_list(offsets) // LANES + 2
    for band in prange(BANDS):
        blocks = np.empty((room, ROWS, LANES), records.dtype)
        number = np.empty((room, LANES), np.int32)
        count = np.empty(room, np.int64)
        q = np.empty(LANES + 1, records.dtype)
        hit = np.empty(LANES + 1, np.int64)
        for c in range(band, chunks, BANDS):
            w = c * CHUNK * capacity
            limit = w + CHUNK * capacity
            stop = min(pixels, (c + 1) * CHUNK)
            first = c * CHUNK
            while first < stop:
                cell = (py[first] // tile) * tiles_x + px[first] // tile
                last = first
                x0, x1, y0, y1 = px[first], px[first], py[first], py[first]
                while last < min(stop, first + RUN) and (py[last] // tile) * tiles_x + px[last] // tile == cell:
                    x0, x1 = min(x0, px[last]), max(x1, px[last])
                    y0, y1 = min(y0, py[last]), max(y1, py[last])
                    last += 1
                source, source_end, held = offsets[cell], offsets[cell + 1], 0
                for p in range(first, last):
                    x, y = t(px[p]) + half, t(py[p]) + half
                    through = one
                    start[p] = w
                    k = 0
                    done = False
                    while not done:
                        if k == held:
                            source, count[k] = gather_near(
                                ranks, source, source_end, records, opacity, cutoff, extent_cap,
                                t(x0) + half, t(x1) + half, t(y0) + half, t(y1) + half, number[k], blocks[k],
                            )  # fmt: skip
                            if not count[k]:
                                break
                            held += 1
                        raw, own = blocks[k, OPACITY], number[k]
                        hits = find_hits(blocks[k], count[k], x, y, q, hit)
                        for h in range(hits):
                            g = math.exp(-half * q[h])
                            alpha = min(alpha_max, raw[hit[h]] * g)
                            after = through * (one - alpha)
                            if after < t_min or w >= limit:
                                fits[band] &= after < t_min
                                done = True
                                break
                            rank[w] = own[hit[h]]
                            falloff[w] = g
                            weight[w] = alpha * through
                            through = after
                            w += 1
                        k += 1
                    end[p] = w
                first = last
    return fits.min() == 1


@parallel
def _forward(start, end, rank, weight, order, features):
    """F [P, D] = sum of weight x feature; features [N, D] in scene order."""
    pixels, channels = start.size, features.shape[1]
    out = np.zeros((pixels, channels), features.dtype)
    for p in prange(pixels):
        for k in range(start[p], end[p]):
            i = order[rank[k]]
            w = weight[k]
            for d in range(channels):
                out[p, d] += w * features[i, d]
    return out


@parallel
def _backward_alpha(start, end, rank, falloff, weight, opacity, order, features, grad, alpha_max):
    """dL/d(opacity) of every fragment, at the fragment's place; 0 where alpha is saturated.

    With s_k = f_k . dF: dL/d(alpha_k) = T_k s_k - (sum over j behind k of w_j s_j) / (1 - alpha_k).
    """
    pixels, channels = start.size, features.shape[1]
    t = features.dtype.type
    one, zero = t(1), t(0)
    out = np.empty(rank.size, features.dtype)
    for p in prange(pixels):
        pulled = False
        for d in range(channels):
            pulled |= grad[p, d] != zero
        if not pulled:  # a step often has many pixels that are right already
            for k in range(start[p], end[p]):
                out[k] = zero
            continue
        behind = zero
        for k in range(end[p] - 1, start[p] - 1, -1):
            i = order[rank[k]]
            raw = opacity[rank[k]] * falloff[k]
            alpha = min(alpha_max, raw)
            s = zero
            for d in range(channels):
                s += features[i, d] * grad[p, d]
            ahead = weight[k] / alpha * s - behind / (one - alpha)
            out[k] = ahead * falloff[k] if raw < alpha_max else zero
            behind += weight[k] * s
    return out


@serial
def transpose(start, end, rank, visible):
    """Counting sort of the fragments by Gaussian: (touched ranks, offsets, fragment numbers, their pixels).

    Whatever is listed by start and end can be sorted, such as sums over several pixels.
    """
    pixels = start.size
    place = np.zeros(visible + 1, np.int32)
    fragments = 0
    for p in range(pixels):
        for k in range(start[p], end[p]):
            place[rank[k] + 1] += 1
        fragments += end[p] - start[p]
    touched = 0
    for r in range(visible):
        touched += place[r + 1] > 0
    ranks = np.empty(touched, np.int32)
    offsets = np.empty(touched + 1, np.int32)
    total, j = 0, 0
    for r in range(visible):
        count = place[r + 1]
        if count:
            ranks[j] = r
            offsets[j] = total
            j += 1
        place[r] = total
        total += count
    offsets[touched] = total
    fragment = np.empty(fragments, np.int32)
    pixel = np.empty(fragments, np.int32)
    for p in range(pixels):
        for k in range(start[p], end[p]):
            q = place[rank[k]]
            place[rank[k]] = q + 1
            fragment[q] = k
            pixel[q] = p
    return ranks, offsets, fragment, pixel


@parallel
def _gather_gradients(rows, offsets, fragment, pixel, weight, grad, alpha_grad, grad_features, grad_opacity):
    """Sum per touched Gaussian, in pixel order; rows int32 [R] scene numbers."""
    channels = grad.shape[1]
    t = grad.dtype.type
    for j in prange(rows.size):
        o = t(0)
        for d in range(channels):
            grad_features[j, d] = 0
        for e in range(offsets[j], offsets[j + 1]):
            k, p = fragment[e], pixel[e]
            w = weight[k]
            o += alpha_grad[k]
            for d in range(channels):
                grad_features[j, d] += w * grad[p, d]
        grad_opacity[j] = o


@dataclass(frozen=True)
class ByGaussian:
    """Fragments regrouped per touched Gaussian.

    rows int32 [R]: scene numbers; offsets int32 [R + 1]; fragment int32 [K] and pixel int32 [K]: which fragment of
    which pixel, in pixel order within a Gaussian.
    """

    rows: np.ndarray
    offsets: np.ndarray
    fragment: np.ndarray
    pixel: np.ndarray


@dataclass(frozen=True)
class Fragments:
    """Fragments of P pixels: pixel p owns start[p]:end[p] of `rank`, `falloff` (exp(-q/2)) and `weight`.

    Valid until the same `FragmentLister` lists again: the buffers are its own.
    """

    view: View
    opacity: np.ndarray  # [M], depth order
    start: np.ndarray
    end: np.ndarray
    rank: np.ndarray
    falloff: np.ndarray
    weight: np.ndarray

    def forward(self, features: np.ndarray) -> np.ndarray:
        """Rendered features [P, D] of features [N, D] in scene order (equation 2)."""
        return _forward(self.start, self.end, self.rank, self.weight, self.view.order, features)

    def coverage(self) -> np.ndarray:
        """Sum of weights per pixel, [P]: how much light the Gaussians catch."""
        ones = np.ones((len(self.view.order), 1), self.weight.dtype)
        identity = np.arange(len(ones), dtype=np.int32)
        return _forward(self.start, self.end, self.rank, self.weight, identity, ones)[:, 0]

    def opacity_gradients(self, features: np.ndarray, grad: np.ndarray) -> np.ndarray:
        """dL/d(opacity) per fragment (buffer order) for dL/dF = grad [P, D]."""
        return _backward_alpha(
            self.start, self.end, self.rank, self.falloff, self.weight, self.opacity,
            self.view.order, features, grad, features.dtype.type(ALPHA_MAX),
        )  # fmt: skip

    def by_gaussian(self) -> ByGaussian:
        """The transposed list."""
        ranks, offsets, fragment, pixel = transpose(self.start, self.end, self.rank, len(self.view.order))
        return ByGaussian(self.view.order[ranks], offsets, fragment, pixel)

    def backward(self, features: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rows [R], dL/d(features) [R, D], dL/d(opacity) [R]) of the touched Gaussians for dL/dF = grad [P, D]."""
        lists = self.by_gaussian()
        alpha_grad = self.opacity_gradients(features, grad)
        grad_features = np.empty((len(lists.rows), grad.shape[1]), grad.dtype)
        grad_opacity = np.empty(len(lists.rows), grad.dtype)
        _gather_gradients(
            lists.rows, lists.offsets, lists.fragment, lists.pixel, self.weight, grad, alpha_grad,
            grad_features, grad_opacity,
        )  # fmt: skip
        return lists.rows, grad_features, grad_opacity


class FragmentLister:
    """Lists fragments into buffers that it keeps, so that a training step allocates nothing large."""

    def __init__(self) -> None:
        self._capacity = START_CAPACITY
        self._buffers: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def list(self, view: View, px: np.ndarray, py: np.ndarray, opacities: np.ndarray) -> Fragments:
        """Fragments of the pixels px, py (int32 [P]); fastest when the pixels are in tile order (`tile_order`).

        opacities: [N] in scene order, in 0..1.
        """
        t = view.records.dtype.type
        opacity, cutoff = opacity_cutoffs(view.order, opacities.astype(t, copy=False), t(ALPHA_MIN), t(EXTENT_CAP))
        start, end = np.empty(len(px), np.int64), np.empty(len(px), np.int64)
        while True:
            rank, falloff, weight = self._reserve(len(px), t)
            fits = _list_fragments(
                px, py, view.tiles_x, TILE, view.offsets, view.ranks, view.records, opacity, cutoff,
                t(ALPHA_MAX), t(TRANSMITTANCE_MIN), t(EXTENT_CAP), self._capacity, rank, falloff, weight,
                start, end,
            )  # fmt: skip
            if fits:
                return Fragments(view, opacity, start, end, rank, falloff, weight)
            self._capacity *= 2

    def _reserve(self, pixels: int, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = -(-pixels // CHUNK) * CHUNK * self._capacity
        if self._buffers is None or len(self._buffers[0]) < size or self._buffers[1].dtype != dtype:
            self._buffers = (np.empty(size, np.int32), np.empty(size, dtype), np.empty(size, dtype))
        return self._buffers


def tile_order(px: np.ndarray, py: np.ndarray, width: int) -> np.ndarray:
    """A stable order of pixels that walks the tiles one by one, so that neighbours share their lists in cache."""
    return np.argsort((py // TILE) * (-(-width // TILE)) + px // TILE, kind="stable")
