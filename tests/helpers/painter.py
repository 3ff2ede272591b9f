"""Paints a splat as the engine's rasteriser means it, in NumPy alone: the truth for pictures taken where there is no
engine. Gaussian by Gaussian, nearest first, each on the patch that it covers; seconds for some thousand of them.

tests/unit_extension/test_painter.py holds it to the engine itself.
"""

import numpy as np

ALPHA_MAX, ALPHA_MIN, BLUR, MARGIN, STOP = 0.999, 1 / 255, 0.3, 1.3, 1e-4


def harmonics(sh, directions):
    """Colours [N, 3] from coefficients [N, K, 3] in unit directions [N, 3] (Kerbl et al. 2023)."""
    x, y, z = directions.T
    xx, yy, zz = x * x, y * y, z * z
    basis = [np.full_like(x, 0.28209479177387814), -0.4886025119029199 * y, 0.4886025119029199 * z,
             -0.4886025119029199 * x, 1.0925484305920792 * x * y, -1.0925484305920792 * y * z,
             0.31539156525252005 * (2 * zz - xx - yy), -1.0925484305920792 * x * z, 0.5462742152960396 * (xx - yy),
             -0.5900435899266435 * y * (3 * xx - yy), 2.890611442640554 * x * y * z,
             -0.4570457994644658 * y * (4 * zz - xx - yy), 0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
             -0.4570457994644658 * x * (4 * zz - xx - yy), 1.445305721320277 * z * (xx - yy),
             -0.5900435899266435 * x * (xx - 3 * yy)]  # fmt: skip
    return np.maximum(np.einsum("kn,nkc->nc", np.array(basis[: sh.shape[1]]), sh) + 0.5, 0)


def paint(rows, matrix, projection, view, size, colors=None):
    """(picture [H, W, 3] over black, transmittance [H, W]), top row first.

    rows: structured PLY rows; matrix: object → world; projection: OpenGL's; view: world → camera looking along -z;
    colors: [N, 3] instead of the rows' own.
    """
    width, height = size
    mean = np.stack([rows[n] for n in "xyz"], 1).astype(float)
    scale = np.exp(np.stack([rows[f"scale_{k}"] for k in range(3)], 1).astype(float))
    quat = np.stack([rows[f"rot_{k}"] for k in range(4)], 1).astype(float)
    quat /= np.linalg.norm(quat, axis=1, keepdims=True)
    opacity = 1 / (1 + np.exp(-rows["opacity"].astype(float)))
    w, x, y, z = quat.T
    turn = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                     [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                     [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])  # fmt: skip
    turn = turn.transpose(2, 0, 1)
    both = view @ matrix
    seen = mean @ both[:3, :3].T + both[:3, 3]
    depth = -seen[:, 2]
    perspective = projection[3, 2] != 0
    away = depth if perspective else np.ones_like(depth)
    if colors is None:
        rest = sum(n.startswith("f_rest_") for n in rows.dtype.names) // 3
        sh = np.empty((len(rows), 1 + rest, 3))
        for c in range(3):
            sh[:, 0, c] = rows[f"f_dc_{c}"]
            for k in range(rest):
                sh[:, 1 + k, c] = rows[f"f_rest_{c * rest + k}"]
        inverse = np.linalg.inv(both[:3, :3])
        direction = mean - -inverse @ both[:3, 3] if perspective else np.tile(inverse @ (0, 0, -1), (len(rows), 1))
        colors = harmonics(sh, direction / np.linalg.norm(direction, axis=1, keepdims=True))
    fx, fy = projection[0, 0] * width / 2, projection[1, 1] * height / 2
    jacobian = np.zeros((len(rows), 2, 3))
    jacobian[:, 0, 0], jacobian[:, 1, 1] = fx / away, fy / away
    if perspective:
        limit = MARGIN / np.array([projection[0, 0], projection[1, 1]])
        at = np.clip(seen[:, :2] / depth[:, None], -limit, limit)
        jacobian[:, 0, 2], jacobian[:, 1, 2] = fx * at[:, 0] / depth, fy * at[:, 1] / depth
    axes = jacobian @ both[:3, :3] @ (turn * scale[:, None, :])
    plane = axes @ axes.transpose(0, 2, 1) + BLUR * np.eye(2)
    conic = np.linalg.inv(plane)
    ndc = (seen @ projection[:2, :3].T + projection[:2, 3]) / away[:, None]
    center = (ndc + 1) * 0.5 * np.array(size)
    reach = np.sqrt(2 * np.log(np.maximum(255 * opacity, 1)))[:, None] * np.sqrt(plane[:, [0, 1], [0, 1]])
    low = np.clip(np.floor(center - reach), 0, size).astype(int)
    high = np.clip(np.ceil(center + reach) + 1, 0, size).astype(int)
    picture, through = np.zeros((height, width, 3)), np.ones((height, width))
    near = depth > 0.01 if perspective else np.ones(len(depth), bool)
    for i in np.flatnonzero(near)[np.argsort(depth[near], kind="stable")]:
        (x0, y0), (x1, y1) = low[i], high[i]
        if x1 <= x0 or y1 <= y0:
            continue
        ex = np.arange(x0, x1)[None] + 0.5 - center[i, 0]
        ey = np.arange(y0, y1)[:, None] + 0.5 - center[i, 1]
        a, b, c = conic[i, 0, 0], conic[i, 0, 1], conic[i, 1, 1]
        alpha = np.minimum(ALPHA_MAX, opacity[i] * np.exp(-0.5 * (a * ex * ex + 2 * b * ex * ey + c * ey * ey)))
        patch = through[y0:y1, x0:x1]
        alpha[(alpha < ALPHA_MIN) | (patch * (1 - alpha) < STOP)] = 0
        picture[y0:y1, x0:x1] += (alpha * patch)[..., None] * colors[i]
        patch *= 1 - alpha
    return picture[::-1].clip(0, 1), through[::-1]


def psnr(a, b):
    """Peak signal to noise of pictures 0..1, decibels."""
    return float(-10 * np.log10(max(np.mean((a - b) ** 2), 1e-12)))
