"""Continues the surfaces that an object hid: the floor below it, the wall behind it. No network is involved."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.cutouts.cloning import cloned
from bgs_engine.cutouts.continuation import sources_of, tints
from bgs_engine.cutouts.loose_parts import SOLID
from bgs_engine.cutouts.supports import Surface, find_supports
from bgs_engine.cutouts.surface_map import find_hole, map_surface
from bgs_engine.io.gaussians import Gaussians

RING = 1.0  # of the object's size: how far around it surfaces are looked for
PICTURE = 1.0  # of the object's size: how far around it a surface may be copied from
FEWEST_OF_OBJECT = 8  # Gaussians; fewer hide nothing
MOST_OF_RING = 20_000  # Gaussians that surfaces are looked for among; more find the same ones
EDGE = 0.01  # of the object's Gaussians are beyond its box on each side: strays


@dataclass(frozen=True)
class Fill:
    """Gaussians that close what an object hid.

    gaussians: K copies. sources: int [K], the row of the scene that each was copied from. surfaces: how many surfaces
    the object touched. surface_of: int [K], the surface of each copy.
    """

    gaussians: Gaussians
    sources: np.ndarray
    surfaces: int
    surface_of: np.ndarray

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def sentence(self) -> str:
        """What was found, for the user."""
        if len(self):
            holes = len(np.unique(self.surface_of))
            return f"{len(self):,} Gaussians close {holes} hole{'s' if holes > 1 else ''}."
        if self.surfaces:
            return "Nothing was hidden: the surfaces below and behind are complete."
        return "No surface was found that this stands on or leans against."


def fill(scene: Gaussians, removed: np.ndarray, labels: np.ndarray | None = None, seed: int = 0) -> Fill:
    """Close what an object hid, once it is removed.

    The scene's surfaces around the object are continued where it covered them. Where a surface is complete, nothing is
    added.

    Args:
        scene: all Gaussians, with colours.
        removed: bool [N], those of the object.
        labels: of the Gaussians, int [N], so that other things do not count to a surface; None: all count.
        seed: of the random choices.
    """
    rng = np.random.default_rng(seed)
    whole = scene.take(np.flatnonzero(removed & scene.valid))
    if len(whole) < FEWEST_OF_OBJECT:
        return _nothing(scene, 0)
    solid = min(SOLID, float(np.median(whole.opacities)))  # a glass has no Gaussian that is solid
    thing = whole.means[whole.opacities >= solid].astype(float)
    low, high = np.quantile(thing, (EDGE, 1 - EDGE), axis=0)
    thing = thing[((thing >= low - 1e-9) & (thing <= high + 1e-9)).all(1)]
    size = float(np.linalg.norm(high - low) / np.sqrt(3)) or 1e-9
    near = np.flatnonzero(~removed & neighbourhood(scene.means, low, high))
    around = scene.take(near)
    ring = np.flatnonzero(((around.means > low - RING * size) & (around.means < high + RING * size)).all(1))
    if len(ring) > MOST_OF_RING:
        ring = rng.choice(ring, MOST_OF_RING, replace=False)
    surfaces = find_supports(around.take(ring), thing, size, rng)
    kinds = None if labels is None else labels[near]
    made = [_continued(surface, surfaces, around, kinds, thing, size, rng) for surface in surfaces]
    parts = [(copies, taken, number) for number, part in enumerate(made) if part for copies, taken in [part]]
    if not parts:
        return _nothing(scene, len(surfaces))
    sources = np.concatenate([near[taken] for _, taken, _ in parts])
    surface_of = np.concatenate([np.full(len(taken), number) for _, taken, number in parts])
    return Fill(joined([copies for copies, _, _ in parts]), sources, len(surfaces), surface_of)


def _nothing(scene: Gaussians, surfaces: int) -> Fill:
    none = np.zeros(0, int)
    return Fill(scene.take(none), none, surfaces, none)


def neighbourhood(means: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which Gaussians [N, 3] can matter to the fill of an object in the box from `low` to `high` [3], bool [N]."""
    reach = max(RING, PICTURE) * float((high - low).max())
    return np.asarray(((means > low - reach) & (means < high + reach)).all(1))


def _continued(
    surface: Surface,
    surfaces: list[Surface],
    around: Gaussians,
    labels: np.ndarray | None,
    thing: np.ndarray,
    size: float,
    rng: np.random.Generator,
) -> tuple[Gaussians, np.ndarray] | None:
    """What closes the hole in one surface: the copies, and the numbers in `around` that they were copied from."""
    places, _ = surface.flat(thing)
    low, high = places.min(0), places.max(0)
    margin = PICTURE * float((high - low).max())
    picture = map_surface(surface, around, low - margin, high + margin, labels)
    hole = find_hole(picture, around, thing, size, [other for other in surfaces if other is not surface])
    sources = sources_of(hole, picture.colors, rng)
    if not (sources >= 0).any():
        return None
    return cloned(picture, around, sources, tints(hole, picture.colors, sources))


def joined(parts: list[Gaussians]) -> Gaussians:
    """Gaussians of several sets of one scene, with colours, one after the other."""

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return Gaussians(
        column("means"),
        column("quats"),
        column("scales"),
        column("opacities"),
        column("sh"),
        column("valid"),
        parts[0].offset,
    )
