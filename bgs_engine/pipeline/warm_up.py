"""Compile every kernel on a scene of one Gaussian, as a stage of its own: half a minute once, seconds afterwards."""

import numpy as np

from bgs_engine.associate.kernels import NODES_HELD, best_per_row, gaussian_votes, spread_round
from bgs_engine.core.cameras import Camera
from bgs_engine.core.events import Reporter
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.raster.color_frames import render_frame
from bgs_engine.raster.cpu.fragments import FragmentLister
from bgs_engine.raster.cpu.label_maps import label_map
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.semantics import ALPHA_MAX
from bgs_engine.train.model import CpuModel


def warm_up(reporter: Reporter) -> None:
    """Compile or load all kernels."""
    reporter.stage("Preparing kernels")
    one = np.ones((1, 1), np.float32)
    gaussians = Gaussians(
        np.zeros((1, 3), np.float32),
        np.array([[1, 0, 0, 0]], np.float32),
        np.full((1, 3), 0.1, np.float32),
        np.full(1, 0.5, np.float32),
        np.zeros((1, 1, 3), np.float32),
        np.ones(1, bool),
    )
    viewmat = np.eye(4)
    viewmat[2, 3] = 2
    camera = Camera("warm-up", 16, 16, 16, 16, 8, 8, viewmat)
    scene = RasterScene.from_gaussians(gaussians)
    px = py = np.full(1, 8, np.int32)
    zero, one_row = np.zeros(1, np.int32), np.ones(1, np.int32)
    steps = (
        lambda: render_frame(scene, camera),
        lambda: label_map(ViewBuilder(scene).build(camera), scene.opacities, np.zeros(1, np.int32), 32),
        lambda: _train_step(scene, camera, px, py),
        lambda: _votes(scene, camera, px, py),
        lambda: best_per_row(np.array([0, 1], np.int32), zero, one[0], -one_row, zero, zero.copy()),
        _spread,
    )
    for step in reporter.track(steps, len(steps)):
        step()


def _train_step(scene: RasterScene, camera: Camera, px: np.ndarray, py: np.ndarray) -> None:
    model = CpuModel(scene, [camera], np.zeros((1, 32), np.float32), 1)
    model.backward(np.zeros_like(model.forward(0, px, py)), 0.1, 0.1)


def _votes(scene: RasterScene, camera: Camera, px: np.ndarray, py: np.ndarray) -> None:
    fragments = FragmentLister().list(ViewBuilder(scene).build(camera), px, py, scene.opacities)
    lists = fragments.by_gaussian()
    held = np.empty((len(lists.rows), NODES_HELD), np.int32)
    weights, clear = np.zeros((2, *held.shape), np.float32)
    node = np.zeros(1, np.int32)
    gaussian_votes(
        lists.offsets, lists.fragment, lists.pixel, fragments.rank, fragments.falloff, fragments.weight,
        fragments.opacity, np.float32(ALPHA_MAX), node, held, weights, clear,
    )  # fmt: skip


def _spread() -> None:
    offsets, zero, near = np.array([0, 1], np.int32), np.zeros(1, np.int32), np.zeros((1, 1), np.int32)
    vote, one, strength = np.ones(1, np.float32), np.ones((1, 1), np.float32), np.float32(1)
    held, share = np.full((1, 4), -1, np.int32), np.zeros((1, 4), np.float32)
    spread_round(offsets, zero, vote, near, one, zero - 1, zero, strength, held, share, held.copy(), share.copy())
