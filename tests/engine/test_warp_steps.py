"""A training step by the card's kernels on Warp's CPU device: the CPU's, waiting for nothing, in any memory."""

import numpy as np
import pytest

from bgs_engine.associate.mask_children import MaskChildren
from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.core.errors import MemoryExhaustedError
from bgs_engine.raster.warp import wp
from bgs_engine.raster.warp.view import to_device
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.device_model import DeviceModel
from bgs_engine.train.device_sampling import MIN_PLACES
from bgs_engine.train.device_steps import DeviceSteps
from bgs_engine.train.model import CpuModel
from tests.engine.test_warp_objectives import LAYOUT, nested_maps
from tests.helpers.made_scenes import CAMERA, all_pixels, made_scene, random_gaussians
from tests.helpers.warp_device import DEVICE


def test_steps_are_the_cpus_steps() -> None:
    """Several Adam steps, features and opacity, from the same pixels and gradients."""
    made = made_scene(random_gaussians(4, 240, np.float32))
    rng = np.random.default_rng(0)
    start = rng.random((len(made.scene), 5), np.float32)
    theirs = CpuModel(made.scene, [CAMERA], start, 1 << 20)
    ours = DeviceModel(made.scene, [CAMERA], start, 1 << 20, DEVICE)
    px, py = all_pixels()
    for _ in range(4):
        at = rng.permutation(len(px))[:500]
        grad = rng.normal(size=(len(at), 5)).astype(np.float32)
        a = theirs.forward(0, px[at], py[at])
        b = ours.forward(0, to_device(px[at], wp.int32, DEVICE), to_device(py[at], wp.int32, DEVICE))
        np.testing.assert_allclose(b.numpy(), a, atol=1e-4)
        theirs.backward(grad, 0.02, 0.01)
        ours.backward(to_device(grad, wp.float32, DEVICE), 0.02, 0.01)
    # Adam divides by the gradient's own size: where that nearly cancels, rounding decides the step's sign.
    for name, array in ours.state().items():
        off = np.abs(array - theirs.state()[name]) > 1e-4 * max(1, np.abs(array).max())
        assert off.mean() < 0.003, name
    assert ours.settle() == 0
    other = DeviceModel(made.scene, [CAMERA], np.zeros_like(start), 1 << 20, DEVICE)
    other.load_state(theirs.state())  # checkpoints pass from one to the other
    np.testing.assert_array_equal(other.features, theirs.features)
    np.testing.assert_allclose(other.opacities, theirs.opacities, atol=1e-6)


class Waits:
    """Counts what makes the host wait for the device or copies between them."""

    OF_WARP = ("copy", "synchronize", "synchronize_device", "synchronize_stream", "from_numpy", "empty", "zeros")
    CALLS = (*((wp.array, name) for name in ("numpy", "list", "assign")), *((wp, name) for name in OF_WARP))

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        for owner, name in self.CALLS:
            monkeypatch.setattr(owner, name, self._counted(name, getattr(owner, name)))

    def _counted(self, name: str, function):
        def call(*arguments, **named):
            self.seen.append(name)
            return function(*arguments, **named)

        return call


SMALL = TrainConfig(uniform_pixels=300, balanced_pixels=1200)


def small_steps(config: TrainConfig = SMALL, views: int = 2, gaussians: int = 300) -> tuple[DeviceSteps, list[str]]:
    """Steps on a few hundred Gaussians, and the list that their warnings go to."""
    made = made_scene(random_gaussians(4, gaussians, np.float32))
    children = MaskChildren(
        tuple(
            {(camera, int(i)): int(i) % (1 << b) for camera in range(views) for i in np.unique(m) if i}
            for m, b in zip(maps_of_camera(), LAYOUT.level_bits, strict=True)
        )
    )
    features = np.random.default_rng(0).random((len(made.scene), LAYOUT.total)).astype(np.float32)
    warnings: list[str] = []
    seen = MaskedViews(made.scene, [CAMERA] * views, lambda _: maps_of_camera(), LAYOUT)
    targets = None if config.objective == "contrastive" else children
    return DeviceSteps(DEVICE, seen, features, targets, config, warnings.append), warnings


def maps_of_camera() -> np.ndarray:
    return np.ascontiguousarray(nested_maps()[:, : CAMERA.height, : CAMERA.width])


@pytest.mark.parametrize("objective", ["association", "contrastive"])
def test_a_step_on_a_held_view_waits_for_nothing(monkeypatch: pytest.MonkeyPatch, objective: str) -> None:
    steps, _ = small_steps(TrainConfig(uniform_pixels=300, balanced_pixels=1200, objective=objective))
    for step in range(4):
        steps.take(step % 2, np.random.default_rng(step), 0.02, 0.01)
    before = steps.features
    waits = Waits(monkeypatch)
    for step in range(4, 12):
        steps.take(step % 2, np.random.default_rng(step), 0.02, 0.01)
    assert waits.seen == []
    monkeypatch.undo()
    assert (steps.features != before).mean() > 0.5
    loss = steps.loss()
    assert loss is not None and loss > 0 and steps.loss() is None


class Budget:
    """Warp's own allocator of the device with an end to it: a device whose memory runs out."""

    def __init__(self, device: wp.Device) -> None:
        self.inner, self.limit, self.held = device.get_allocator(), 1 << 60, 0
        self.deallocate_requires_context_guard = self.inner.deallocate_requires_context_guard
        self.memory_kind = getattr(self.inner, "memory_kind", None)

    def allocate(self, size: int) -> int:
        if self.held + size > self.limit:
            raise RuntimeError(f"Failed to allocate {size} bytes on device '{DEVICE}'")
        self.held += size
        return self.inner.allocate(size)

    def deallocate(self, pointer: int, size: int) -> None:
        self.held -= size
        self.inner.deallocate(pointer, size)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Budget:
    device = wp.get_device(DEVICE)
    limited = Budget(device)
    monkeypatch.setattr(device, "current_allocator" if device.is_cuda else "default_allocator", limited)
    return limited


def test_out_of_memory_gives_up_views_then_pixels_then_says_so(budget: Budget) -> None:
    steps, warnings = small_steps(TrainConfig(uniform_pixels=500, balanced_pixels=700), views=6, gaussians=8000)
    take = lambda step: steps.take(step % 6, np.random.default_rng(step), 0.02, 0.01)  # noqa: E731
    for step in range(6):
        take(step)
    assert len(steps.model.views) == 6
    view_bytes = steps.model.views.nbytes // 6
    steps.model.views.shrink(5 * view_bytes)  # one view is built again: it finds no room
    steps.model.views.max_bytes = 1 << 30
    budget.limit = budget.held + view_bytes * 9 // 10  # enough for what building a view needs on the way
    for step in range(6, 12):
        take(step)
    assert warnings and all("views are kept instead of" in warning for warning in warnings)
    assert 1 <= len(steps.model.views) < 6
    places = steps.sampler.uniform + steps.sampler.rounds * steps.sampler.masks

    steps.model.views.shrink(0)
    steps.model.release_buffers()
    budget.limit = budget.held + 2 * view_bytes  # far too little for the fragments of a thousand pixels
    with pytest.raises(MemoryExhaustedError, match=r"Failed to allocate [0-9]+ bytes") as caught:
        for step in range(12, 24):
            take(step)
    assert "half as many pixels" in warnings[-1] and "--device cpu" in caught.value.hint
    fewer = steps.sampler.uniform + steps.sampler.rounds * steps.sampler.masks
    assert MIN_PLACES <= fewer < places
    before = steps.features
    budget.limit = 1 << 60
    take(24)  # nothing was damaged: with memory again it goes on
    assert (steps.features != before).any() and np.isfinite(steps.features).all()


def test_a_scene_that_does_not_fit_is_refused(budget: Budget) -> None:
    budget.limit = 10_000
    with pytest.raises(MemoryExhaustedError, match="does not fit"):
        small_steps()
