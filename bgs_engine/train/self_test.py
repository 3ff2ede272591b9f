"""Compares one step on a card with the same step on the CPU, before a long job depends on the card."""

import numpy as np

from bgs_engine.core.errors import EnvironmentLacksError
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device
from bgs_engine.train.model import CpuModel
from bgs_engine.train.tiny_scene import EDGE, GAUSSIANS, tiny_scene

CHANNELS = 4
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
    """The problem of a Warp device in a sentence, or "" if it has none."""
    scene, camera = tiny_scene()
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
