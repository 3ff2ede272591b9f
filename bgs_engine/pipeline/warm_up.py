"""Compile every CPU kernel in a stage of its own: it takes half a minute once, and seconds afterwards."""

import numpy as np

from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.devices.choice import Device
from bgs_engine.raster.color_frames import render_frame
from bgs_engine.raster.label_maps import label_renderer
from bgs_engine.train.config import PRESETS, TrainConfig
from bgs_engine.train.start import training_start
from bgs_engine.train.steps import make_steps
from bgs_engine.train.tiny_scene import EDGE, tiny_scene

CPU = Device("cpu", "", "kernels are compiled for the CPU")


def warm_up(reporter: Reporter) -> None:
    """Compile or load all kernels by running every stage on a tiny scene."""
    reporter.stage("Preparing kernels")
    scene, camera = tiny_scene()
    halves = np.ones((1, EDGE, EDGE), np.int32)
    halves[:, :, EDGE // 2 :] = 2  # two masks
    views = MaskedViews(scene, [camera, camera], lambda number: halves, BitLayout())
    codes = np.zeros(len(scene), np.int32)
    parts = (
        lambda: render_frame(scene, camera),
        lambda: label_renderer(CPU, scene, codes, scene.opacities, views.layout.total)(camera),
        lambda: _associate_and_train(views),
    )
    for part in reporter.track(parts, len(parts)):
        part()


def _associate_and_train(views: MaskedViews) -> None:
    silent = Reporter()
    for objective in PRESETS:
        config = TrainConfig(objective=objective)
        start = training_start(views, config, CPU, silent)
        steps = make_steps(CPU, views, start, config, silent)
        steps.take(0, np.random.default_rng(0), config.first_feature_rate, config.opacity_rate)
