"""The trained model on a Warp device: the counterpart of `train.model.CpuModel`, with the same two methods."""

from collections.abc import Sequence

import numpy as np
import warp as wp

from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.core.cameras import Camera
from bgs_engine.io.gaussians import logit
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.warp.fragments import DeviceFragmentLister, DeviceFragments
from bgs_engine.raster.warp.kernels.lanes import lanes_of
from bgs_engine.raster.warp.view import DeviceScene, DeviceView, DeviceViewBuilder, to_device
from bgs_engine.train.model import BETA1, BETA2, EPSILON, STATE
from bgs_engine.train.warp_kernels import adam


class DeviceModel:
    """Features float32 [N, D] and opacity logits float32 [N] of a scene, scene order, with their Adam moments.

    A step on a view that is held does not wait for the device and allocates nothing. A step whose fragments exceed
    their buffers changes nothing. `settle` counts such steps and enlarges the buffers.
    """

    def __init__(
        self, scene: RasterScene, cameras: Sequence[Camera], features: np.ndarray, cache_bytes: int, device: str
    ) -> None:
        self.device = device
        self.geometry = DeviceScene(scene, device)
        start = {
            "features": features,
            "m": np.zeros_like(features),
            "v": np.zeros_like(features),
            "logits": logit(scene.opacities),
            "logit_m": np.zeros(len(scene)),
            "logit_v": np.zeros(len(scene)),
        }
        self._state = {name: to_device(start[name], wp.float32, device) for name in STATE}
        self._opacities = wp.empty(len(scene), dtype=wp.float32, device=device)
        self._follow_logits()
        self._builder = DeviceViewBuilder(self.geometry)
        self.views: ByteCache[DeviceView] = ByteCache(lambda k: self._builder.build(cameras[k]), cache_bytes)
        self._lister = DeviceFragmentLister(len(scene), device)
        self._fragments: DeviceFragments | None = None
        self._rendered = wp.empty((0, features.shape[1]), dtype=wp.float32, device=device)

    @property
    def features(self) -> np.ndarray:
        """A copy of the features, float32 [N, D]; waits for the device."""
        return self._state["features"].numpy().copy()

    @property
    def opacities(self) -> np.ndarray:
        """A copy of the opacities, float32 [N]; waits for the device."""
        return self._opacities.numpy().copy()

    @property
    def fixed_nbytes(self) -> int:
        """Device memory held apart from the views, bytes."""
        own = sum(array.capacity for array in (*self._state.values(), self._opacities, self._rendered))
        return own + self.geometry.nbytes + self._builder.nbytes + self._lister.nbytes

    def forward(self, number: int, px: wp.array, py: wp.array) -> wp.array:
        """Rendered features, float32 [P, D], of pixels px, py (int32 [P]; px -1 = none) of camera `number`.

        The array is overwritten by the next call.
        """
        builds = self.views.builds
        view = self.views[number]
        new = self.views.builds != builds or len(self._rendered) != px.size
        self._fragments = self._lister.list(view, px, py, self._opacities, measure=new)
        if len(self._rendered) != px.size:
            self._rendered = wp.empty((px.size, self._rendered.shape[1]), dtype=wp.float32, device=self.device)
        return self._fragments.forward(self._state["features"], self._rendered)

    def backward(self, grad: wp.array, feature_rate: float, opacity_rate: float) -> None:
        """One Adam step for dL/dF = grad, float32 [P, D], of the last `forward`."""
        fragments = self._fragments
        if fragments is None:
            raise RuntimeError("backward before forward")
        alpha_grad = fragments.opacity_grad
        if opacity_rate > 0:
            alpha_grad = fragments.opacity_gradients(self._state["features"], grad)
        fragments.sort()
        state, lanes = self._state, lanes_of(self.device)
        wp.launch(
            adam.adam_on_touched,
            (-(-fragments.capacity // lanes), lanes),
            [
                fragments.ends, fragments.capacity, fragments.sort_row, fragments.sort_fragment, fragments.pixel,
                fragments.weight, grad, alpha_grad, feature_rate, opacity_rate,
                float(BETA1), float(BETA2), float(EPSILON), lanes,
            ],
            [
                state["features"], state["m"], state["v"], state["logits"], self._opacities,
                state["logit_m"], state["logit_v"],
            ],
            device=self.device,
            block_dim=adam.BLOCK,
        )  # fmt: skip
        self._fragments = None  # sorted in place: good for one step

    def settle(self) -> int:
        """The number of steps since the last call that changed nothing. Enlarges the buffers; waits for the device."""
        return self._lister.settle()

    def release_buffers(self) -> None:
        """Free the buffers that the next step allocates again, in the size that it needs."""
        self._fragments = None
        self._lister.release()
        self._rendered = wp.empty((0, self._rendered.shape[1]), dtype=wp.float32, device=self.device)

    def state(self) -> dict[str, np.ndarray]:
        """The arrays of a checkpoint, equal to those of `CpuModel`: each can continue the other's."""
        return {name: array.numpy() for name, array in self._state.items()} | {"opacities": self.opacities}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a checkpoint's arrays."""
        for name, array in self._state.items():
            array.assign(np.asarray(state[name], np.float32))
        self._follow_logits()

    def _follow_logits(self) -> None:
        wp.launch(
            adam.opacities_of, self._opacities.size, [self._state["logits"]], [self._opacities], device=self.device
        )
