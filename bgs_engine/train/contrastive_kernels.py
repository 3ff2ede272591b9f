"""The pull and push of the paper's objective with its gradient, on the CPU: see `objectives.ContrastiveObjective`."""

import math

import numpy as np

from bgs_engine.raster.cpu.jit import parallel, prange

PARTS = 32  # of the pixels: each sums its own forces on the means, so the result does not depend on the threads


@parallel
def pull_and_push(x, mask, means, count, first, last, virtual_negative, epsilon, grad, force, loss):
    """Fill loss [PARTS] of one level, grad [P, D] without what goes through the means, and force [PARTS, M, D].

    The loss of a pixel is its distance from the mean of its own mask, less its mean distance from the others of its
    group, plus `virtual_negative` times its distance from zero if there are none; every mask counts the same. A
    distance is sqrt(|v|² + epsilon). force summed over its parts is dL/d(means).

    x: float32 [P, D]. mask: int [P]. means: float32 [M, D]. count: int [M], pixels. first, last: int [M], the masks
    of the same group are first[m]:last[m].
    """
    pixels, channels = x.shape
    one, zero = np.float32(1), np.float32(0)
    furthest = math.sqrt(np.float32(channels))
    for part in prange(PARTS):
        total = np.float64(0)
        pushes = force[part]
        pushes[:] = zero
        own = np.empty(channels, np.float32)
        away = np.empty(channels, np.float32)
        for p in range(part * pixels // PARTS, (part + 1) * pixels // PARTS):
            m = mask[p]
            weight = one / np.float32(count[m] * count.size)
            others = last[m] - first[m] - 1
            share = weight / np.float32(max(others, 1))
            here = x[p]
            own[:] = zero
            for other in range(first[m], last[m]):
                mean, push = means[other], pushes[other]
                square = epsilon
                for d in range(channels):
                    away[d] = here[d] - mean[d]
                    square += away[d] * away[d]
                distance = math.sqrt(square)
                if other == m:
                    total += weight * distance
                    scale = weight / distance
                else:
                    total += share * (furthest - distance)
                    scale = -share / distance
                for d in range(channels):
                    own[d] += scale * away[d]
                    push[d] -= scale * away[d]
            if others == 0 and virtual_negative > zero:
                square = epsilon
                for d in range(channels):
                    square += here[d] * here[d]
                distance = math.sqrt(square)
                total += virtual_negative * weight * distance
                for d in range(channels):
                    own[d] += virtual_negative * weight / distance * here[d]
            for d in range(channels):
                grad[p, d] = own[d]
        loss[part] = total
