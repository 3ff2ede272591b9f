"""The result of training: codes, opacities and confidence of every Gaussian."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.core.codes import BitLayout
from bgs_engine.train.start import TrainingStart
from bgs_engine.train.steps import Steps


@dataclass(frozen=True)
class Segmentation:
    """N Gaussians in scene order: codes int32 [N], opacities float32 [N] in 0..1, confidence float32 [N] in 0..1."""

    codes: np.ndarray
    opacities: np.ndarray
    confidence: np.ndarray


def segmentation_of(steps: Steps, start: TrainingStart, layout: BitLayout) -> Segmentation:
    """The result of finished steps.

    Every code is one of the first codes, if there are any. The confidence is the association's. Without one, it is the
    mean distance of a Gaussian's features from 0.5, doubled.
    """
    features = steps.features
    codes = layout.from_features(features) if start.codes is None else snap_to_used(features, start.codes, layout)
    if start.codes is None or start.association is None:
        confidence = np.abs(features * 2 - 1).mean(1)
    else:
        confidence = start.association.confidence_of(codes)
    return Segmentation(codes, steps.opacities, confidence.astype(np.float32))


def snap_to_used(features: np.ndarray, codes: np.ndarray, layout: BitLayout) -> np.ndarray:
    """Codes int32 [N] from trained features [N, D], all of them among the first `codes` int32 [N].

    Single flipped bits make codes that belong to no segment. Such a Gaussian takes, level by level, the child whose
    bits are nearest to its features.
    """
    used = np.unique(codes.view(np.uint32))
    own = layout.from_features(features)
    strange = np.flatnonzero(~np.isin(own.view(np.uint32), used))
    prefix = np.zeros(len(strange), np.uint32)
    slices = layout.slices()
    for level, columns in enumerate(slices, 1):
        labels = np.unique(layout.labels(used, level))
        parents = np.asarray(layout.parent(labels, level), np.uint32)
        chosen = np.empty(len(strange), np.uint32)
        for parent in np.unique(prefix):
            rows = np.flatnonzero(prefix == parent)
            children = labels[parents == parent]
            bits = layout.level_bits[level - 1]
            shifts = np.arange(bits - 1, -1, -1, dtype=np.uint32)
            child_bits = ((children[:, None] >> shifts) & np.uint32(1)).astype(np.float32)
            x = features[strange[rows], columns]
            distance = (child_bits**2).sum(1) - 2 * x @ child_bits.T  # + |x|², the same for all children
            chosen[rows] = children[distance.argmin(1)]
        prefix = chosen
    own[strange] = prefix.view(np.int32)
    return own
