"""Numba kernels of the peers."""

# mypy: disable-error-code="no-untyped-def"
# (Numba infers the types of its kernels.)

import math

import numpy as np
from numba import prange

from bgs_engine.raster.cpu.jit import parallel
from bgs_engine.raster.cpu.project import mahalanobis

LABELS_HELD = 32  # different labels a pixel tells apart; later ones are ignored (a pixel shows about ten Gaussians)


@parallel
def blend_channels(width, height, tiles_x, tile, offsets, ranks, records, opacity, cutoff, order, features, alpha_max,
                   t_min, image, caught):  # fmt: skip
    """Fill image [H, W, C] and caught [H, W]; features [N, C] in scene order."""
    t = records.dtype.type
    half, one = t(0.5), t(1)
    channels = features.shape[1]
    for cell in prange(offsets.size - 1):
        sums = np.empty(channels, records.dtype)
        y0, x0 = (cell // tiles_x) * tile, (cell % tiles_x) * tile
        for y in range(y0, min(height, y0 + tile)):
            for x in range(x0, min(width, x0 + tile)):
                through = one
                for d in range(channels):
                    sums[d] = 0
                for k in range(offsets[cell], offsets[cell + 1]):
                    r = ranks[k]
                    q = mahalanobis(records, r, x + half, y + half)
                    if q > cutoff[r]:
                        continue
                    alpha = min(alpha_max, opacity[r] * math.exp(-half * q))
                    after = through * (one - alpha)
                    if after < t_min:
                        break
                    weight = alpha * through
                    through = after
                    i = order[r]
                    for d in range(channels):
                        sums[d] += weight * features[i, d]
                for d in range(channels):
                    image[y, x, d] = sums[d]
                caught[y, x] = one - through


@parallel
def heaviest(width, height, tiles_x, tile, offsets, ranks, records, opacity, cutoff, labels, alpha_max, t_min, out):
    """Fill out int32 [H, W]; labels int32 [M] in depth order, -1 = none."""
    t = records.dtype.type
    half, one = t(0.5), t(1)
    for cell in prange(offsets.size - 1):
        held = np.empty(LABELS_HELD, np.int32)
        weights = np.empty(LABELS_HELD, records.dtype)
        y0, x0 = (cell // tiles_x) * tile, (cell % tiles_x) * tile
        for y in range(y0, min(height, y0 + tile)):
            for x in range(x0, min(width, x0 + tile)):
                through = one
                count, best = 0, -1
                for k in range(offsets[cell], offsets[cell + 1]):
                    r = ranks[k]
                    q = mahalanobis(records, r, x + half, y + half)
                    if q > cutoff[r]:
                        continue
                    alpha = min(alpha_max, opacity[r] * math.exp(-half * q))
                    after = through * (one - alpha)
                    if after < t_min:
                        break
                    weight = alpha * through
                    through = after
                    if labels[r] < 0:
                        continue
                    j = 0
                    while j < count and held[j] != labels[r]:
                        j += 1
                    if j == count:
                        if count == LABELS_HELD:
                            continue
                        held[j], weights[j] = labels[r], 0
                        count += 1
                    weights[j] += weight
                    if best < 0 or weights[j] > weights[best]:
                        best = j
                    if weights[best] > half:  # nothing behind can outweigh it
                        break
                out[y, x] = held[best] if through < half and best >= 0 else -1


@parallel
def row_gradients(offsets, fragment, pixel, weight, grad, out):
    """Sum every touched Gaussian's gradient: out float32 [R, C] of grad [P, C]."""
    for j in prange(offsets.size - 1):
        for d in range(grad.shape[1]):
            out[j, d] = 0
        for e in range(offsets[j], offsets[j + 1]):
            w, p = weight[fragment[e]], pixel[e]
            for d in range(grad.shape[1]):
                out[j, d] += w * grad[p, d]


@parallel
def adam_rows(rows, grads, features, m, v, rate, beta1, beta2, epsilon, unit):
    """One lazy Adam step of the rows; `unit` puts them back on the unit sphere."""
    one = np.float32(1)
    for j in prange(rows.size):
        i = rows[j]
        length = np.float32(0)
        for d in range(features.shape[1]):
            g = grads[j, d]
            m[i, d] = beta1 * m[i, d] + (one - beta1) * g
            v[i, d] = beta2 * v[i, d] + (one - beta2) * g * g
            features[i, d] -= rate * m[i, d] / (math.sqrt(v[i, d]) + epsilon)
            length += features[i, d] * features[i, d]
        if unit:
            scale = one / math.sqrt(max(length, np.float32(1e-12)))
            for d in range(features.shape[1]):
                features[i, d] *= scale
