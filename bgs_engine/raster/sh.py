"""Real spherical harmonics up to degree 4, in the order and signs of the original 3DGS (Kerbl et al. 2023)."""

import numpy as np

C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
C3 = (
    -0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154,
    -0.4570457994644658, 1.445305721320277, -0.5900435899266435,
)  # fmt: skip
C4 = (
    2.5033429417967046, -1.7701307697799304, 0.9461746957575601, -0.6690465435572892, 0.10578554691520431,
    -0.6690465435572892, 0.47308734787878004, -1.7701307697799304, 0.6258357354491761,
)  # fmt: skip


def sh_basis(directions: np.ndarray, count: int) -> np.ndarray:
    """Values of the first `count` (1, 4, 9, 16 or 25) harmonics at unit directions [N, 3]; [N, count]."""
    x, y, z = directions.T
    out = np.empty((len(directions), count), directions.dtype)
    out[:, 0] = C0
    if count > 1:
        out[:, 1], out[:, 2], out[:, 3] = -C1 * y, C1 * z, -C1 * x
    if count > 4:
        xx, yy, zz = x * x, y * y, z * z
        out[:, 4], out[:, 5] = C2[0] * x * y, C2[1] * y * z
        out[:, 6] = C2[2] * (2 * zz - xx - yy)
        out[:, 7], out[:, 8] = C2[3] * x * z, C2[4] * (xx - yy)
    if count > 9:
        out[:, 9], out[:, 10] = C3[0] * y * (3 * xx - yy), C3[1] * x * y * z
        out[:, 11] = C3[2] * y * (4 * zz - xx - yy)
        out[:, 12] = C3[3] * z * (2 * zz - 3 * xx - 3 * yy)
        out[:, 13] = C3[4] * x * (4 * zz - xx - yy)
        out[:, 14], out[:, 15] = C3[5] * z * (xx - yy), C3[6] * x * (xx - 3 * yy)
    if count > 16:
        out[:, 16], out[:, 17] = C4[0] * x * y * (xx - yy), C4[1] * y * z * (3 * xx - yy)
        out[:, 18], out[:, 19] = C4[2] * x * y * (7 * zz - 1), C4[3] * y * z * (7 * zz - 3)
        out[:, 20] = C4[4] * (zz * (35 * zz - 30) + 3)
        out[:, 21], out[:, 22] = C4[5] * x * z * (7 * zz - 3), C4[6] * (xx - yy) * (7 * zz - 1)
        out[:, 23] = C4[7] * x * z * (xx - 3 * yy)
        out[:, 24] = C4[8] * (xx * (xx - 3 * yy) - yy * (3 * xx - yy))
    return out


def sh_colors(
    sh: np.ndarray, means: np.ndarray, camera_position: np.ndarray, forward: np.ndarray | None = None
) -> np.ndarray:
    """Colour of each Gaussian seen from a camera, float32 [N, 3], clamped below at 0.

    Args:
        sh: coefficients [N, K, 3].
        means: centres [N, 3].
        camera_position: [3].
        forward: [3], the one viewing direction of an orthographic camera.
    """
    if sh.shape[1] == 1:
        return np.maximum(sh[:, 0] * np.float32(C0) + np.float32(0.5), 0)
    if forward is not None:
        directions = np.broadcast_to(forward.astype(means.dtype), means.shape).copy()
    else:
        directions = means - camera_position.astype(means.dtype)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    return np.maximum(np.einsum("nk,nkc->nc", sh_basis(directions, sh.shape[1]), sh) + np.float32(0.5), 0)
