"""Trainable float features on frozen geometry, for peers that learn: render sampled pixels, step, render again.

Fragments, views and pixel sampling are the engine's own; the optimiser is Adam on the rows that a step touched, as
there, but features are free numbers instead of bits kept in 0..1.
"""

import numpy as np

from benchmarks.peers.kernels import adam_rows, row_gradients
from benchmarks.peers.scene import CACHE_BYTES, PeerScene
from bgs_engine.associate.masked_views import LevelMaps
from bgs_engine.raster.cpu.fragments import FragmentLister, Fragments
from bgs_engine.train.sampling import PixelSampler
from bgs_engine.train.trainer import view_of_step

BETA1, BETA2, EPSILON = np.float32(0.9), np.float32(0.99), np.float32(1e-15)
MASKS = 64  # share the balanced pixels of a step, as in the engine's training


class FeatureField:
    """Features float32 [N, C] of a scene, scene order, trained through rendered pixels."""

    def __init__(self, scene: PeerScene, features: np.ndarray, unit: bool) -> None:
        self.features = np.ascontiguousarray(features, np.float32)
        self._m, self._v = np.zeros_like(self.features), np.zeros_like(self.features)
        self._scene, self._unit = scene, unit
        self._lister = FragmentLister()
        self._fragments: Fragments | None = None

    @property
    def touched(self) -> np.ndarray:
        """Which Gaussians ever had a gradient, bool [N]."""
        return np.asarray(self._v.any(1))

    def forward(self, number: int, px: np.ndarray, py: np.ndarray) -> np.ndarray:
        """Rendered features float32 [P, C] of pixels px, py (int32 [P]) of camera `number`."""
        self._fragments = self._lister.list(self._scene.views[number], px, py, self._scene.raster.opacities)
        return self._fragments.forward(self.features)

    def backward(self, grad: np.ndarray, rate: float, direct: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        """One step for dL/dF = grad float32 [P, C]; `direct` adds (rows int [K], dL/df [K, C]) of single Gaussians."""
        assert self._fragments is not None, "backward before forward"
        lists = self._fragments.by_gaussian()
        rows, grads = lists.rows, np.empty((len(lists.rows), grad.shape[1]), np.float32)
        row_gradients(lists.offsets, lists.fragment, lists.pixel, self._fragments.weight, grad, grads)
        if direct is not None:
            more = np.setdiff1d(direct[0], rows).astype(rows.dtype)
            rows = np.concatenate([rows, more])
            grads = np.concatenate([grads, np.zeros((len(more), grad.shape[1]), np.float32)])
            place = np.full(len(self.features), -1, np.int64)
            place[rows] = np.arange(len(rows))
            np.add.at(grads, place[direct[0]], direct[1])
        adam_rows(rows, grads, self.features, self._m, self._v, np.float32(rate), BETA1, BETA2, EPSILON, self._unit)


class Batches:
    """A step's view and pixels: half anywhere, half mask by mask; the same for every peer with the same seed."""

    def __init__(self, scene: PeerScene, level_maps: LevelMaps, pixels: int, seed: int) -> None:
        self._cameras, self._seed = scene.cameras, seed
        self._sampler = PixelSampler(level_maps, pixels // 2, pixels - pixels // 2, MASKS, CACHE_BYTES // 4)

    def draw(self, step: int) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        """(camera number, px, py int32 [P], labels int32 [P, L]) of a step; P is 0 where the view has no masks."""
        number = view_of_step(step, len(self._cameras), self._seed)
        rng = np.random.default_rng((self._seed, step))
        return number, *self._sampler.draw(number, self._cameras[number].width, rng)
