"""A training step on a Warp device: nothing comes back to the host, and the step uses less where memory runs out."""

from collections.abc import Callable

import numpy as np
import warp as wp

from bgs_engine.associate.mask_children import MaskChildren
from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.core.errors import MemoryExhaustedError
from bgs_engine.devices.choice import is_out_of_memory
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.device_model import DeviceModel
from bgs_engine.train.device_objectives import (
    DeviceContrastiveObjective,
    DeviceObjective,
    DeviceSegmentObjective,
    loss_value,
)
from bgs_engine.train.device_sampling import DevicePixelSampler
from bgs_engine.train.stage_timer import StageTimer, stage
from bgs_engine.train.steps import MemoryUse

LEAST_CACHE = 0.25  # of --cache-gb: left for views even where the scene itself takes all of it
PIXEL_BYTES, TABLE_BYTES = 4, 64 << 10  # bytes of index that a labelled pixel, and the tables of a view's masks, take
PIXELS_AT_MOST = 0.6  # of what is left for views: an index is read from files, lists are soon made on the card


class DeviceSteps:
    """See `train.steps.Steps`. --cache-gb bounds all device memory: features, moments and geometry come off it first.

    An allocation can only fail before a step has changed anything. Then half the cache is given up, again and again,
    then half the pixels, and the step is tried once more. An error says when nothing is left to give up.
    """

    def __init__(
        self,
        device: str,
        views: MaskedViews,
        features: np.ndarray,
        mask_children: MaskChildren | None,
        config: TrainConfig,
        warn: Callable[[str], None],
    ) -> None:
        """features: float32 [N, D]; mask_children: None for the contrastive objective; warn: told what is given up."""
        self.device, self._cameras, self._warn = device, views.cameras, warn
        self.timer: StageTimer | None = None
        total = int(config.cache_gb * 1e9)
        try:
            self.model = DeviceModel(views.scene, views.cameras, features, total, device)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise self._exhausted(error) from None
        left = max(total - self.model.fixed_nbytes, int(total * LEAST_CACHE))
        all_pixels = sum(camera.width * camera.height * PIXEL_BYTES + TABLE_BYTES for camera in views.cameras)
        for_pixels = int(min(all_pixels, left * PIXELS_AT_MOST))
        self.model.views.shrink(left - for_pixels)
        self.sampler = DevicePixelSampler(views.level_maps, *config.pixels_of_step, for_pixels, device)
        self.objective: DeviceObjective = (
            DeviceContrastiveObjective(views.layout, config, device)
            if mask_children is None
            else DeviceSegmentObjective(views.layout, mask_children, device)
        )
        self._loss = wp.zeros(1, dtype=wp.int64, device=device)
        self._taken = 0

    @property
    def features(self) -> np.ndarray:
        """See `Steps`."""
        return self.model.features

    @property
    def opacities(self) -> np.ndarray:
        """See `Steps`."""
        return self.model.opacities

    def take(self, number: int, rng: np.random.Generator, feature_rate: float, opacity_rate: float) -> None:
        """See `Steps`; the host goes on before the device has finished."""
        seed = int(rng.integers(1 << 31))
        while True:
            failure = self._try(number, np.random.default_rng(seed), feature_rate, opacity_rate)
            if failure is None:
                return
            self._use_less_memory(failure)

    def loss(self) -> float | None:
        """See `Steps`; waits for the device and makes room for what did not fit."""
        if not self._taken:
            return None
        skipped = self.model.settle()
        if skipped:
            self._warn(f"{skipped} steps were left out: their pixels show more Gaussians than there was room for.")
        mean = loss_value(int(self._loss.numpy()[0])) / self._taken
        self._loss.zero_()
        self._taken = 0
        return mean

    def memory(self) -> MemoryUse:
        """See `Steps`."""
        views, pixels = self.model.views, self.sampler.views
        return MemoryUse(self.model.fixed_nbytes, views.nbytes, pixels.nbytes, min(len(views), len(pixels)))

    def state(self) -> dict[str, np.ndarray]:
        """See `Steps`."""
        return self.model.state()

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """See `Steps`."""
        self.model.load_state(state)

    def _try(
        self, number: int, rng: np.random.Generator, feature_rate: float, opacity_rate: float
    ) -> BaseException | None:
        """Take the step; the error if memory ran out, without the frames that hold on to arrays."""
        try:
            with stage(self.timer, "sample"):
                sample = self.sampler.draw(number, self._cameras[number].width, rng)
            if sample is None:
                return None
            with stage(self.timer, "forward"):
                rendered = self.model.forward(number, sample.px, sample.py)
            with stage(self.timer, "loss"):
                grad = self.objective(rendered, sample, self._loss)
            with stage(self.timer, "backward"):
                self.model.backward(grad, feature_rate, opacity_rate)
            self._taken += 1
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return error.with_traceback(None)
        return None

    def _use_less_memory(self, error: BaseException) -> None:
        """Give up half the cache, or half the pixels once only the view at hand is held.

        Raises:
            MemoryExhaustedError: neither is left.
        """
        self.model.release_buffers()
        held = len(self.model.views)
        if held > 1 or len(self.sampler.views) > 1:
            for cache in (self.model.views, self.sampler.views):
                cache.shrink(cache.nbytes // 2)
            self._warn(f"The device is out of memory: {len(self.model.views)} views are kept instead of {held}.")
        elif self.sampler.halve():
            self._warn("The device is out of memory: half as many pixels a step from now on.")
        else:
            raise self._exhausted(error)

    def _exhausted(self, error: BaseException) -> MemoryExhaustedError:
        device = wp.get_device(self.device)
        size = (
            f" of {device.total_memory / 1e9:.1f} GB, {device.free_memory / 1e9:.1f} GB free" if device.is_cuda else ""
        )
        return MemoryExhaustedError(
            f"The scene does not fit the device's memory ({device.name}{size}): {error}.",
            "Close other programs on the card, use a smaller scene, or --device cpu.",
        )
