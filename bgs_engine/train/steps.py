"""The interface that the training loop drives, and its implementation with the sampler on the CPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.core.cameras import Camera
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.model import CpuModel
from bgs_engine.train.objectives import ContrastiveObjective, Objective, SegmentObjective
from bgs_engine.train.sampling import PixelSampler
from bgs_engine.train.stage_timer import StageTimer, stage
from bgs_engine.train.start import TrainingStart

PIXEL_SHARE = 0.25  # of the cache, for the pixel indices of views: they are that much smaller than the views


@dataclass(frozen=True)
class MemoryUse:
    """Bytes that training holds on its device.

    fixed: features, moments and geometry. views: projected views. pixels: indices of the views' labelled pixels.
    held: the number of views whose projection and index are both held.
    """

    fixed: int
    views: int
    pixels: int
    held: int


class Steps(Protocol):
    """Training on one device. The state is the same on every device: a checkpoint of one continues on another.

    timer: measures the stages of the steps (sample, forward, loss, backward) if one is set.
    """

    timer: StageTimer | None

    @property
    def features(self) -> np.ndarray:
        """Float32 [N, D], scene order."""

    @property
    def opacities(self) -> np.ndarray:
        """Float32 [N], scene order."""

    def take(self, number: int, rng: np.random.Generator, feature_rate: float, opacity_rate: float) -> None:
        """One optimisation step on the view of camera `number`; nothing where no pixel is labelled."""

    def loss(self) -> float | None:
        """Mean loss of the steps since the last call, None without any. May wait for the device."""

    def memory(self) -> MemoryUse:
        """Memory held now."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything a checkpoint needs."""

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a checkpoint's arrays."""


class HostModel(Protocol):
    """A model whose pixels and rendered features are NumPy arrays: `CpuModel`, `GsplatModel`."""

    @property
    def views(self) -> ByteCache[Any]:
        """The projected views that are held."""

    @property
    def fixed_nbytes(self) -> int:
        """Memory held apart from the views, bytes."""

    @property
    def features(self) -> np.ndarray:
        """Float32 [N, D], scene order."""

    @property
    def opacities(self) -> np.ndarray:
        """Float32 [N], scene order."""

    def forward(self, number: int, px: np.ndarray, py: np.ndarray) -> np.ndarray:
        """Rendered features, float32 [P, D], of pixels px, py (int32 [P]) of camera `number`."""

    def backward(self, grad: np.ndarray, feature_rate: float, opacity_rate: float) -> None:
        """One Adam step for dL/dF = grad, float32 [P, D], of the last `forward`."""

    def state(self) -> dict[str, np.ndarray]:
        """Everything a checkpoint needs."""

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a checkpoint's arrays."""


class HostSteps:
    """Sampler and objective on the CPU, the model wherever it is."""

    def __init__(
        self, model: HostModel, sampler: PixelSampler, objective: Objective, cameras: Sequence[Camera]
    ) -> None:
        self._model, self._sampler, self._objective, self._cameras = model, sampler, objective, cameras
        self._loss, self._taken = 0.0, 0
        self.timer: StageTimer | None = None

    @property
    def features(self) -> np.ndarray:
        """See `Steps`."""
        return self._model.features

    @property
    def opacities(self) -> np.ndarray:
        """See `Steps`."""
        return self._model.opacities

    def take(self, number: int, rng: np.random.Generator, feature_rate: float, opacity_rate: float) -> None:
        """See `Steps`."""
        with stage(self.timer, "sample"):
            px, py, labels = self._sampler.draw(number, self._cameras[number].width, rng)
        if not len(px):
            return
        with stage(self.timer, "forward"):
            rendered = self._model.forward(number, px, py)
        with stage(self.timer, "loss"):
            loss, grad = self._objective(rendered, labels, number)
        with stage(self.timer, "backward"):
            self._model.backward(grad, feature_rate, opacity_rate)
        self._loss, self._taken = self._loss + loss, self._taken + 1

    def loss(self) -> float | None:
        """See `Steps`."""
        mean = self._loss / self._taken if self._taken else None
        self._loss, self._taken = 0.0, 0
        return mean

    def memory(self) -> MemoryUse:
        """See `Steps`."""
        views, pixels = self._model.views, self._sampler.views
        return MemoryUse(self._model.fixed_nbytes, views.nbytes, pixels.nbytes, min(len(views), len(pixels)))

    def state(self) -> dict[str, np.ndarray]:
        """See `Steps`."""
        return self._model.state()

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """See `Steps`."""
        self._model.load_state(state)


def make_steps(
    device: Device, views: MaskedViews, start: TrainingStart, config: TrainConfig, reporter: Reporter
) -> Steps:
    """Training on `device`. With `start.mask_children` the objective is the segments', without it the contrastive one.

    Raises:
        EnvironmentLacksError: the device's package cannot work here.
        MemoryExhaustedError: the scene alone does not fit the device.
    """
    if device.kind == "cuda":
        from bgs_engine.train.device_steps import DeviceSteps

        return DeviceSteps(device.name, views, start.features, start.mask_children, config, reporter.warning)
    cache = int(config.cache_gb * 1e9)
    sampler = PixelSampler(views.level_maps, *config.pixels_of_step, max_bytes=int(cache * PIXEL_SHARE))
    objective: Objective = (
        ContrastiveObjective(views.layout, config)
        if start.mask_children is None
        else SegmentObjective(views.layout, start.mask_children)
    )
    model: HostModel
    if device.kind == "gsplat":
        from bgs_engine.train.gsplat_model import GsplatModel

        model = GsplatModel(views.scene, views.cameras, start.features, cache)
    else:
        model = CpuModel(views.scene, views.cameras, start.features, cache)
    return HostSteps(model, sampler, objective, views.cameras)
