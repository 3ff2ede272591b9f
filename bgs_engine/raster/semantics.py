"""The rules that every rasteriser here follows, and their constants (the semantics of gsplat 1.5).

A pixel at (x, y) sees the Gaussians of its view front to back. Gaussian i with opacity o_i and squared Mahalanobis
distance q has alpha_i = min(ALPHA_MAX, o_i exp(-q / 2)); it is skipped below ALPHA_MIN. Its weight is alpha_i T_i with
T_i the transmittance in front of it (equation 1 of the paper). The walk ends before the Gaussian that would bring the
transmittance below TRANSMITTANCE_MIN. Depth order is that of the centres; equal depths keep the scene's order.
"""

import math

ALPHA_MAX = 0.999
ALPHA_MIN = 1.0 / 255.0
TRANSMITTANCE_MIN = 1e-4
BLUR = 0.3  # px², added to the diagonal of every projected covariance (anti-aliasing of the original 3DGS)
NEAR = 0.01  # scene units; nothing closer to the camera plane is drawn
FRUSTUM_MARGIN = 1.3  # the projection's Jacobian is evaluated at most this far outside the half image
EXTENT_CAP = 2.0 * math.log(255.0)  # q at which even opacity 1 falls below ALPHA_MIN: lists never depend on opacity
TILE = 16  # px, edge of a square tile
EMPTY_CODE = 0xFFFFFFFF  # of pixels in which Gaussians catch less than half the light
