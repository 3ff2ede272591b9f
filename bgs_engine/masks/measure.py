"""Sizes of a dataset's masks in its scene. The cache keeps them beside the forests."""

import hashlib

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.masks.cache import ForestCache, key_of
from bgs_engine.masks.sizes import node_sizes
from bgs_engine.raster.color_frames import render_depth
from bgs_engine.raster.scene import RasterScene


class Measure:
    """Measures with the depth of a splat if there is one. One thread alone may use it, as with the rasteriser."""

    def __init__(self, scene: RasterScene | None, cache: ForestCache) -> None:
        self._scene, self._cache = scene, cache
        digest = hashlib.sha256()
        if scene is not None:
            for values in (scene.means, scene.covs, scene.opacities):
                digest.update(np.ascontiguousarray(values).tobytes())
        self._identity = digest.hexdigest()

    def key(self, camera: Camera) -> str:
        """A key of everything that the depth depends on; empty without a splat."""
        if self._scene is None:
            return ""
        return key_of(self._identity, repr((camera.viewmat.tolist(), camera.fx, camera.fy, camera.cx, camera.cy)))

    def depth(self, camera: Camera) -> np.ndarray | None:
        """Depth of the view, float32 [H, W], inf where empty; None without a splat."""
        return None if self._scene is None else render_depth(self._scene, camera)

    def sizes(self, camera: Camera, forest_key: str, depth: np.ndarray | None = None) -> np.ndarray:
        """Sizes of the nodes of a view's cached forest, [K + 1]. Depth is rendered if it is needed and not given."""
        forest = self._cache.needed(forest_key, camera)
        key = key_of(forest_key, self.key(camera) or repr((camera.fx, camera.fy, camera.cx, camera.cy)))
        known = self._cache.load_sizes(key, forest.count + 1)
        if known is None:
            known = node_sizes(forest, camera, self.depth(camera) if depth is None else depth)
            self._cache.store_sizes(key, known)
        return known
