"""SAGA-like: 32 floats a Gaussian, contrasted between pixels of masks, one gate a level, then clustered.

After Jiazhong Cen et al., Segment Any 3D Gaussians, AAAI 2025 (arXiv:2312.00860).

Kept: 32 float features of unit length; a sigmoid gate over them that depends on the scale, one feature for all
scales; cosine of rendered, gated features, same mask pulled to 1, different masks pushed to 0 and not further; 1,000
pixels a step, all pairs, and strangers that look alike (cosine over 0.5) averaged once more; the rendered length
pulled to 1; features averaged over 16 neighbours; clusters found on a sample of Gaussians, everything else goes to the
nearest centre.
Left out: continuous scales (there are three levels, so three gates); the averaging over neighbours while training;
weights by mask size (half of the pixels are drawn mask by mask instead); HDBSCAN (average linkage from SciPy with a
cut in cosine distance, so the number of clusters is found, not given: on the same features of room-1 it gave sets of
Gaussians with IoU 0.83 / 0.74 / 0.59, scikit-learn's HDBSCAN with clusters of 10 and more 0.67 / 0.66 / 0.52);
10,000 steps (STEPS here, with a larger rate).
Judged by what it draws: each pixel's blended feature goes to the nearest centre.
"""

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import cKDTree

from benchmarks.peers.field import Batches, FeatureField
from benchmarks.peers.frames import NONE, blend
from benchmarks.peers.scene import Partition, PeerScene
from bgs_engine.raster.cpu.view import View

CHANNELS = 32
PIXELS = 1000
STEPS = 1000
RATE = 0.02  # falls to a tenth; 0.0025 over 10,000 steps in the original
GATE_RATE = 0.01
HARD = 0.5  # cosine: pairs of strangers nearer than this are averaged once more among themselves
LENGTH_WEIGHT = 1.0  # of the rendered length's distance from 1
NEIGHBOURS = 16
SAMPLE = 6000  # Gaussians that are clustered: the linkage needs all their pairs
CUTS = (0.65, 0.6, 0.55)  # cosine distance, by level; same is 0, strangers are 1; what was best on room-1
LEAST_MEMBERS = 4  # of the sample in a cluster
SOLID = 0.1  # opacity of Gaussians worth clustering
BYTES = CHANNELS * 4


def saga_like(scene: PeerScene, seed: int = 0) -> Partition:
    """Train, smooth, cluster each level."""
    field, gates = train(scene, seed)
    features = _smooth(field.features, scene.raster.means)
    worth = np.flatnonzero(field.touched & (scene.raster.opacities >= SOLID))
    chosen = np.random.default_rng(seed).choice(worth, min(SAMPLE, len(worth)), replace=False)
    centres = [_centres(_unit(features[chosen] * gate), cut) for gate, cut in zip(gates, CUTS, strict=True)]
    gated = [own * gate for gate, own in zip(gates, centres, strict=True)]  # gates cost nothing when drawing
    labels = [_nearest(features, own) for own in gated]

    def draw(view: View, level: int) -> np.ndarray:
        image, caught = blend(view, scene.raster.opacities, features)
        found = _nearest(image.reshape(-1, CHANNELS), gated[level - 1])
        return np.where(caught > 0.5, found.reshape(caught.shape), NONE)

    return Partition(labels, draw, BYTES, tuple(len(own) for own in centres))


def train(scene: PeerScene, seed: int) -> tuple[FeatureField, np.ndarray]:
    """(The trained features, gates float32 [L, C])."""
    torch.set_num_threads(1)
    start = np.random.default_rng(seed).standard_normal((len(scene.raster), CHANNELS), np.float32)
    field = FeatureField(scene, _unit(start), unit=True)
    gate_logits = torch.zeros(len(scene.maps[0]), CHANNELS, requires_grad=True)
    gate_optimiser = torch.optim.Adam([gate_logits], GATE_RATE)
    batches = Batches(scene, lambda k: scene.maps[k], PIXELS, seed)
    for step in range(STEPS):
        number, px, py, labels = batches.draw(step)
        if not len(px):
            continue
        rendered = torch.from_numpy(field.forward(number, px, py)).requires_grad_()
        ids = torch.from_numpy(labels)
        loss = LENGTH_WEIGHT * (1 - rendered.norm(dim=1).mean()) ** 2
        for level, gate in enumerate(torch.sigmoid(gate_logits)):
            loss = loss + _contrast(rendered * gate, ids[:, level])
        gate_optimiser.zero_grad()
        loss.backward()
        gate_optimiser.step()
        assert rendered.grad is not None
        field.backward(rendered.grad.numpy(), RATE * 0.1 ** (step / STEPS))
    return field, torch.sigmoid(gate_logits).detach().numpy()


def _contrast(x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Pairs of one level; x [P, C], ids [P], 0 = unlabelled. Mean over each pixel's pairs of a kind."""
    x, ids = x[ids > 0], ids[ids > 0]
    if len(ids) < 2:
        return x.sum() * 0
    x = torch.nn.functional.normalize(x, dim=1)
    cosine = x @ x.T
    same = (ids[:, None] == ids[None]).float()
    other = 1 - same
    pull = ((1 - cosine) * same).sum(1) / same.sum(1)
    push = (cosine.clamp(min=0) * other).sum(1) / other.sum(1).clamp(min=1)
    hard = other * (cosine.detach() > HARD)
    mined = (cosine * hard).sum() / hard.sum().clamp(min=1)
    return (pull + push).mean() + mined


def _smooth(features: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Each feature's mean with its nearest neighbours, of unit length again."""
    _, near = cKDTree(means).query(means, NEIGHBOURS, workers=-1)
    total = np.zeros_like(features)
    for column in np.asarray(near).T:
        total += features[column]
    return _unit(total)


def _centres(points: np.ndarray, cut: float) -> np.ndarray:
    """Cluster centres float32 [K, C] of unit vectors [S, C]; `cut` in cosine distance."""
    member = fcluster(linkage(points, "average", "cosine"), cut, "distance")
    names, count = np.unique(member, return_counts=True)
    large = names[count >= LEAST_MEMBERS]
    return _unit(np.stack([points[member == name].mean(0) for name in (large if len(large) else names)]))


def _nearest(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The centre with the largest cosine, int32 [P]; lengths of x [P, C] do not matter."""
    return (x @ centres.T).argmax(1).astype(np.int32)


def _unit(x: np.ndarray) -> np.ndarray:
    return (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)).astype(np.float32)
