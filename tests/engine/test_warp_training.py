"""Training with the card's kernels on Warp's CPU device: the CPU's losses, steps and accuracy, and no waiting."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_scenes import CAMERA, all_pixels, made_scene, random_gaussians
from test_training import CancelAt

from bgs_engine.cli.main import main
from bgs_engine.codes import BitLayout
from bgs_engine.errors import CancelledError, MemoryExhaustedError
from bgs_engine.evaluate import evaluate_run
from bgs_engine.events import Reporter
from bgs_engine.io.images import read_label_png
from bgs_engine.io.run_folder import open_run
from bgs_engine.pipeline import train_run
from bgs_engine.raster.cpu.fragments import tile_order
from bgs_engine.raster.warp import wp
from bgs_engine.raster.warp.view import to_device
from bgs_engine.train.config import TrainConfig
from bgs_engine.train.device_model import DeviceModel
from bgs_engine.train.device_objectives import (
    DeviceContrastiveObjective,
    DeviceObjective,
    DeviceSegmentObjective,
    loss_value,
)
from bgs_engine.train.device_sampling import MIN_PLACES, DevicePixelSampler, DeviceSample, index_on_device
from bgs_engine.train.device_steps import DeviceSteps
from bgs_engine.train.model import CpuModel
from bgs_engine.train.objectives import ContrastiveObjective, Objective, SegmentObjective
from bgs_engine.train.sampling import index_pixels

DEVICE = "cpu"
LAYOUT = BitLayout((5, 4, 4))
SIZE = (80, 60)
QUICK = TrainConfig(device="warp-cpu", iterations=150, uniform_pixels=300, balanced_pixels=1200, balanced_masks=16)


def nested_maps() -> np.ndarray:
    """Blocks in blocks in blocks, int32 [3, H, W]: one coarse mask undivided, one corner and one strip unlabelled."""
    ys, xs = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    maps = np.stack([(ys // s) * (SIZE[0] // s) + xs // s + 1 for s in (20, 10, 5)]).astype(np.int32)
    undivided = maps[0] == 3
    maps[1][undivided] = maps[2][undivided] = 60_000
    maps[:, :7, :9] = 0
    maps[2, 30:40] = 0
    return maps


def drawn(uniform: int = 300, balanced: int = 1200, masks: int = 16, seed: int = 3) -> DeviceSample:
    sampler = DevicePixelSampler(lambda _: nested_maps(), uniform, balanced, masks, 1 << 20, DEVICE)
    sample = sampler.draw(0, SIZE[0], np.random.default_rng(seed))
    assert sample is not None
    return sample


def test_the_index_is_the_cpus() -> None:
    ours, theirs = index_on_device(nested_maps(), DEVICE), index_pixels(nested_maps())
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    for name in ("mask_start", "mask_end", "level_start"):
        np.testing.assert_array_equal(getattr(ours, name).numpy(), getattr(theirs, name))
    starts = ours.node_start.numpy()
    for node in range(len(ours.labels)):
        stretch = slice(starts[node], starts[node + 1])
        assert set(ours.pixels.numpy()[stretch]) == set(theirs.pixels[stretch])


def test_draws_are_labelled_and_single_and_know_their_labels() -> None:
    sample, maps = drawn(), nested_maps()
    px, py, node = sample.px.numpy(), sample.py.numpy(), sample.node.numpy()
    there = node >= 0
    assert (px[~there] == -1).all() and there.sum() == sample.drawn.numpy()[0] < len(px)
    np.testing.assert_array_equal(sample.view.labels[node[there]], maps[:, py[there], px[there]].T)
    places = py[there] * SIZE[0] + px[there]
    assert len(np.unique(places)) == len(places)
    assert (np.diff(tile_order(px[there], py[there], SIZE[0])) == 1).all()
    again = drawn().px.numpy()
    np.testing.assert_array_equal(px, again)
    assert (drawn(seed=4).px.numpy() != again).any()


def test_draws_are_spread_as_the_rules_say() -> None:
    """Uniform draws hit masks by area, balanced ones by level and mask: the undivided mask alone is far oftener hit."""
    maps = nested_maps()
    undivided = maps[0] == 3
    area = undivided.sum() / (maps[0] > 0).sum()
    counts = np.zeros(2)
    for kind, (uniform, balanced) in enumerate(((400, 0), (0, 400))):
        for seed in range(40):
            sample = drawn(uniform, balanced, 40, seed)
            px, py = sample.px.numpy(), sample.py.numpy()
            counts[kind] += undivided[py[px >= 0], px[px >= 0]].sum() / sample.drawn.numpy()[0]
    shares = counts / 40
    # 40 draws of 400: the standard error of a share of 0.08 is 0.002. Balanced: 1 of 12, 1 of 44 and 1 of 140 masks.
    assert abs(shares[0] - area) < 0.01
    assert abs(shares[1] - (1 / 12 + 1 / 44 + 1 / 140) / 3) < 0.02


def test_a_view_without_labels_gives_no_sample() -> None:
    sampler = DevicePixelSampler(lambda _: np.zeros((2, 5, 5), np.int32), 10, 10, 2, 1 << 20, DEVICE)
    assert sampler.draw(0, 5, np.random.default_rng(0)) is None


def mask_codes() -> list[dict[tuple[int, int], int]]:
    """Every seventh mask is contradicted."""
    pairs = zip(nested_maps(), LAYOUT.level_bits, strict=True)
    return [{(0, int(i)): int(i) % (1 << b) for i in np.unique(m) if i and i % 7} for m, b in pairs]


OBJECTIVES: dict[str, tuple[Objective, DeviceObjective]] = {
    "segments": (SegmentObjective(LAYOUT, mask_codes()), DeviceSegmentObjective(LAYOUT, mask_codes(), DEVICE))
} | {
    name: (ContrastiveObjective(LAYOUT, config), DeviceContrastiveObjective(LAYOUT, config, DEVICE))
    for name, config in {
        "contrastive": TrainConfig(),
        "not progressive": TrainConfig(progressive=False, virtual_negative=0.0),
        "straight through": TrainConfig(straight_through=True),
    }.items()
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_are_the_cpus(name: str) -> None:
    theirs, ours = OBJECTIVES[name]
    sample = drawn()
    there = sample.node.numpy() >= 0
    labels = sample.view.labels[sample.node.numpy()[there]]
    features = np.random.default_rng(1).random((len(there), LAYOUT.total)).astype(np.float32)
    loss, grad = theirs(features[there], labels, 0)
    total = wp.zeros(1, dtype=wp.int64, device=DEVICE)
    got = ours(to_device(features, wp.float32, DEVICE), sample, total).numpy()
    # float32 sums of a thousand pixels; the fixed point of 2^-40 is far below that.
    assert loss_value(int(total.numpy()[0])) == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(got[there], grad, atol=1e-5 * np.abs(grad).max())
    assert not got[~there].any()


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


@pytest.fixture(scope="module")
def trained(small_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_run(small_scene, tmp_path_factory.mktemp("runs") / "run", BitLayout(), QUICK, Reporter())


def test_training_reaches_the_cpus_accuracy(small_scene: Path, trained: Path, tmp_path: Path) -> None:
    on_cpu = TrainConfig(**{**QUICK.__dict__, "device": "cpu"})
    theirs = evaluate_run(
        train_run(small_scene, tmp_path / "cpu", BitLayout(), on_cpu, Reporter()), small_scene / "gt", Reporter()
    )
    ours = evaluate_run(trained, small_scene / "gt", Reporter())
    for level in ("level_1", "level_2", "level_3"):
        # Other random pixels: over four seeds either backend's IoU moves by 0.01 and neither is ahead.
        assert ours[level]["best"] == pytest.approx(theirs[level]["best"], abs=0.02)
        assert ours[level]["best"] > 0.75  # the scene's usual: 0.97, 0.90, 0.83


def test_the_papers_objective_trains(small_scene: Path, tmp_path: Path) -> None:
    config = TrainConfig(**{**QUICK.__dict__, "objective": "contrastive"})
    run = train_run(small_scene, tmp_path / "run", BitLayout(), config, Reporter())
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    losses = [event["value"] for event in events if event["event"] == "metric" and event["name"] == "loss"]
    assert losses[-1] < 0.8 * losses[0]  # as test_training asks of the CPU


def test_a_stopped_run_resumes_to_the_same_codes(small_scene: Path, tmp_path: Path) -> None:
    short = TrainConfig(**{**QUICK.__dict__, "iterations": 12, "checkpoint_seconds": 0.0})
    whole = train_run(small_scene, tmp_path / "whole", BitLayout(), short, Reporter())
    with pytest.raises(CancelledError):
        train_run(small_scene, tmp_path / "run", BitLayout(), short, CancelAt(3).reporter)
    again = train_run(small_scene, tmp_path / "run", BitLayout(), short, Reporter(), resume=True)
    np.testing.assert_array_equal(open_run(again).codes, open_run(whole).codes)
    np.testing.assert_array_equal(open_run(again).opacities, open_run(whole).opacities)


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
    codes = None if config.objective == "contrastive" else [
        {(camera, int(i)): int(i) % (1 << b) for camera in range(views) for i in np.unique(m) if i}
        for m, b in zip(maps_of_camera(), LAYOUT.level_bits, strict=True)
    ]  # fmt: skip
    features = np.random.default_rng(0).random((len(made.scene), LAYOUT.total)).astype(np.float32)
    warnings: list[str] = []
    cameras = [CAMERA] * views
    steps = DeviceSteps(
        DEVICE, made.scene, cameras, features, lambda _: maps_of_camera(), LAYOUT, config, codes, warnings.append
    )
    return steps, warnings


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
    """Warp's own host allocator with an end to it: a device whose memory runs out."""

    def __init__(self, device: wp.Device) -> None:
        self.inner, self.limit, self.held = device.default_allocator, 1 << 60, 0
        self.deallocate_requires_context_guard = self.inner.deallocate_requires_context_guard
        self.memory_kind = getattr(self.inner, "memory_kind", None)

    def allocate(self, size: int) -> int:
        if self.held + size > self.limit:
            raise RuntimeError(f"Failed to allocate {size} bytes on device 'cpu'")
        self.held += size
        return self.inner.allocate(size)

    def deallocate(self, pointer: int, size: int) -> None:
        self.held -= size
        self.inner.deallocate(pointer, size)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Budget:
    device = wp.get_device(DEVICE)
    limited = Budget(device)
    monkeypatch.setattr(device, "default_allocator", limited)
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


def test_render_draws_the_same_labels(small_scene: Path, trained: Path, tmp_path: Path) -> None:
    cameras = str(small_scene / "gt" / "transforms_test.json")
    for device in ("cpu", "warp-cpu"):
        arguments = ["render", str(trained), "-o", str(tmp_path / device), "--views", cameras, "--device", device]
        assert main(arguments) == 0
    theirs = sorted((tmp_path / "cpu" / "labels").glob("*.png"))
    assert len(theirs) == 2  # the scene's held-out views
    for path in theirs:
        one, other = read_label_png(path), read_label_png(tmp_path / "warp-cpu" / "labels" / path.name)
        assert one.any() and (one != other).sum() <= one.size // 5000  # see test_warp_labels


def test_run_json_says_where(trained: Path) -> None:
    info = open_run(trained).info
    assert info["device"] == "warp-cpu" and info["configuration"]["device"] == "warp-cpu"
    events = [json.loads(line) for line in (trained / "events.jsonl").read_text().splitlines()]
    assert not [event for event in events if event["event"] == "warning"]
