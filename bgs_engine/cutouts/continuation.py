"""Continues a picture into a hole: which cell each cell of the hole is copied from, and the change of its colour.

The copies are shifts of the picture (Pritch et al. 2009) of which only the few are tried that bring the surroundings of
the hole onto alike cells (He and Sun 2012): they follow stripes, tiles and boards, and keep large pieces together.
"""

import numpy as np

from bgs_engine.cutouts.surface_map import Hole, grown

SHIFTS = 24  # that are tried for each block of a hole
BLOCK = 14  # cells, the least width of a block
BLOCKS = 3  # along a side of a hole, at most
KEPT = 14  # shifts, those that most cells chose: few pieces have few seams
FEWEST_PAIRS = 0.15  # of the ring: a shift that compares less of it says little
FEWEST_SOURCES = 0.1  # of the block: a shift that can fill less is not tried
RING_CELLS = 6  # width of the ring that a shift is judged by, at least
SPOILT = 2  # cells beside the object, which its shadow and its blur reach: they are not copied
SEAM = 0.7  # weight of the seams between pieces against the ring's likeness
CHANGE = 0.5  # of the usual unlikeness: what any seam costs
LEVEL = 0.5  # weight of the mean colour around a copy against the ring's likeness
ROUNDS = 8  # of smoothing
NEARNESS = (2.0, 5.0, 12.0)  # cells, widths of the Gaussians whose sum weighs the ring
MOST_TINT = 0.12  # of colour, 0 to 1: a larger difference is a pattern, no shade


def sources_of(hole: Hole, colors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each open cell of a hole the cell that it is copied from, int [H, W], row * W + column; -1 elsewhere.

    colors [H, W, 3], 0 to 1. Open cells are in the order of the grid. Nothing is copied if no cell is known.
    """
    out = np.full(hole.open.shape, -1)
    if not hole.open.any() or not hole.known.any():
        return out
    clean = hole.known & ~grown(hole.open, SPOILT)
    usable = clean if clean.sum() > 2 * hole.open.sum() else hole.known
    shifts = _shifts(hole, usable, colors)
    if len(shifts):
        cells = np.argwhere(hole.open)
        for _ in range(2):
            costs, there = _costs(hole, usable, colors, cells, shifts)
            chosen = _smoothed(usable, colors, cells, shifts, costs)
            uses = np.bincount(chosen, minlength=len(shifts))
            # Cells that only a rare shift can fill keep one.
            alone = np.isfinite(costs[np.argsort(uses)[-KEPT:]]).any(0)
            rare = np.bincount(chosen[~alone], minlength=len(shifts)) > 0
            rare[np.argsort(uses)[-KEPT:]] = True
            used = rare & (uses > 0)
            if used.all():
                break
            shifts = shifts[used]
            chosen = (np.cumsum(used) - 1)[chosen]
            costs, there = costs[used], there[used]
        fine = np.isfinite(costs[chosen, np.arange(len(cells))])
        out[tuple(cells[fine].T)] = there[chosen, np.arange(len(cells))][fine]
    lost = np.argwhere(hole.open & (out < 0))
    if len(lost):  # a hole larger than its surroundings: any known cell among the nearest
        known = np.argwhere(usable)
        for start in range(0, len(lost), 512):
            some = lost[start : start + 512]
            apart = ((some[:, None] - known[None]) ** 2).sum(2)
            nearest = np.argpartition(apart, min(24, len(known) - 1), 1)[:, :25]
            pick = nearest[np.arange(len(some)), rng.integers(nearest.shape[1], size=len(some))]
            out[tuple(some.T)] = known[pick, 0] * hole.open.shape[1] + known[pick, 1]
    return out


def _shifts(hole: Hole, usable: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Shifts, int [S, 2], that bring the ring around some block of the hole onto alike cells."""
    low, high = (np.argwhere(hole.open).min(0), np.argwhere(hole.open).max(0) + 1)
    size = np.maximum(BLOCK, -(-(high - low) // BLOCKS))
    width = max(RING_CELLS, round(0.35 * np.sqrt(hole.open.sum())))
    ring = hole.known & grown(hole.open, width)
    centered = colors - colors[hole.known].mean(0)
    found: set[tuple[int, int]] = set()
    for top in range(low[0], high[0], size[0]):
        for left in range(low[1], high[1], size[1]):
            block = np.zeros_like(hole.open)
            block[top : top + size[0], left : left + size[1]] = True
            block &= hole.open
            beside = ring & grown(block, width)
            if block.any():
                found |= set(_best_shifts(beside if beside.any() else ring, block, usable, centered))
    return np.array(sorted(found), int).reshape(-1, 2)


def _best_shifts(ring: np.ndarray, block: np.ndarray, usable: np.ndarray, colors: np.ndarray) -> list[tuple[int, int]]:
    """The shifts that bring a ring onto the most alike usable cells, and can fill some of a block."""
    count = _correlated(ring, usable)
    unlike = np.zeros_like(count)
    for channel in np.moveaxis(colors, 2, 0):
        unlike += _correlated(ring * channel**2, usable) + _correlated(ring * 1.0, usable * channel**2)
        unlike -= 2 * _correlated(ring * channel, usable * channel)
    can_fill = _correlated(block, usable)
    fine = (count > max(4.0, FEWEST_PAIRS * ring.sum())) & (can_fill > FEWEST_SOURCES * block.sum())
    score = np.where(fine, unlike.clip(min=0) / np.maximum(count, 1) + 1e-4 * (1 - count / max(ring.sum(), 1)), np.inf)
    shifts: list[tuple[int, int]] = []
    half = np.array(score.shape) // 2
    while len(shifts) < SHIFTS:
        y, x = np.unravel_index(int(score.argmin()), score.shape)
        if not np.isfinite(score[y, x]):
            break
        shifts.append((int(y) - int(half[0]), int(x) - int(half[1])))
        score[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = np.inf
    return shifts


def _correlated(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sums of one(x) other(x + shift) for every shift, [2 H, 2 W]; shift 0 is in the middle."""
    shape = [2 * n for n in one.shape]
    product = np.conj(np.fft.rfft2(one, shape)) * np.fft.rfft2(other, shape)
    return np.asarray(np.fft.fftshift(np.fft.irfft2(product, shape)))


def _looked_up(cells: np.ndarray, shifts: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cell [S, C] that each shift brings each of `cells` [C, 2] to, and whether it is known."""
    height, width = known.shape
    y, x = np.moveaxis(cells[None] + shifts[:, None], 2, 0)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    there = np.where(inside, y * width + x, 0)
    return there, inside & known.ravel()[there]


def _costs(
    hole: Hole, usable: np.ndarray, colors: np.ndarray, cells: np.ndarray, shifts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How unlike the ring is near each open cell under each shift, [S, C], and the cell that it brings it to, [S, C].

    The ring counts by nearness: within a few cells at the rim, and as a whole in the middle. A shift costs infinity
    where it has nothing to copy.
    """
    width = max(RING_CELLS, round(0.35 * np.sqrt(hole.open.sum())))
    rim = np.argwhere(hole.known & grown(hole.open, width))
    at, seen = _looked_up(rim, shifts, usable)
    flat = colors.reshape(-1, 3)
    value = np.where(seen, ((flat[at] - colors[tuple(rim.T)]) ** 2).sum(2), 0)
    whole = value.sum(1) / np.maximum(seen.sum(1), 1)
    apart = np.sqrt(((cells[:, None] - rim[None]) ** 2).sum(2))  # [C, R]
    nearness = np.zeros_like(apart)
    for spread in NEARNESS:
        nearness += np.exp(-0.5 * (apart / spread) ** 2) / spread**2
    total, mass = value @ nearness.T, seen.astype(float) @ nearness.T
    little = 0.02  # of the nearness: where no ring is near, the whole ring decides
    costs = (total + little * whole[:, None]) / (mass + little)
    there, valid = _looked_up(cells, shifts, usable)
    # What is copied has to be about as bright as the ring nearby: no light stones into dark ground.
    usual, wanted = _smooth(colors, hole.known, (3.0,)), _smooth(colors, hole.known, (4.0, 12.0, 40.0))
    costs += LEVEL * ((usual.reshape(-1, 3)[there] - wanted[tuple(cells.T)]) ** 2).sum(2)
    costs[~valid] = np.inf
    return costs, there


def _smooth(colors: np.ndarray, known: np.ndarray, widths: tuple[float, ...]) -> np.ndarray:
    """The mean colour of the known cells around each cell, [H, W, 3]; wide filters count where narrow ones see none."""
    total, mass = np.zeros_like(colors), np.full(known.shape, 1e-12)
    for width in widths:
        total += _blurred(np.moveaxis(colors * known[..., None], 2, 0), width).transpose(1, 2, 0)
        mass += _blurred(known[None] * 1.0, width)[0]
    return np.asarray(total / mass[..., None])


def _blurred(pictures: np.ndarray, width: float) -> np.ndarray:
    """Pictures [S, H, W] under a Gaussian filter of `width` cells, with nothing beyond the border."""
    for axis in (1, 2):
        count = pictures.shape[axis]
        steps = np.arange(count)
        kernel = np.exp(-0.5 * ((steps[:, None] - steps[None]) / width) ** 2) / (width * np.sqrt(2 * np.pi))
        pictures = np.moveaxis(np.tensordot(pictures, kernel, (axis, 0)), -1, axis)
    return pictures


def _smoothed(
    usable: np.ndarray, colors: np.ndarray, cells: np.ndarray, shifts: np.ndarray, costs: np.ndarray
) -> np.ndarray:
    """The shift of each open cell, int [C]: cheap, and with seams that do not show (iterated conditional modes)."""
    number = np.full(usable.shape, -1)
    number[tuple(cells.T)] = np.arange(len(cells))
    padded = np.pad(number, 1, constant_values=-1)
    flat = colors.reshape(-1, 3)
    there, valid = _looked_up(cells, shifts, usable)
    mine = flat[there]  # [S, C, 3]: what each shift would put into each cell
    missing = ~valid
    sides = []
    for step in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        beside = padded[cells[:, 0] + 1 + step[0], cells[:, 1] + 1 + step[1]]
        at, fine = _looked_up(cells + step, shifts, usable)
        sides.append((beside, flat[at], fine))
    chosen = costs.argmin(0)
    least = costs.min(0)
    any_seam = 2e-4 + CHANGE * float(np.median(least[np.isfinite(least)])) if np.isfinite(least).any() else 0.0
    odd = cells.sum(1) % 2
    for turn in range(ROUNDS):
        now = odd == turn % 2
        total = costs[:, now].copy()
        for beside, next_colors, fine in sides:
            neighbour = beside[now]
            has = neighbour >= 0
            other = chosen[neighbour]  # garbage where there is none; masked below
            columns = np.flatnonzero(now)
            theirs_here = mine[other, columns]  # what the neighbour's shift would put here
            theirs_there = mine[other, neighbour]
            seam = ((mine[:, now] - theirs_here) ** 2).sum(2) + ((next_colors[:, now] - theirs_there) ** 2).sum(2)
            seam = np.where(fine[:, now], seam, 0.05)
            seam[other, np.arange(len(other))] = 0  # one piece has no seam within
            total += SEAM * np.where(has, seam + any_seam * (np.arange(len(shifts))[:, None] != other), 0)
        total[missing[:, now]] = np.inf
        chosen[now] = total.argmin(0)
    return np.asarray(chosen)


def tints(hole: Hole, colors: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """What to add to the copied colours so that they meet the ring, [H, W, 3]; sources [H, W] as `sources_of` gives.

    Around the hole, the known colours are compared with what the neighbouring copy would continue with. The difference
    is carried into the hole smoothly.
    """
    height, width = hole.open.shape
    rim = hole.known & grown(hole.open, 3)
    cells, open_ = np.argwhere(rim), np.argwhere(hole.open & (sources >= 0))
    if not len(cells) or not len(open_):
        return np.zeros_like(colors)
    nearest = np.concatenate([
        ((some[:, None] - open_[None]) ** 2).sum(2).argmin(1) for some in np.array_split(cells, len(cells) // 256 + 1)
    ])  # fmt: skip
    step = cells - open_[nearest]
    from_ = np.stack(np.divmod(sources[tuple(open_[nearest].T)], width), 1) + step
    inside = (from_ >= 0).all(1) & (from_ < (height, width)).all(1)
    from_ = np.where(inside[:, None], from_, 0)
    inside &= hole.known[tuple(from_.T)]
    apart = colors[tuple(cells.T)] - colors[tuple(from_.T)]
    inside &= np.abs(apart).max(1) < 2 * MOST_TINT
    given, mass = np.zeros_like(colors), np.zeros((height, width))
    given[tuple(cells[inside].T)], mass[tuple(cells[inside].T)] = apart[inside], 1
    total, weight = np.zeros_like(colors), np.full((height, width), 1e-6)
    for spread in (2.0, 5.0, 12.0, 30.0):  # narrow ones count at the rim, and wide ones reach the middle
        share = _blurred(mass[None], spread)[0]
        total += _blurred(np.moveaxis(given, 2, 0), spread).transpose(1, 2, 0)
        weight += share
    return np.asarray((total / weight[..., None]).clip(-MOST_TINT, MOST_TINT))
