"""The agreement of all views as one function: candidates in, level maps with the same ids in all views out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import MAX_BITS, BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device
from bgs_engine.masks.agreement.groups import grouped
from bgs_engine.masks.agreement.labelling import place_of_gaussians
from bgs_engine.masks.agreement.members import Members, collect_members
from bgs_engine.masks.agreement.paint import paint_view
from bgs_engine.masks.agreement.segments import Segments, settled
from bgs_engine.masks.agreement.tree import SceneTree, build_tree
from bgs_engine.masks.bits import MaskStack
from bgs_engine.raster.label_maps import label_renderer
from bgs_engine.raster.scene import RasterScene

HERE = Device("cpu", "", "masks are made on the CPU")
MOST_LEVELS = 6  # of a tree of free depth
SPARE = 2  # children of a parent beside its finer segments: what none of them covers, and one that the user adds


@dataclass(frozen=True)
class Agreement:
    """What the views agree on.

    maps: the level maps of each view in turn, uint16 [L, H, W]; an id means the same in every view.
    level_bits: the bits that each level needs.
    """

    maps: Iterator[np.ndarray]
    level_bits: tuple[int, ...]


def agreed(
    scene: RasterScene,
    cameras: Sequence[Camera],
    candidates: Callable[[int], MaskStack],
    levels: int | None,
    reporter: Reporter,
) -> Agreement:
    """Compare the candidates of all views.

    Args:
        scene: the splat.
        cameras: one a view.
        candidates: those of a view by its number.
        levels: the depth of the tree; None: as deep as the scene is, up to `MOST_LEVELS`.
        reporter: told of the stages.
    """
    reporter.stage("Compare views")
    count = len(cameras)
    members = collect_members(scene, cameras, candidates, lambda done: reporter.progress(done, count))
    segments = settled(members, grouped(members))
    tree = _fitting(segments, levels)
    depth = levels or max(1, int(tree.depth.max(initial=1)))
    reporter.metric("scene_segments", len(tree.segment))
    places = place_of_gaussians(scene, members, segments, tree)
    maps = _maps(scene, cameras, candidates, places, members, segments, tree, depth)
    return Agreement(maps, _level_bits(tree, depth))


def _fitting(segments: Segments, levels: int | None) -> SceneTree:
    """The tree, less deep where a code has not enough bits."""
    for depth in range(levels or MOST_LEVELS, 1, -1):
        tree = build_tree(segments, depth)
        if levels or sum(_needed(tree, k) for k in range(1, depth + 1)) <= MAX_BITS:
            return tree
    return build_tree(segments, 1)


def _needed(tree: SceneTree, depth: int) -> int:
    """Bits for the children at one depth."""
    return (tree.most_children(depth) + SPARE - 1).bit_length()


def _level_bits(tree: SceneTree, levels: int) -> tuple[int, ...]:
    """What each level needs; the rest of a code is shared out, so that users can add labels."""
    needed = [_needed(tree, depth) for depth in range(1, levels + 1)]
    spare = max(0, MAX_BITS - sum(needed))
    return BitLayout(tuple(bits + spare // levels + (k < spare % levels) for k, bits in enumerate(needed))).level_bits


def _maps(
    scene: RasterScene,
    cameras: Sequence[Camera],
    candidates: Callable[[int], MaskStack],
    places: np.ndarray,
    members: Members,
    segments: Segments,
    tree: SceneTree,
    levels: int,
) -> Iterator[np.ndarray]:
    """The level maps of each view."""
    names = _names(len(tree.segment))
    render = label_renderer(HERE, scene, names[places].view(np.int32), scene.opacities, MAX_BITS)
    for view, camera in enumerate(cameras):
        chosen = segments.candidate[tree.segment, view]
        places_shown = np.flatnonzero(chosen >= 0)
        stack = candidates(view)
        masks = {k: stack.mask(int(members.number[chosen[k]])) for k in places_shown.tolist()}
        fit = np.where(chosen >= 0, segments.fit[tree.segment, chosen], 0)
        yield paint_view(masks, _as_places(render(camera), names), tree, fit, levels)


def _names(count: int) -> np.ndarray:
    """A random number for each place, and one for none at the end, uint32 [T + 1]: random bits blend well."""
    return np.random.default_rng(0).choice(1 << (MAX_BITS - 1), count + 1, replace=False).astype(np.uint32)


def _as_places(rendered: np.ndarray, names: np.ndarray) -> np.ndarray:
    """The place of each rendered number, int32; -1 for none and for blends that are no number of a place."""
    order = np.argsort(names)
    found = order[np.minimum(np.searchsorted(names[order], rendered), len(names) - 1)]
    known = (names[found] == rendered) & (found < len(names) - 1)
    return np.where(known, found, -1).astype(np.int32)
