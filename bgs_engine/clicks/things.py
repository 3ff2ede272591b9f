"""From masks of several views to the Gaussians of one thing, and back to the mask model in further views."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy import ndimage

from bgs_engine.clicks.masks_of_place import LEAST_PIXELS, PlaceMask
from bgs_engine.clicks.seen_scene import SeenScene
from bgs_engine.clicks.view_weights import ViewWeights
from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.loose_parts import SOLID, loose_parts, touching_distance
from bgs_engine.masks.prompting import BOTTOM_RIGHT, OFF, ON, TOP_LEFT, Check, PromptableModel

POINTS = 3  # in a view, on what is known of a thing
SPREAD = 0.5  # of the distance to a chosen point: how far inside another one must lie beside it
AGREES = 0.5  # intersection over union of the model's mask and what is known: a less alike mask is of another thing
LEAST_KNOWN = 0.3  # of a pixel's weight: a pixel with less is of Gaussians about which nothing is known
OPINIONS = 8  # nearest known Gaussians that decide about one that no view has shown
ALONG_CURVE = 8  # Gaussians before and after it that are looked at for that
LEAST_PIECE = 0.05  # of a thing's solid Gaussians: a smaller piece that touches nothing of it is a mistake
AT_ONCE = 2  # views that the model is asked about at a time
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Thing:
    """How much each Gaussian lies inside a thing.

    share: float32 [N] in 0..1. known: bool [N]: a view has shown it; elsewhere `share` means nothing.
    views: the number of views that agree. support: 0..1, how well they agree.
    """

    share: np.ndarray
    known: np.ndarray
    views: int
    support: float

    @property
    def inside(self) -> np.ndarray:
        """The Gaussians that belong to it, bool [N]."""
        return self.known & (self.share > 0.5)


def at_once(ask: Callable[[T], R], views: Sequence[T]) -> list[R]:
    """The answers for some views, in their order. Two are asked at a time: a decoder alone keeps no two cores busy."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bgs-clicks") as pool:
        return list(pool.map(ask, views))


def thing_of_set(gaussians: np.ndarray) -> Thing:
    """A thing about which all is known; gaussians: bool [N]."""
    return Thing(gaussians.astype(np.float32), np.ones(len(gaussians), bool), 0, 0.0)


def lifted(seen: SeenScene, masks: Sequence[PlaceMask], weights: Sequence[float], support: float) -> Thing:
    """The thing that masks of several views show. Each view counts by its weight and by how much it shows."""
    inside, total = np.zeros((2, len(seen.scene)), np.float32)
    for mask, weight in zip(masks, weights, strict=True):
        view, clear = seen.view(mask.view), seen.clear(mask.view)
        inside += np.float32(weight) * view.lifted(mask.inside) * clear
        total += np.float32(weight) * view.seen * clear
    return Thing(inside / np.maximum(total, 1e-6), total > 0, len(masks), support)


def ask_at(
    seen: SeenScene,
    model: PromptableModel,
    encoded: Callable[[int], Any],
    at: Sequence[tuple[int, np.ndarray]],
    check: Check,
) -> list[PlaceMask]:
    """The masks of several sizes that the model sees at pixels of views; at: numbers of views, and (x, y)."""
    asked = []
    for number, xy in at:
        check()
        asked.append((number, seen.view(number), encoded(number), xy))

    def masks_of(one: tuple[int, ViewWeights, Any, np.ndarray]) -> list[PlaceMask]:
        number, view, features, xy = one
        masks = view.sketched(model.decode_together(features, xy[None], np.array([ON])))
        return [PlaceMask(number, mask) for mask in masks if int(mask.sum()) >= LEAST_PIXELS]

    return [mask for masks in at_once(masks_of, asked) for mask in masks]


def refined(
    seen: SeenScene,
    model: PromptableModel,
    encoded: Callable[[int], Any],
    thing: Thing,
    places: np.ndarray,
    inside: np.ndarray,
    count: int,
    among: Sequence[int],
    check: Check,
) -> Thing:
    """What the model says when it is shown what is known of a thing, in `count` views that cover it.

    Each view gets points on the thing, its box, and the user's places. The mask most alike to what is known counts.
    `thing` comes back as it is if no view agrees.

    Args:
        seen: the scene.
        model: the mask model.
        encoded: its features of a view.
        thing: what is known so far.
        places: float64 [P, 3], scene coordinates.
        inside: bool [P], which of them belong to the thing.
        count: the number of views, at most.
        among: the numbers of the views that may be asked.
        check: raises `CancelledError` once the user asked to stop.
    """
    asked = []
    for number in seen.covering(thing.inside, count, among):
        check()
        view = seen.view(number)
        known = view.picture(thing.known)
        expected = (view.picture(thing.share * thing.known) > 0.5 * np.maximum(known, 1e-3)) & (known > LEAST_KNOWN)
        if int(expected.sum()) >= LEAST_PIXELS:
            asked.append((number, view, encoded(number), expected, known > LEAST_KNOWN))

    def said_of(one: tuple[int, ViewWeights, Any, np.ndarray, np.ndarray]) -> tuple[PlaceMask, float] | None:
        number, view, features, expected, known = one
        answers = model.decode_together(features, *_prompt(view, expected, places, inside))
        said = view.sketched(answers)
        alike = (said & expected).sum((1, 2)) / np.maximum(((said | expected) & known).sum((1, 2)), 1)
        best = int(alike.argmax())
        return (PlaceMask(number, view.exact(answers, best)), float(alike[best])) if alike[best] >= AGREES else None

    said = [one for one in at_once(said_of, asked) if one is not None]
    if not said:
        return thing
    masks, alike = zip(*said, strict=True)
    return lifted(seen, masks, [one**2 for one in alike], float(np.mean(alike)))


def completed(seen: SeenScene, thing: Thing) -> Thing:
    """The thing with an answer for Gaussians that no view has shown: that of the nearest ones which were shown.

    The nearest ones are looked for among those that are next in the scene's order, a space-filling curve.
    """
    inside, means = thing.inside, seen.scene.means
    if not inside.any() or thing.known.all():
        return thing
    low, high = means[inside].min(0), means[inside].max(0)
    asked = np.flatnonzero(~thing.known & ((means >= low) & (means <= high)).all(1))
    told = np.flatnonzero(thing.known)
    next_ones = np.searchsorted(told, asked)[:, None] + np.arange(-ALONG_CURVE, ALONG_CURVE)
    near = told[next_ones.clip(0, len(told) - 1)]
    distance = ((means[near] - means[asked][:, None]) ** 2).sum(2)
    nearest = np.take_along_axis(near, np.argsort(distance, 1)[:, :OPINIONS], 1)
    share, known = thing.share.copy(), thing.known.copy()
    share[asked] = thing.share[nearest].mean(1)
    known[asked] = True
    return Thing(share, known, thing.views, thing.support)


def in_large_pieces(seen: SeenScene, thing: Thing) -> Thing:
    """The thing without its small pieces: a mask that slips to something behind leaves them."""
    rows = np.flatnonzero(thing.inside)
    if not len(rows):
        return thing
    scene = seen.scene
    reach = np.sqrt(scene.covs[rows][:, [0, 3, 5]])  # the diagonals: standard deviations along the axes
    distance = touching_distance(reach)
    solid = scene.opacities[rows] >= SOLID
    if distance <= 0 or not solid.any():
        return thing
    try:
        piece = loose_parts(scene.means[rows].astype(np.float64), solid, distance)
    except UsageError:  # its box is too large for its Gaussians
        return thing
    large = np.bincount(piece, solid) >= LEAST_PIECE * solid.sum()
    share = thing.share.copy()
    share[rows[~large[piece]]] = 0
    return Thing(share, thing.known, thing.views, thing.support)


def _prompt(
    view: ViewWeights, expected: np.ndarray, places: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(Points float64 [K, 2], kinds int [K]) that describe a thing in a view; expected: bool [h, w], where it is."""
    rows, columns = np.nonzero(expected)
    points = _inner_points(expected)
    xy, visible = view.visible(places)
    corners = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], np.float64)
    at = np.concatenate([(np.array(points) + 0.5) * view.step, xy[visible], corners * view.step])
    kinds = [ON] * len(points) + [ON if i else OFF for i in inside[visible]] + [TOP_LEFT, BOTTOM_RIGHT]
    return at, np.array(kinds)


def _inner_points(region: np.ndarray) -> list[tuple[int, int]]:
    """Up to `POINTS` points (x, y) far inside a region, bool [h, w], and apart from each other."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    ys, xs = np.mgrid[: region.shape[0], : region.shape[1]]
    points: list[tuple[int, int]] = []
    while len(points) < POINTS and depth.max() > 0:
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        points.append((int(x), int(y)))
        depth = np.minimum(depth, SPREAD * np.hypot(ys - y, xs - x)) * (depth > 0)
    return points
