"""The rasteriser in plain torch float64, for the tests: dense over pixels × Gaussians and differentiable.

The code is not optimised. Every line states one sentence of `semantics`, and autograd gives the gradients. Memory grows
with pixels × Gaussians, so it suits scenes of a few hundred Gaussians and pictures of a few thousand pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from bgs_engine.core.cameras import Camera
from bgs_engine.raster.semantics import ALPHA_MAX, ALPHA_MIN, BLUR, EMPTY_CODE, FRUSTUM_MARGIN, NEAR, TRANSMITTANCE_MIN


@dataclass(frozen=True)
class Projected:
    """N Gaussians on the image plane: centers [N, 2] px, conics [N, 3] (xx, xy, yy) px⁻², depths [N], visible [N]."""

    centers: Tensor
    conics: Tensor
    depths: Tensor
    visible: Tensor


@dataclass(frozen=True)
class Composited:
    """The composition of P pixels: weights [P, N] in scene order, transmittance [P] behind the last Gaussian.

    doubt [P]: how close the pixel's nearest yes-or-no decision (ALPHA_MIN, ALPHA_MAX, TRANSMITTANCE_MIN) came to its
    threshold, relative to it. Arithmetic of less precision may decide otherwise where this is below its error.
    """

    weights: Tensor
    transmittance: Tensor
    doubt: Tensor


def covariances(quats: Tensor, scales: Tensor) -> Tensor:
    """R diag(s²) Rᵀ, [N, 3, 3]; quats [N, 4] unit (w, x, y, z), scales [N, 3]."""
    w, x, y, z = quats.unbind(1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], 1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], 1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1),
    ]
    axes = torch.stack(rows, 1) * scales[:, None, :]
    return axes @ axes.transpose(1, 2)


def project(means: Tensor, covs: Tensor, camera: Camera) -> Projected:
    """EWA projection (Zwicker et al. 2001) of means [N, 3] and covs [N, 3, 3], with blur and the margin clamp."""
    viewmat = torch.as_tensor(camera.viewmat, dtype=means.dtype)
    rotation = viewmat[:3, :3]
    x, y, z = (means @ rotation.T + viewmat[:3, 3]).unbind(1)
    in_front = z > NEAR
    z = torch.where(in_front, z, torch.ones_like(z))  # what is behind is cut below; only its division must be safe
    limit_x = FRUSTUM_MARGIN * 0.5 * camera.width / camera.fx
    limit_y = FRUSTUM_MARGIN * 0.5 * camera.height / camera.fy
    away = torch.ones_like(z) if camera.orthographic else z
    clamped_x, clamped_y = (x / z).clamp(-limit_x, limit_x) * z, (y / z).clamp(-limit_y, limit_y) * z
    zero = torch.zeros_like(z)
    if camera.orthographic:  # parallel rays: nothing changes with depth
        clamped_x = clamped_y = zero
    jacobian = torch.stack(
        [
            torch.stack([camera.fx / away, zero, -camera.fx * clamped_x / z**2], 1),
            torch.stack([zero, camera.fy / away, -camera.fy * clamped_y / z**2], 1),
        ],
        1,
    )
    to_plane = jacobian @ rotation
    plane = to_plane @ covs @ to_plane.transpose(1, 2) + BLUR * torch.eye(2, dtype=means.dtype)
    xx, xy, yy = plane[:, 0, 0], plane[:, 0, 1], plane[:, 1, 1]
    det = xx * yy - xy * xy
    sound = (det > 0) & (det < 1e30)
    det = torch.where(sound, det, torch.ones_like(det))
    centers = torch.stack([camera.fx * x / away + camera.cx, camera.fy * y / away + camera.cy], 1)
    return Projected(centers, torch.stack([yy, -xy, xx], 1) / det[:, None], z, in_front & sound)


def composite(projected: Projected, opacities: Tensor, px: Tensor, py: Tensor) -> Composited:
    """Weights of every Gaussian in the pixels px, py (int [P]); opacities [N] in 0..1 (equation 1)."""
    order = torch.sort(projected.depths.float(), stable=True).indices  # equal at float32: scene order counts
    order = order[projected.visible[order]]
    dx = projected.centers[order, 0] - (px[:, None] + 0.5)
    dy = projected.centers[order, 1] - (py[:, None] + 0.5)
    xx, xy, yy = projected.conics[order].unbind(1)
    raw = opacities[order] * torch.exp(-0.5 * (xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy))
    alpha = torch.where(raw < ALPHA_MIN, torch.zeros_like(raw), raw.clamp(max=ALPHA_MAX))
    after = torch.cumprod(1 - alpha, 1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], 1)
    walked = after >= TRANSMITTANCE_MIN  # after never grows: the walk ends at the first that falls below
    sorted_weights = torch.where(walked, alpha * before, torch.zeros_like(alpha))
    weights = torch.zeros((len(px), len(opacities)), dtype=raw.dtype).index_copy(1, order, sorted_weights)
    thresholds = ((raw, ALPHA_MIN), (raw, ALPHA_MAX), (after, TRANSMITTANCE_MIN))
    doubts = [(values.detach() / limit - 1).abs() for values, limit in thresholds]
    doubt = torch.cat([*doubts, torch.ones((len(px), 1), dtype=raw.dtype)], 1)  # an empty pixel decides nothing
    return Composited(weights, 1 - weights.sum(1), doubt.amin(1))


def blended_bits(weights: Tensor, codes: Tensor, bits: int) -> Tensor:
    """Blended value of each bit, [P, bits], least significant first; codes int64 [N], 0 .. 2^bits - 1."""
    planes = (codes[:, None] >> torch.arange(bits)) & 1
    return weights @ planes.to(weights.dtype)


def label_map(composited: Composited, codes: Tensor, bits: int) -> Tensor:
    """Codes, int64 [P]: every bit that blends to more than 0.5 (equation 3); EMPTY_CODE where T >= 0.5."""
    decided = blended_bits(composited.weights, codes, bits) > 0.5
    labels = (decided.long() << torch.arange(bits)).sum(1)
    return torch.where(composited.transmittance >= 0.5, EMPTY_CODE, labels)
