"""Where the pictures of a dataset show the splat: only there masks matter."""

import hashlib

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.masks.cache import key_of
from bgs_engine.raster.color_frames import render_depth
from bgs_engine.raster.scene import RasterScene


class SceneDepth:
    """Renders the depth of a splat, if there is one. One thread alone may use it, as with the rasteriser."""

    def __init__(self, scene: RasterScene | None) -> None:
        self._scene = scene
        digest = hashlib.sha256()
        if scene is not None:
            for values in (scene.means, scene.covs, scene.opacities):
                digest.update(np.ascontiguousarray(values).tobytes())
        self._identity = digest.hexdigest()

    def key(self, camera: Camera) -> str:
        """A key of everything that `where` depends on; empty without a splat."""
        if self._scene is None:
            return ""
        return key_of(self._identity, repr((camera.viewmat.tolist(), camera.fx, camera.fy, camera.cx, camera.cy)))

    def where(self, camera: Camera) -> np.ndarray | None:
        """Pixels that show the splat, bool [H, W]; None without a splat."""
        return None if self._scene is None else np.isfinite(render_depth(self._scene, camera))
