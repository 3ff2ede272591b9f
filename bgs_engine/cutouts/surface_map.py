"""A surface as a picture: which cells Gaussians cover, in which colour, and which cells an object hid."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.core.quaternions import quaternion_columns
from bgs_engine.cutouts.supports import CONTACT, Surface, thinnest_axes
from bgs_engine.io.gaussians import Gaussians

MOST_CELLS = 112  # along a side of the picture
SPREADS = 3.0  # Gaussians this many spreads from a surface belong to it
COVERED = 0.8  # of the surface's usual coverage: a cell with less is open
MARGIN = 0.25  # of the object's size: how far beyond its outline it can hide a surface
FEWEST_CELLS = 3  # a smaller hole is none
BARE = 0.4  # of the surface's usual coverage: a hole has a cell with less; else it is a sparse spot
CLOSED = 0.5  # of a hole's rim has to be covered; else it is the end of the surface
MAIN_LABEL = 0.2  # of the Gaussians of a surface's largest label. What remains below an object is an eighth at most
FLAT = 0.5  # of its second axis: a Gaussian with a thinner third axis is a disc, which has a direction
ALONG = 0.6  # cosine: a disc that is turned more belongs to another surface, which crosses this one
MOST_HOLES = 40  # of one surface


@dataclass(frozen=True)
class SurfaceMap:
    """A grid [H, W] of square cells over a surface. Row and column of a cell count along v and u.

    low [2]: the corner; cell: width of a cell, scene units; band: thickness to each side of the surface;
    rows [K]: numbers of the Gaussians that belong to the surface; cell_of [K]: the cell of each, row * W + column;
    coverage [H, W]: the share of light that they catch; colors [H, W, 3]: theirs.
    """

    surface: Surface
    low: np.ndarray
    cell: float
    band: float
    rows: np.ndarray
    cell_of: np.ndarray
    coverage: np.ndarray
    colors: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.coverage.shape[0], self.coverage.shape[1]

    def centers(self) -> np.ndarray:
        """Places of the cells' centres, [H * W, 2]."""
        ys, xs = np.mgrid[: self.shape[0], : self.shape[1]]
        return self.low + (np.stack([xs.ravel(), ys.ravel()], 1) + 0.5) * self.cell

    def cells(self, places: np.ndarray) -> np.ndarray:
        """The cell of each place [N, 2], int [N]; -1 outside."""
        x, y = np.floor((places - self.low) / self.cell).astype(int).T
        height, width = self.shape
        return np.where((x >= 0) & (y >= 0) & (x < width) & (y < height), y * width + x, -1)


def map_surface(
    surface: Surface, around: Gaussians, low: np.ndarray, high: np.ndarray, labels: np.ndarray | None = None
) -> SurfaceMap:
    """Draw Gaussians near a surface as a picture from `low` to `high`, places [2].

    With `labels`, int [N], those of the labels that make up most of the surface count alone, so that remains of other
    things are neither taken for the surface nor copied.
    """
    places, heights = surface.flat(around.means)
    inside = ((places > low) & (places < high)).all(1) & around.valid
    thin = np.median(around.scales[inside].min(1)) if inside.any() else 0.0
    band = float(SPREADS * max(surface.spread, thin))
    rows = np.flatnonzero(inside & (np.abs(heights) < band))
    rows = rows[_along(surface, around, rows)]
    if labels is not None and len(rows):
        _, kind, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
        rows = rows[counts[kind.reshape(-1)] >= MAIN_LABEL * counts.max()]
    spacing = _spacing(around, rows)
    cell = max(spacing, float((high - low).max()) / MOST_CELLS)
    width, height = (np.ceil((high - low) / cell).astype(int)).tolist()
    empty = SurfaceMap(surface, low, cell, band, rows, rows, np.zeros((height, width)), np.zeros((height, width, 3)))
    at = empty.cells(places[rows])
    rows, at = rows[at >= 0], at[at >= 0]
    coverage, colors = _drawn(empty, around, rows, places[rows])
    return SurfaceMap(surface, low, cell, band, rows, at, coverage, colors)


def _along(surface: Surface, around: Gaussians, rows: np.ndarray) -> np.ndarray:
    """Which Gaussians lie flat on a surface, or have no direction, bool [K]."""
    scales = np.sort(around.scales[rows], 1)
    cosine = np.abs(thinnest_axes(around, rows) @ surface.axes[2])
    return (cosine > ALONG) | (scales[:, 0] > FLAT * scales[:, 1])


def _spacing(around: Gaussians, rows: np.ndarray) -> float:
    """The width of a usual Gaussian along the surface: two standard deviations of its second axis."""
    return float(2 * np.median(np.sort(around.scales[rows], 1)[:, 1])) if len(rows) else 0.0


def _drawn(
    picture: SurfaceMap, around: Gaussians, rows: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coverage [H, W] and colours [H, W, 3], looking down on the surface.

    Each Gaussian is widened by a cell, so that one that is smaller than a cell covers its share of it.
    """
    height, width = picture.shape
    columns = [picture.surface.axes[:2] @ axis for axis in quaternion_columns(around.quats[rows])]  # [2, K] each
    xx, xy, yy = np.zeros((3, len(rows)))
    for axis, scale in zip(columns, around.scales[rows].T.astype(float), strict=True):
        xx, xy, yy = xx + (axis[0] * scale) ** 2, xy + axis[0] * axis[1] * scale**2, yy + (axis[1] * scale) ** 2
    pixel = picture.cell**2 / 12
    before = np.sqrt(np.maximum(xx * yy - xy * xy, 0))
    xx, yy = xx + pixel, yy + pixel
    area = xx * yy - xy * xy
    strength = around.opacities[rows] * before / np.sqrt(area)
    reach = (
        int(np.clip(np.ceil(2.5 * np.sqrt(np.quantile(np.maximum(xx, yy), 0.8)) / picture.cell), 1, 4))
        if len(rows)
        else 0
    )
    grid = (places - picture.low) / picture.cell
    x, y = np.floor(grid).astype(int).T
    base = around.base_colors[rows]
    light, sums = np.zeros(height * width), np.zeros((4, height * width))
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            fine = (x + dx >= 0) & (x + dx < width) & (y + dy >= 0) & (y + dy < height)
            ax, ay = ((x + dx + 0.5) - grid[:, 0]) * picture.cell, ((y + dy + 0.5) - grid[:, 1]) * picture.cell
            q = (yy * ax * ax - 2 * xy * ax * ay + xx * ay * ay) / area
            alpha = (strength * np.exp(-0.5 * q))[fine]
            cell = ((y + dy) * width + x + dx)[fine]
            light += np.bincount(cell, -np.log1p(-alpha.clip(max=0.99)), height * width)
            for k, channel in enumerate((1.0, *base[fine].T)):
                sums[k] += np.bincount(cell, alpha * channel, height * width)
    colors = (sums[1:] / np.maximum(sums[0], 1e-9)).T.reshape(height, width, 3)
    return 1 - np.exp(-light.reshape(height, width)), colors


@dataclass(frozen=True)
class Hole:
    """Cells [H, W] of a surface: `open` ones that the object hid, and `known` ones that can be copied."""

    open: np.ndarray
    known: np.ndarray


def find_hole(picture: SurfaceMap, around: Gaussians, thing: np.ndarray, size: float, others: list[Surface]) -> Hole:
    """What an object hid of a surface.

    Open cells lie below the object or a little beyond its outline, on the object's side of the `others`, and between
    cells that are covered, or where the object touched the surface.

    Args:
        picture: of the surface, without the object.
        around: the Gaussians that the picture's rows count in.
        thing: centres of the object's solid Gaussians, [M, 3].
        size: of the object, scene units.
        others: the other surfaces that the object touches.
    """
    shape, surface = picture.shape, picture.surface
    usual = float(np.median(picture.coverage[picture.coverage > 0.3])) if (picture.coverage > 0.3).any() else 1.0
    covered = picture.coverage >= COVERED * usual
    places, heights = surface.flat(thing)
    below = filled(_marked(picture, places))
    contact = _marked(picture, places[heights < CONTACT * size + picture.band])
    steps = 1 + round(MARGIN * size / picture.cell)
    outline, wider = grown(below, steps), grown(below, 2 * steps)
    space = surface.points(picture.centers(), np.zeros(covered.size))
    beyond = [other.flat(space)[1].reshape(shape) for other in others]
    ends = [wider & (np.abs(height) < picture.cell) for height in beyond]  # there another surface begins
    walls = np.any([height < -other.spread for height, other in zip(beyond, others, strict=True)], 0) & True
    domain = (outline & within_hull(np.any([grown(~grown(~covered, 1), 1), *ends], 0), outline)) | grown(contact, 1)
    bare = picture.coverage < BARE * usual
    open_ = _closed(domain & ~covered & ~walls, grown(below, 1), covered, walls, bare)
    return Hole(open_, covered & ~open_ & _clear(picture, around))


def _closed(mask: np.ndarray, seed: np.ndarray, covered: np.ndarray, walls: np.ndarray, bare: np.ndarray) -> np.ndarray:
    """The connected parts of a mask [H, W] that touch `seed`, have `bare` cells, and mostly covered rims.

    A rim behind one of the `walls` does not count.
    """
    left, out = touching(mask, seed), np.zeros_like(mask)
    for _ in range(MOST_HOLES):
        if not left.any():
            break
        first = np.zeros_like(mask)
        first.ravel()[left.argmax()] = True
        part = touching(left, first)
        left &= ~part
        rim = grown(part, 1) & ~part & ~walls
        if part.sum() >= FEWEST_CELLS and (part & bare).any() and rim.any() and covered[rim].mean() >= CLOSED:
            out |= part
    return out


def _clear(picture: SurfaceMap, around: Gaussians) -> np.ndarray:
    """Cells without other things on them, bool [H, W]: little light is caught just above the surface."""
    places, heights = picture.surface.flat(around.means)
    at = picture.cells(places)
    above = (at >= 0) & (heights > picture.band) & (heights < 4 * picture.band + 2 * picture.cell) & around.valid
    light = np.bincount(at[above], around.opacities[above], picture.coverage.size).reshape(picture.shape)
    here = np.bincount(picture.cell_of, around.opacities[picture.rows], picture.coverage.size).reshape(picture.shape)
    return ~grown(light > 0.5 * np.maximum(here, 0.5), 1)


def _marked(picture: SurfaceMap, places: np.ndarray) -> np.ndarray:
    """The cells that hold a place, bool [H, W]."""
    at = picture.cells(places)
    out = np.zeros(picture.coverage.size, bool)
    out[at[at >= 0]] = True
    return out.reshape(picture.shape)


def grown(mask: np.ndarray, steps: int) -> np.ndarray:
    """A mask [H, W] with everything within `steps` cells of it, along the axes and diagonals in turn."""
    for step in range(steps):
        wide = np.pad(mask, 1)
        out = wide[1:-1, 1:-1] | wide[2:, 1:-1] | wide[:-2, 1:-1] | wide[1:-1, 2:] | wide[1:-1, :-2]
        if step % 2:  # every other step is a square, so that the shape stays nearly round
            out = out | wide[2:, 2:] | wide[2:, :-2] | wide[:-2, 2:] | wide[:-2, :-2]
        mask = out
    return mask


def filled(mask: np.ndarray) -> np.ndarray:
    """A mask [H, W] with its gaps of two cells closed."""
    return mask | ~grown(~grown(mask, 2), 2)


def touching(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """The part of a mask [H, W] that is connected with `seed`."""
    out = mask & seed
    while True:
        more = grown(out, 2) & mask
        if (more == out).all():
            return out
        out = more


def within_hull(mask: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The cells of `among` within the convex hull of a mask, bool [H, W]."""
    points = np.argwhere(mask)
    out = np.zeros_like(mask)
    if len(points) < 3:
        return out
    wanted = np.argwhere(among).astype(float)
    inside = np.ones(len(wanted), bool)
    for angle in np.linspace(0, 2 * np.pi, 64, endpoint=False):  # the hull as the meeting of 64 half-planes
        direction = np.array([np.cos(angle), np.sin(angle)])
        inside &= wanted @ direction <= (points @ direction).max() + 0.5
    out[among] = inside
    return out
