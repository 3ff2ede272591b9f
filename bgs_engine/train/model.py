"""The trained model on the CPU: a feature vector and an opacity for each Gaussian.

`forward` renders sampled pixels, `backward` takes one optimiser step. `device_model` does the same on a card.
"""

from collections.abc import Sequence

import numpy as np

from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.core.cameras import Camera
from bgs_engine.io.gaussians import logit
from bgs_engine.raster.cpu.fragments import FragmentLister, Fragments
from bgs_engine.raster.cpu.view import View, ViewBuilder
from bgs_engine.raster.scene import RasterScene
from bgs_engine.train.kernels import adam_on_touched

BETA1, BETA2, EPSILON = np.float32(0.9), np.float32(0.99), np.float32(1e-15)
STATE = ("features", "m", "v", "logits", "logit_m", "logit_v")


class CpuModel:
    """Features float32 [N, D] and opacity logits float32 [N] of a scene, scene order, with their Adam moments."""

    def __init__(self, scene: RasterScene, cameras: Sequence[Camera], features: np.ndarray, cache_bytes: int) -> None:
        self.features = np.ascontiguousarray(features, np.float32)
        self.m, self.v = np.zeros_like(self.features), np.zeros_like(self.features)
        self.opacities = scene.opacities.copy()
        self.logits = logit(self.opacities)
        self.logit_m, self.logit_v = np.zeros_like(self.logits), np.zeros_like(self.logits)
        builder = ViewBuilder(scene)
        self.views: ByteCache[View] = ByteCache(lambda k: builder.build(cameras[k]), cache_bytes)
        self._stirred = np.zeros(len(scene), bool)  # rows that ever had a gradient
        self._lister = FragmentLister()
        self._fragments: Fragments | None = None

    @property
    def fixed_nbytes(self) -> int:
        """Memory held apart from the views, bytes."""
        return sum(array.nbytes for array in self.state().values())

    def forward(self, number: int, px: np.ndarray, py: np.ndarray) -> np.ndarray:
        """Rendered features, float32 [P, D], of pixels px, py (int32 [P]) of camera `number`."""
        self._fragments = self._lister.list(self.views[number], px, py, self.opacities)
        return self._fragments.forward(self.features)

    def backward(self, grad: np.ndarray, feature_rate: float, opacity_rate: float) -> None:
        """One Adam step for dL/dF = grad, float32 [P, D], of the last `forward`."""
        fragments = self._fragments
        if fragments is None:
            raise RuntimeError("backward before forward")
        if opacity_rate > 0:
            alpha_grad = fragments.opacity_gradients(self.features, grad)
        else:
            alpha_grad = np.zeros(len(fragments.rank), np.float32)
        lists = fragments.by_gaussian()
        adam_on_touched(
            lists.rows, lists.offsets, lists.fragment, lists.pixel, fragments.weight, grad, alpha_grad,
            grad.any(1), self._stirred,
            self.features, self.m, self.v, self.logits, self.opacities, self.logit_m, self.logit_v,
            np.float32(feature_rate), np.float32(opacity_rate), BETA1, BETA2, EPSILON,
        )  # fmt: skip

    def state(self) -> dict[str, np.ndarray]:
        """Everything a checkpoint needs.

        The opacities are among it. Computed anew from the logits they differ in the last bit: rows that no step has
        touched keep the splat's own.
        """
        return {name: getattr(self, name) for name in (*STATE, "opacities")}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a checkpoint's arrays."""
        for name in self.state():
            getattr(self, name)[...] = state[name]
        self._stirred = (self.m != 0).any(1) | (self.v != 0).any(1) | (self.logit_m != 0) | (self.logit_v != 0)
