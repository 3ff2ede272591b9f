"""One step on a card, held against the CPU's, before anything long depends on it."""

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import EnvironmentLacksError
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.raster.scene import RasterScene
from bgs_engine.train.model import CpuModel

GAUSSIANS, EDGE, CHANNELS = 300, 48, 4  # enough for several tiles with long lists; pixels a side
TOLERANCE = 1e-3  # of features in 0..1 that one step moved by 0.02: float32 differs by 1e-5, a wrong result by 1e-2
MAY_DIFFER = 0.01  # of them: where a gradient nearly cancels, rounding decides the sign of Adam's step


def usable(device: Device, choice: str, reporter: Reporter) -> Device:
    """The device itself, or, where `choice` is auto and the card fails the test, the CPU with a warning.

    Raises:
        EnvironmentLacksError: the card was asked for and fails.
    """
    problem = self_test(device.name) if device.kind == "cuda" else ""
    if not problem:
        return device
    if choice != "auto":
        raise EnvironmentLacksError(f"The card fails its self-test: {problem}.", "Use --device cpu.")
    reporter.warning(f"The card fails its self-test ({problem}); training on the CPU instead.")
    return Device("cpu", "", f"the card fails its self-test: {problem}")


def self_test(device: str) -> str:
    """What is wrong with a Warp device, "" if nothing is."""
    scene, camera = _scene(), Camera("test", EDGE, EDGE, 40.0, 40.0, EDGE / 2, EDGE / 2, np.eye(4))
    rng = np.random.default_rng(1)
    features = rng.random((GAUSSIANS, CHANNELS), np.float32)
    py, px = (axis.ravel().astype(np.int32) for axis in np.mgrid[0:EDGE, 0:EDGE])
    grad = rng.normal(size=(EDGE * EDGE, CHANNELS)).astype(np.float32)
    theirs = CpuModel(scene, [camera], features.copy(), 1)  # it trains them in place
    rendered = theirs.forward(0, px, py)
    theirs.backward(grad, 0.02, 0.01)
    try:
        from bgs_engine.raster.warp import wp
        from bgs_engine.raster.warp.compiled import load_kernels
        from bgs_engine.raster.warp.view import to_device
        from bgs_engine.train.device_model import DeviceModel

        list(load_kernels(device))
        ours = DeviceModel(scene, [camera], features, 1, device)
        got = ours.forward(0, to_device(px, wp.int32, device), to_device(py, wp.int32, device)).numpy()
        ours.backward(to_device(grad, wp.float32, device), 0.02, 0.01)
        after = ours.features
    except Exception as error:  # whatever a driver, a compiler or a card can come up with: the CPU is there
        return (
            f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
        )
    for name, one, other in (("rendering", got, rendered), ("a step", after, theirs.features)):
        off = np.abs(one - other) > TOLERANCE
        if not np.isfinite(one).all() or off.mean() > MAY_DIFFER:
            return f"{name} differs from the CPU's in {off.mean():.1%} of the values"
    return ""


def _scene() -> RasterScene:
    """Gaussians in front of the camera, some beside the picture."""
    rng = np.random.default_rng(0)
    quats = rng.normal(size=(GAUSSIANS, 4))
    fields = (
        rng.uniform((-1.6, -1.6, 1.5), (1.6, 1.6, 4.0), (GAUSSIANS, 3)),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        np.exp(rng.uniform(-3.5, -1.0, (GAUSSIANS, 3))),
        rng.uniform(0.05, 0.95, GAUSSIANS),
    )
    means, unit_quats, scales, opacities = (field.astype(np.float32) for field in fields)
    return RasterScene.from_gaussians(Gaussians(means, unit_quats, scales, opacities, None, np.ones(GAUSSIANS, bool)))
