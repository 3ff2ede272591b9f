"""The level maps of a view, from its own candidates and the tree of the scene."""

import numpy as np

from bgs_engine.masks.agreement.tree import SceneTree


def paint_view(
    masks: dict[int, np.ndarray], rendered: np.ndarray, tree: SceneTree, fit: np.ndarray, levels: int
) -> np.ndarray:
    """Nested level maps, uint16 [L, H, W], 0 = unlabelled. An id is a place in the tree plus one, in every view.

    Where the view has a candidate of a segment, the candidate says where the segment is. Of the other segments the
    view has no opinion, so they are where the other views put them. A segment without finer ones stands for itself at
    the finer levels, and so does what no finer segment covers.

    Args:
        masks: bool [H, W] by place in the tree: the candidates that the view has.
        rendered: int32 [H, W], the place of each pixel's finest segment by the splat, -1 = none.
        tree: the tree of the scene.
        fit: float [T], how well the view's candidates fit; the best one keeps the pixels that two claim.
        levels: L.
    """
    maps = np.zeros((levels, *rendered.shape), np.uint16)
    now = np.full(rendered.shape, -1, np.int32)
    for depth in range(1, levels + 1):
        around = _ancestors(tree, depth)[rendered]
        unseen = np.array([k not in masks for k in range(len(tree.segment))] + [False])
        follows = (around >= 0) & unseen[around]
        follows[follows] = tree.parent[around[follows]] == now[follows]
        then = np.where(follows, around, now)
        for place in sorted((k for k in masks if tree.depth[k] == depth), key=lambda k: (fit[k], k)):
            then[masks[place] & (now == tree.parent[place])] = place
        now = then
        maps[depth - 1] = now + 1
    return maps


def _ancestors(tree: SceneTree, depth: int) -> np.ndarray:
    """The segment at `depth` around each one, int [T + 1], -1 = none; the last entry serves -1."""
    result = np.full(len(tree.segment) + 1, -1, np.int64)
    for place in range(len(tree.segment)):  # coarse before fine
        if tree.depth[place] == depth:
            result[place] = place
        elif tree.depth[place] > depth:
            result[place] = result[tree.parent[place]]
    return result
