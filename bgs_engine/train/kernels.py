"""Numba kernels of the optimiser."""

import math

import numpy as np

from bgs_engine.raster.cpu.jit import parallel, prange

MAX_CHANNELS = 32


@parallel
def adam_on_touched(
    rows, offsets, fragment, pixel, weight, grad, alpha_grad, pulled, stirred,
    features, m, v, logits, opacities, logit_m, logit_v, feature_rate, opacity_rate, beta1, beta2, epsilon,
):  # fmt: skip
    """Sum each touched Gaussian's gradients, in pixel order, and take its Adam step at once.

    No [N, D] gradient exists. Rows that no pixel touched keep their moments (lazy Adam). The moments start at zero
    without bias correction: beta2 = 0.99 with beta1 = 0.9 makes a row's first step exactly the corrected one
    (0.1 g / sqrt(0.01 g²)). Features stay within 0..1; opacities [N] follow the logits [N].

    pulled: bool [P], whether the pixel has a gradient. stirred: bool [N], whether the row ever had one; it is kept up
    to date. A row that never had one has nothing to change, and its memory is not read.
    """
    channels = features.shape[1]
    one, zero = np.float32(1), np.float32(0)
    for j in prange(rows.size):
        s = np.empty(MAX_CHANNELS, np.float32)
        i = rows[j]
        for e in range(offsets[j], offsets[j + 1]):
            stirred[i] |= pulled[pixel[e]]
        if not stirred[i]:
            continue
        for d in range(channels):
            s[d] = 0
        g = zero
        for e in range(offsets[j], offsets[j + 1]):
            k, p = fragment[e], pixel[e]
            if not pulled[p]:
                continue
            w = weight[k]
            g += alpha_grad[k]
            for d in range(channels):
                s[d] += w * grad[p, d]
        for d in range(channels):
            m[i, d] = beta1 * m[i, d] + (one - beta1) * s[d]
            v[i, d] = beta2 * v[i, d] + (one - beta2) * s[d] * s[d]
            step = feature_rate * m[i, d] / (math.sqrt(v[i, d]) + epsilon)
            features[i, d] = min(one, max(zero, features[i, d] - step))
        if opacity_rate > zero:
            g *= opacities[i] * (one - opacities[i])
            logit_m[i] = beta1 * logit_m[i] + (one - beta1) * g
            logit_v[i] = beta2 * logit_v[i] + (one - beta2) * g * g
            logits[i] -= opacity_rate * logit_m[i] / (math.sqrt(logit_v[i]) + epsilon)
            opacities[i] = one / (one + math.exp(-logits[i]))
