"""Full frames of many channels, and of whole labels by weight: how peers draw their classes."""

import numpy as np

from benchmarks.peers.kernels import blend_channels, heaviest
from bgs_engine.raster.cpu.fragments import opacity_cutoffs
from bgs_engine.raster.cpu.view import View
from bgs_engine.raster.semantics import ALPHA_MAX, ALPHA_MIN, EXTENT_CAP, TILE, TRANSMITTANCE_MIN

NONE = -1


def blend(view: View, opacities: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Blended features float32 [H, W, C], caught light [H, W]) of features float32 [N, C], scene order."""
    opacity, cutoff = opacity_cutoffs(view.order, opacities, np.float32(ALPHA_MIN), np.float32(EXTENT_CAP))
    image = np.empty((view.height, view.width, features.shape[1]), np.float32)
    caught = np.empty((view.height, view.width), np.float32)
    blend_channels(
        view.width, view.height, view.tiles_x, TILE, view.offsets, view.ranks, view.records, opacity, cutoff,
        view.order, features, np.float32(ALPHA_MAX), np.float32(TRANSMITTANCE_MIN), image, caught,
    )  # fmt: skip
    return image, caught


def heaviest_label(view: View, opacities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The label with the largest summed weight, int32 [H, W]; NONE where less than half the light is caught.

    labels: int32 [N], scene order, NONE = has no say.
    """
    opacity, cutoff = opacity_cutoffs(view.order, opacities, np.float32(ALPHA_MIN), np.float32(EXTENT_CAP))
    out = np.empty((view.height, view.width), np.int32)
    heaviest(
        view.width, view.height, view.tiles_x, TILE, view.offsets, view.ranks, view.records, opacity, cutoff,
        labels[view.order], np.float32(ALPHA_MAX), np.float32(TRANSMITTANCE_MIN), out,
    )  # fmt: skip
    return out
