"""Projection to the image plane, as `raster.cpu.project` does it (EWA splatting, Zwicker et al. 2001)."""

import warp as wp

from bgs_engine.raster import semantics
from bgs_engine.raster.warp.kernels import NO_ADJOINT

wp.set_module_options(NO_ADJOINT)

NEAR = wp.constant(float(semantics.NEAR))
FRUSTUM_MARGIN = wp.constant(float(semantics.FRUSTUM_MARGIN))
BLUR = wp.constant(float(semantics.BLUR))
EXTENT_CAP = wp.constant(float(semantics.EXTENT_CAP))
ALPHA_MIN = wp.constant(float(semantics.ALPHA_MIN))
HUGE = wp.constant(1.0e30)
CULLED = wp.constant(3.0e38)  # depth key behind everything: larger than any depth that passes the HUGE test

# Columns of a record; the last three serve the tile lists alone.
X, Y, CONIC_XX, CONIC_XY, CONIC_YY, EXTENT_X, EXTENT_Y, CAP = range(8)
RECORD = 8


@wp.struct
class Pinhole:
    """A camera; lengths in pixels."""

    viewmat: wp.mat44
    fx: wp.float32
    fy: wp.float32
    cx: wp.float32
    cy: wp.float32
    width: wp.float32
    height: wp.float32


@wp.kernel
def project(
    means: wp.array2d[wp.float32],
    covs: wp.array2d[wp.float32],
    opacities: wp.array[wp.float32],
    tight: wp.int32,
    camera: Pinhole,
    records: wp.array2d[wp.float32],
    depths: wp.array[wp.float32],
    ids: wp.array[wp.int32],
):
    """Records [N, 8], depth keys and ids [N] (to be sorted); the key of a Gaussian that is not visible is `CULLED`.

    Visible: in front of the near plane, non-degenerate, and its q <= cap ellipse touches the image. The cap is
    EXTENT_CAP, or, where `tight`, the q beyond which this opacity falls below ALPHA_MIN.
    """
    i = wp.tid()
    ids[i] = i
    depths[i] = CULLED
    cap = EXTENT_CAP
    if tight != 0:
        o = opacities[i]
        if not (o > ALPHA_MIN):
            return
        cap = wp.min(2.0 * wp.log(o / ALPHA_MIN), EXTENT_CAP)
    v = camera.viewmat
    px, py, pz = means[i, 0], means[i, 1], means[i, 2]
    z = v[2, 0] * px + v[2, 1] * py + v[2, 2] * pz + v[2, 3]
    if not (z > NEAR):
        return
    x = v[0, 0] * px + v[0, 1] * py + v[0, 2] * pz + v[0, 3]
    y = v[1, 0] * px + v[1, 1] * py + v[1, 2] * pz + v[1, 3]
    limit_x = FRUSTUM_MARGIN * 0.5 * camera.width / camera.fx
    limit_y = FRUSTUM_MARGIN * 0.5 * camera.height / camera.fy
    iz = 1.0 / z
    mx = camera.fx * x * iz + camera.cx
    my = camera.fy * y * iz + camera.cy
    tx = wp.min(limit_x, wp.max(-limit_x, x * iz)) * z
    ty = wp.min(limit_y, wp.max(-limit_y, y * iz)) * z
    ja = camera.fx * iz
    jb = -camera.fx * tx * iz * iz
    jc = camera.fy * iz
    jd = -camera.fy * ty * iz * iz
    # The two rows of (Jacobian of the projection) x (rotation of the camera).
    u0, u1, u2 = ja * v[0, 0] + jb * v[2, 0], ja * v[0, 1] + jb * v[2, 1], ja * v[0, 2] + jb * v[2, 2]
    w0, w1, w2 = jc * v[1, 0] + jd * v[2, 0], jc * v[1, 1] + jd * v[2, 1], jc * v[1, 2] + jd * v[2, 2]
    s0, s1, s2, s3, s4, s5 = covs[i, 0], covs[i, 1], covs[i, 2], covs[i, 3], covs[i, 4], covs[i, 5]
    p0, p1, p2 = s0 * u0 + s1 * u1 + s2 * u2, s1 * u0 + s3 * u1 + s4 * u2, s2 * u0 + s4 * u1 + s5 * u2
    q0, q1, q2 = s0 * w0 + s1 * w1 + s2 * w2, s1 * w0 + s3 * w1 + s4 * w2, s2 * w0 + s4 * w1 + s5 * w2
    cov_xx = u0 * p0 + u1 * p1 + u2 * p2 + BLUR
    cov_xy = w0 * p0 + w1 * p1 + w2 * p2
    cov_yy = w0 * q0 + w1 * q1 + w2 * q2 + BLUR
    det = cov_xx * cov_yy - cov_xy * cov_xy
    if not (det > 0.0 and det < HUGE):  # degenerate, or so close that float32 overflows
        return
    ex, ey = wp.sqrt(cap * cov_xx), wp.sqrt(cap * cov_yy)
    if mx + ex < 0.0 or mx - ex > camera.width or my + ey < 0.0 or my - ey > camera.height:
        return
    idet = 1.0 / det
    records[i, 0] = mx
    records[i, 1] = my
    records[i, 2] = cov_yy * idet
    records[i, 3] = -cov_xy * idet
    records[i, 4] = cov_xx * idet
    records[i, 5] = ex
    records[i, 6] = ey
    records[i, 7] = cap
    depths[i] = z
