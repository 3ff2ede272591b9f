"""What the training loop drives: something that takes a step on one view and knows its state."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from bgs_engine.associate.votes import LevelMaps
from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device
from bgs_engine.raster.scene import RasterScene
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.model import CpuModel
from bgs_engine.train.objectives import ContrastiveObjective, Objective, SegmentObjective
from bgs_engine.train.sampling import PixelSampler

PIXEL_SHARE = 0.25  # of the cache, for the pixel indices of views: they are that much smaller than the views

MaskCodes = list[dict[tuple[int, int], int]]


class Steps(Protocol):
    """Training on one device. State is the same everywhere: a checkpoint of one continues on another."""

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

    def state(self) -> dict[str, np.ndarray]:
        """Everything a checkpoint needs."""

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a checkpoint's arrays."""


class HostModel(Protocol):
    """A model whose pixels and rendered features are NumPy arrays: `CpuModel`, `GsplatModel`."""

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
        px, py, labels = self._sampler.draw(number, self._cameras[number].width, rng)
        if not len(px):
            return
        loss, grad = self._objective(self._model.forward(number, px, py), labels, number)
        self._model.backward(grad, feature_rate, opacity_rate)
        self._loss, self._taken = self._loss + loss, self._taken + 1

    def loss(self) -> float | None:
        """See `Steps`."""
        mean = self._loss / self._taken if self._taken else None
        self._loss, self._taken = 0.0, 0
        return mean

    def state(self) -> dict[str, np.ndarray]:
        """See `Steps`."""
        return self._model.state()

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """See `Steps`."""
        self._model.load_state(state)


def make_steps(
    device: Device,
    scene: RasterScene,
    cameras: Sequence[Camera],
    features: np.ndarray,
    level_maps: LevelMaps,
    layout: BitLayout,
    config: TrainConfig,
    mask_codes: MaskCodes | None,
    reporter: Reporter,
) -> Steps:
    """Training on `device`; mask_codes of an association make it the segment objective, None the contrastive one.

    Raises:
        EnvironmentLacksError: the device's package cannot work here.
        MemoryExhaustedError: the scene alone does not fit the device.
    """
    if device.kind == "cuda":
        from bgs_engine.train.device_steps import DeviceSteps

        return DeviceSteps(
            device.name, scene, cameras, features, level_maps, layout, config, mask_codes, reporter.warning
        )
    cache = int(config.cache_gb * 1e9)
    sampler = PixelSampler(level_maps, *config.drawn, max_bytes=int(cache * PIXEL_SHARE))
    objective: Objective = (
        ContrastiveObjective(layout, config) if mask_codes is None else SegmentObjective(layout, mask_codes)
    )
    if device.kind == "gsplat":
        from bgs_engine.train.gsplat_model import GsplatModel

        return HostSteps(GsplatModel(scene, cameras, features, cache), sampler, objective, cameras)
    return HostSteps(CpuModel(scene, cameras, features, cache), sampler, objective, cameras)
