"""Gaussian-Grouping-like: 16 floats a Gaussian, rendered, and a linear layer with softmax that names the class.

After Mingqiao Ye et al., Gaussian Grouping: Segment and Edit Anything in 3D Scenes, ECCV 2024 (arXiv:2312.00732).

Kept: 16 identity floats; one linear layer on the rendered floats, cross entropy divided by the logarithm of the number
of classes; the 3D regulariser (Kullback-Leibler divergence of a Gaussian's class from its 5 nearest neighbours', 1,000
Gaussians every second step, weight 2 divided by the number of classes).
Left out: training of colour and geometry beside it (frozen here for everyone), full frames (pixels are drawn, half of
them mask by mask), the tracker (ids come from `ids`), the fixed number of classes (as many as there are ids), 30,000
steps (STEPS a level here, with larger rates). It knows one level: three trainings, three sets of floats.
Judged by what it draws: each pixel's blended floats through the linear layer, argmax.
"""

import numpy as np
import torch
from scipy.spatial import cKDTree

from benchmarks.peers.field import Batches, FeatureField
from benchmarks.peers.frames import NONE, blend
from benchmarks.peers.scene import IdMaps, Partition, PeerScene
from bgs_engine.raster.cpu.view import View

CHANNELS = 16
PIXELS = 4000
STEPS = 600  # a level
RATE = 0.03  # falls to a tenth; 0.0025 over 30,000 steps in the original
CLASSIFIER_RATE = 0.02  # 0.0005 there
NEIGHBOURS = 5
SAMPLE = 1000
EVERY = 2
WEIGHT_3D = 2.0
BYTES = 3 * CHANNELS * 4


def grouping_like(scene: PeerScene, ids: IdMaps, seed: int = 0) -> Partition:
    """Train each level on ids that agree across views."""
    torch.set_num_threads(1)
    _, found = cKDTree(scene.raster.means).query(scene.raster.means, NEIGHBOURS + 1, workers=-1)
    near = np.asarray(found)[:, 1:]
    trained = [_train(scene, [maps[k : k + 1] for maps in ids], near, seed) for k in range(len(ids[0]))]
    labels = [_classes(features, weight, bias) for features, weight, bias in trained]

    def draw(view: View, level: int) -> np.ndarray:
        features, weight, bias = trained[level - 1]
        image, caught = blend(view, scene.raster.opacities, features)
        found = _classes(image.reshape(-1, CHANNELS), weight, bias).reshape(caught.shape)
        return np.where(caught > 0.5, found, NONE)

    return Partition(labels, draw, BYTES, tuple(len(weight) for _, weight, _ in trained))


def _train(scene: PeerScene, ids: IdMaps, near: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(features [N, C], weights [K, C], biases [K]) of one level; ids int32 [1, H, W] a view; near int [N, k]."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    classes = max(int(maps.max()) for maps in ids)
    field = FeatureField(scene, rng.standard_normal((len(near), CHANNELS), np.float32) * 0.1, unit=False)
    linear = torch.nn.Linear(CHANNELS, classes)
    optimiser = torch.optim.Adam(linear.parameters(), CLASSIFIER_RATE)
    batches = Batches(scene, lambda k: ids[k], PIXELS, seed)
    for step in range(STEPS):
        number, px, py, labels = batches.draw(step)
        if not len(px):
            continue
        rendered = torch.from_numpy(field.forward(number, px, py)).requires_grad_()
        target = torch.from_numpy(labels[:, 0].astype(np.int64) - 1)
        loss = torch.nn.functional.cross_entropy(linear(rendered), target) / np.log(max(classes, 2))
        direct = None
        if step % EVERY == 0:
            rows = rng.choice(len(near), min(SAMPLE, len(near)), replace=False)
            rows = np.concatenate([rows[:, None], near[rows]], 1)
            own = torch.from_numpy(field.features[rows.ravel()]).requires_grad_()
            loss = loss + _disagreement(linear(own).reshape(*rows.shape, classes))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % EVERY == 0:
            assert own.grad is not None
            direct = rows.ravel(), own.grad.numpy()
        assert rendered.grad is not None
        decay = 0.1 ** (step / STEPS)
        optimiser.param_groups[0]["lr"] = CLASSIFIER_RATE * decay
        field.backward(rendered.grad.numpy(), RATE * decay, direct)
    return field.features, linear.weight.detach().numpy(), linear.bias.detach().numpy()


def _disagreement(logits: torch.Tensor) -> torch.Tensor:
    """Weighted divergence of the first of each row from the others; logits [S, 1 + k, K]."""
    log = torch.log_softmax(logits, -1)
    first = log[:, :1]
    return WEIGHT_3D / logits.shape[-1] * (first.exp() * (first - log[:, 1:])).sum(-1).mean()


def _classes(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Class int32 [P] of features [P, C]."""
    return (features @ weight.T + bias).argmax(1).astype(np.int32)
