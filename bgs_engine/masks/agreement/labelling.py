"""The finest segment of each Gaussian."""

import numpy as np
from scipy.spatial import cKDTree

from bgs_engine.masks.agreement.members import INSIDE, Members
from bgs_engine.masks.agreement.segments import Segments
from bgs_engine.masks.agreement.tree import SceneTree
from bgs_engine.raster.scene import RasterScene


def place_of_gaussians(scene: RasterScene, members: Members, segments: Segments, tree: SceneTree) -> np.ndarray:
    """The place in the tree of each Gaussian's finest segment, int32 [N], -1 = none.

    Coarse to fine, a drawn Gaussian goes to the child that holds most of its weight, if that is more than half. The
    others follow the nearest drawn one.
    """
    finest = np.full(len(members.drawn), -1, np.int32)
    share = segments.share[:, tree.segment]
    for depth in range(1, int(tree.depth.max(initial=0)) + 1):
        for parent in np.unique(tree.parent[tree.depth == depth]).tolist():
            children = np.flatnonzero((tree.parent == parent) & (tree.depth == depth))
            rows = np.flatnonzero(finest == parent)
            own = share[np.ix_(rows, children)]
            best = own.argmax(1)
            goes = own[np.arange(len(rows)), best] > INSIDE
            finest[rows[goes]] = children[best[goes]]
    seen = np.flatnonzero(members.weight.sum(1) > 0)
    if not len(seen):
        return np.full(len(scene), -1, np.int32)
    _, nearest = cKDTree(scene.means[members.drawn[seen]]).query(scene.means, workers=-1)
    return finest[seen[nearest]]
