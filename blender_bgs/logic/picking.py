"""Which Gaussian is under the mouse."""

import numpy as np

CLICK_RADIUS = 6.0  # pixels around the mouse in which the front-most Gaussian counts as hit


def front_most(
    positions: np.ndarray,
    radii: np.ndarray,
    to_clip: np.ndarray,
    size: tuple[int, int],
    mouse: tuple[float, float],
    click_radius: float = CLICK_RADIUS,
) -> int | None:
    """Row of the Gaussian nearest to the viewer that covers the mouse position, or None.

    positions [N, 3] local; radii [N] local units, 0 = not shown; to_clip [4, 4] from local to clip space (projection x
    view x object); size and mouse in pixels, origin bottom left. A Gaussian counts within its own drawn radius, or
    within `click_radius` where it is smaller than that; among the larger hits the front-most wins.
    """
    shown = np.flatnonzero(radii > 0)
    matrix = np.asarray(to_clip, np.float32)
    points = positions[shown]
    clip = points @ matrix[[0, 1, 3], :3].T + matrix[[0, 1, 3], 3]
    depth = clip[:, 2]
    perspective = bool(np.abs(matrix[3, :3]).max() > 0)
    front = depth > 1e-6 if perspective else np.ones(len(depth), bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (clip[:, 0] / depth + 1) * 0.5 * size[0]
        y = (clip[:, 1] / depth + 1) * 0.5 * size[1]
        # Pixels per local unit: the length of clip-space x and y rows, over depth.
        pixels = np.linalg.norm(matrix[1, :3]) * 0.5 * size[1] / depth
    distance = np.hypot(x - mouse[0], y - mouse[1])
    near = front & (distance <= np.maximum(radii[shown] * pixels, click_radius))
    hits = np.flatnonzero(near)
    if not len(hits):
        return None
    if not perspective:
        z = points[hits] @ matrix[2, :3] + matrix[2, 3]
        return int(shown[hits[np.argmin(z)]])
    return int(shown[hits[np.argmin(depth[hits])]])
