"""The pictures of a session's views: photos and views that a run has rendered, or views rendered when needed."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.files import sha256
from bgs_engine.io.images import read_image
from bgs_engine.masks.where import SceneDepth
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.scene import RasterScene


@dataclass(frozen=True)
class FilePicture:
    """The picture of a view whose camera has an image on disk."""

    camera: Camera

    @property
    def identity(self) -> str:
        """The file's SHA-256 and the size at which it is read.

        Raises:
            InputError: it cannot be read.
        """
        if self.camera.image is None:
            raise InputError(f"The view {self.camera.name} has no image.", "Put the photos back.")
        return f"{sha256(self.camera.image)} {self.camera.width}x{self.camera.height}"

    def pixels(self) -> np.ndarray:
        """The pixels, uint8 [H, W, 3]."""
        if self.camera.image is None:
            raise InputError(f"The view {self.camera.name} has no image.", "Put the photos back.")
        return read_image(self.camera.image, (self.camera.width, self.camera.height))


@dataclass(frozen=True)
class RenderedPicture:
    """The picture of a view that is rendered when it is needed; by one thread at a time, as the rasteriser demands."""

    scene: RasterScene
    depth: SceneDepth  # knows the identity of the scene
    camera: Camera

    @property
    def identity(self) -> str:
        """A hash of the scene and the camera."""
        return f"rendered {self.depth.key(self.camera)} {self.camera.width}x{self.camera.height}"

    def pixels(self) -> np.ndarray:
        """The pixels, uint8 [H, W, 3]."""
        return np.rint(render_color(self.scene, self.camera) * 255).astype(np.uint8)
