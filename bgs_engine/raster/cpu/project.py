"""Projection of Gaussians to the image plane (EWA splatting: Zwicker et al. 2001; Kerbl et al. 2023).

Kernels are generic in their float type: float32 in use, float64 in the tests against the reference.
"""

import math

import numpy as np
from numba import prange

from bgs_engine.raster.cpu.jit import inline, parallel, serial

# Columns of a projected record.
X, Y, CONIC_XX, CONIC_XY, CONIC_YY, EXTENT_X, EXTENT_Y, DEPTH = range(8)
RECORD = 8


@parallel
def covariances(quats, scales):
    """Upper triangles (xx, xy, xz, yy, yz, zz) [N, 6] of R diag(s²) Rᵀ; quats [N, 4] unit wxyz, scales [N, 3]."""
    n = quats.shape[0]
    out = np.empty((n, 6), quats.dtype)
    one = quats.dtype.type(1)
    two = quats.dtype.type(2)
    for i in prange(n):
        w, x, y, z = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
        a, b, c = scales[i, 0] ** 2, scales[i, 1] ** 2, scales[i, 2] ** 2
        r00, r01, r02 = one - two * (y * y + z * z), two * (x * y - w * z), two * (x * z + w * y)
        r10, r11, r12 = two * (x * y + w * z), one - two * (x * x + z * z), two * (y * z - w * x)
        r20, r21, r22 = two * (x * z - w * y), two * (y * z + w * x), one - two * (x * x + y * y)
        out[i, 0] = r00 * r00 * a + r01 * r01 * b + r02 * r02 * c
        out[i, 1] = r00 * r10 * a + r01 * r11 * b + r02 * r12 * c
        out[i, 2] = r00 * r20 * a + r01 * r21 * b + r02 * r22 * c
        out[i, 3] = r10 * r10 * a + r11 * r11 * b + r12 * r12 * c
        out[i, 4] = r10 * r20 * a + r11 * r21 * b + r12 * r22 * c
        out[i, 5] = r20 * r20 * a + r21 * r21 * b + r22 * r22 * c
    return out


@parallel
def project(means, covs, viewmat, fx, fy, cx, cy, width, height, near, margin, blur, extent_cap,
            orthographic, records, visible):  # fmt: skip
    """Fill `records` [N, 8] and `visible` uint8 [N].

    Visible: in front of the near plane, non-degenerate, and its q <= extent_cap ellipse touches the image.
    orthographic: parallel rays, fx and fy in pixels per scene unit.
    Scalars and arrays share one float type.
    """
    n = means.shape[0]
    t = means.dtype.type
    zero, one, half, huge = t(0), t(1), t(0.5), t(1e30)
    limit_x = margin * half * width / fx
    limit_y = margin * half * height / fy
    v = viewmat
    for i in prange(n):
        visible[i] = 0
        px, py, pz = means[i, 0], means[i, 1], means[i, 2]
        z = v[2, 0] * px + v[2, 1] * py + v[2, 2] * pz + v[2, 3]
        if not z > near:
            continue
        x = v[0, 0] * px + v[0, 1] * py + v[0, 2] * pz + v[0, 3]
        y = v[1, 0] * px + v[1, 1] * py + v[1, 2] * pz + v[1, 3]
        iz = one if orthographic else one / z
        mx, my = fx * x * iz + cx, fy * y * iz + cy
        tx = min(limit_x, max(-limit_x, x * iz)) * z
        ty = min(limit_y, max(-limit_y, y * iz)) * z
        ja, jb = fx * iz, zero if orthographic else -fx * tx * iz * iz
        jc, jd = fy * iz, zero if orthographic else -fy * ty * iz * iz
        # The two rows of (Jacobian of the projection) x (rotation of the camera).
        u0, u1, u2 = ja * v[0, 0] + jb * v[2, 0], ja * v[0, 1] + jb * v[2, 1], ja * v[0, 2] + jb * v[2, 2]
        w0, w1, w2 = jc * v[1, 0] + jd * v[2, 0], jc * v[1, 1] + jd * v[2, 1], jc * v[1, 2] + jd * v[2, 2]
        s0, s1, s2, s3, s4, s5 = covs[i, 0], covs[i, 1], covs[i, 2], covs[i, 3], covs[i, 4], covs[i, 5]
        p0, p1, p2 = s0 * u0 + s1 * u1 + s2 * u2, s1 * u0 + s3 * u1 + s4 * u2, s2 * u0 + s4 * u1 + s5 * u2
        q0, q1, q2 = s0 * w0 + s1 * w1 + s2 * w2, s1 * w0 + s3 * w1 + s4 * w2, s2 * w0 + s4 * w1 + s5 * w2
        cov_xx = u0 * p0 + u1 * p1 + u2 * p2 + blur
        cov_xy = w0 * p0 + w1 * p1 + w2 * p2
        cov_yy = w0 * q0 + w1 * q1 + w2 * q2 + blur
        det = cov_xx * cov_yy - cov_xy * cov_xy
        if not (det > zero and det < huge):  # degenerate, or so close that float32 overflows
            continue
        ex, ey = math.sqrt(extent_cap * cov_xx), math.sqrt(extent_cap * cov_yy)
        if mx + ex < zero or mx - ex > width or my + ey < zero or my - ey > height:
            continue
        idet = one / det
        records[i, X] = mx
        records[i, Y] = my
        records[i, CONIC_XX] = cov_yy * idet
        records[i, CONIC_XY] = -cov_xy * idet
        records[i, CONIC_YY] = cov_xx * idet
        records[i, EXTENT_X] = ex
        records[i, EXTENT_Y] = ey
        records[i, DEPTH] = z
        visible[i] = 1


@serial
def depth_order(records, visible):
    """Numbers of the visible Gaussians, int32 [M], near to far, stable.

    Radix sort, 3 passes of 11 bits over the float32 pattern: positive floats sort like unsigned integers.
    """
    n = 0
    for i in range(visible.size):
        n += visible[i]
    keys, keys2 = np.empty(n, np.uint32), np.empty(n, np.uint32)
    ids, ids2 = np.empty(n, np.int32), np.empty(n, np.int32)
    histogram = np.zeros((3, 2048), np.int64)
    low = np.uint32(2047)
    j = 0
    for i in range(visible.size):
        if visible[i]:
            key = np.float32(records[i, DEPTH]).view(np.uint32)
            keys[j] = key
            ids[j] = i
            j += 1
            histogram[0, key & low] += 1
            histogram[1, (key >> np.uint32(11)) & low] += 1
            histogram[2, key >> np.uint32(22)] += 1
    for digit in range(3):
        total = 0
        for b in range(2048):
            count = histogram[digit, b]
            histogram[digit, b] = total
            total += count
    for digit in range(3):
        shift = np.uint32(11 * digit)
        for i in range(n):
            bucket = (keys[i] >> shift) & low
            place = histogram[digit, bucket]
            histogram[digit, bucket] = place + 1
            keys2[place] = keys[i]
            ids2[place] = ids[i]
        keys, keys2 = keys2, keys
        ids, ids2 = ids2, ids
    return ids


@parallel
def gather(order, records):
    """The records of the visible Gaussians in depth order, [M, 8]."""
    out = np.empty((order.size, RECORD), records.dtype)
    for r in prange(order.size):
        for k in range(RECORD):
            out[r, k] = records[order[r], k]
    return out


@inline
def mahalanobis(records, r, x, y):
    """Squared Mahalanobis distance q of the point (x, y) from record r."""
    dx, dy = records[r, X] - x, records[r, Y] - y
    cross = records[r, CONIC_XY] + records[r, CONIC_XY]
    return records[r, CONIC_XX] * dx * dx + cross * dx * dy + records[r, CONIC_YY] * dy * dy
