"""Training through gsplat's rasteriser: the same interface as `train.model.CpuModel`, as an independent check.

gsplat (1.5.3 or later) renders whole pictures and torch's autograd takes the gradients; the optimiser is ours in plain
torch. Projection and tile lists are kept per view. It needs nvcc and a C++ compiler at its first use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bgs_engine.core.byte_cache import ByteCache
from bgs_engine.core.cameras import Camera
from bgs_engine.io.gaussians import logit
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.semantics import BLUR, NEAR, TILE
from bgs_engine.train.model import BETA1, BETA2, EPSILON, STATE


class Operations(Protocol):
    """The three calls of gsplat that are used."""

    def project(self, means: Tensor, covs: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(radii [N, 2] px, 0 = culled, centers [N, 2] px, depths [N], conics [N, 3]) of means [N, 3], covs [N, 6]."""

    def intersect(self, centers: Tensor, radii: Tensor, depths: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
        """(offsets [1, rows, columns] of tiles, Gaussian of each pair [K])."""

    def rasterize(self, view: "GsplatView", colors: Tensor, opacities: Tensor) -> Tensor:
        """Picture [H, W, D] of colors [M, D] and opacities [M]."""


@dataclass(frozen=True)
class GsplatView:
    """One camera's lists: ids int64 [M] scene numbers of the visible Gaussians, centers [M, 2], conics [M, 3]."""

    width: int
    height: int
    ids: Tensor
    centers: Tensor
    conics: Tensor
    offsets: Tensor
    pairs: Tensor

    @property
    def nbytes(self) -> int:
        """Device memory held, bytes."""
        return sum(t.nbytes for t in (self.ids, self.centers, self.conics, self.offsets, self.pairs))


class GsplatOperations:
    """gsplat's own CUDA kernels."""

    def project(self, means: Tensor, covs: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `Operations`; without opacities, so that the lists stay right while they train."""
        from gsplat.cuda._wrapper import fully_fused_projection

        viewmat, K = matrices(camera, means)
        radii, centers, depths, conics, _ = fully_fused_projection(
            means, covs, None, None, viewmat[None], K[None], camera.width, camera.height, eps2d=BLUR, near_plane=NEAR
        )
        return radii[0], centers[0], depths[0], conics[0]

    def intersect(self, centers: Tensor, radii: Tensor, depths: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
        """See `Operations`."""
        from gsplat.cuda._wrapper import isect_offset_encode, isect_tiles

        columns, rows = -(-camera.width // TILE), -(-camera.height // TILE)
        _, keys, pairs = isect_tiles(centers[None], radii[None], depths[None], TILE, columns, rows)
        return isect_offset_encode(keys, 1, columns, rows), pairs

    def rasterize(self, view: GsplatView, colors: Tensor, opacities: Tensor) -> Tensor:
        """See `Operations`."""
        from gsplat.cuda._wrapper import rasterize_to_pixels

        picture, _ = rasterize_to_pixels(
            view.centers[None],
            view.conics[None],
            colors[None],
            opacities[None],
            view.width,
            view.height,
            TILE,
            view.offsets,
            view.pairs,
        )
        return picture[0]


class GsplatModel:
    """Features float32 [N, D] and opacity logits float32 [N] of a scene, scene order, with their Adam moments."""

    def __init__(
        self,
        scene: RasterScene,
        cameras: Sequence[Camera],
        features: np.ndarray,
        cache_bytes: int,
        device: str = "cuda",
        operations: Operations | None = None,
    ) -> None:
        self._operations = operations or GsplatOperations()
        self._cameras = cameras
        start = {"features": features, "logits": logit(scene.opacities)}
        shapes = {name: features if name in ("m", "v") else scene.opacities for name in STATE}
        self._state = {
            name: torch.tensor(start.get(name, np.zeros_like(shapes[name])), dtype=torch.float32, device=device)
            for name in STATE
        }
        self._means = torch.tensor(scene.means, device=device)
        self._covs = torch.tensor(scene.covs, device=device)
        self.views: ByteCache[GsplatView] = ByteCache(self._build, cache_bytes)
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    @property
    def features(self) -> np.ndarray:
        """Float32 [N, D], a copy."""
        return self._state["features"].cpu().numpy()

    @property
    def opacities(self) -> np.ndarray:
        """Float32 [N], a copy."""
        return torch.sigmoid(self._state["logits"]).cpu().numpy()

    @property
    def fixed_nbytes(self) -> int:
        """Device memory held apart from the views, bytes."""
        return sum(tensor.nbytes for tensor in (*self._state.values(), self._means, self._covs))

    def forward(self, number: int, px: np.ndarray, py: np.ndarray) -> np.ndarray:
        """Rendered features, float32 [P, D], of pixels px, py (int32 [P]) of camera `number`."""
        features = self._state["features"].clone().requires_grad_()
        logits = self._state["logits"].clone().requires_grad_()
        picture = self.rasterize(number, features, torch.sigmoid(logits))
        columns, rows = (torch.as_tensor(a, device=features.device).long() for a in (px, py))
        rendered = picture[rows, columns]
        self._last = features, logits, rendered
        return rendered.detach().cpu().numpy()

    def rasterize(self, number: int, features: Tensor, opacities: Tensor) -> Tensor:
        """The whole picture [H, W, D] of camera `number` from features [N, D] and opacities [N]; differentiable."""
        view = self.views[number]
        return self._operations.rasterize(view, features[view.ids], opacities[view.ids])

    def backward(self, grad: np.ndarray, feature_rate: float, opacity_rate: float) -> None:
        """One Adam step for dL/dF = grad, float32 [P, D], of the last `forward`.

        Rows whose gradient is zero in every channel keep their moments (lazy Adam). `CpuModel` also spares none that a
        pixel touched with an exactly zero gradient; that is the only difference.
        """
        if self._last is None:
            raise RuntimeError("backward before forward")
        features, logits, rendered = self._last
        rendered.backward(torch.as_tensor(grad, device=rendered.device))
        self._last = None
        assert features.grad is not None and logits.grad is not None
        rows = features.grad.any(1).nonzero().ravel()
        self._adam("features", "m", "v", features.grad, rows, feature_rate)
        self._state["features"].clamp_(0, 1)
        if opacity_rate > 0:
            self._adam("logits", "logit_m", "logit_v", logits.grad, rows, opacity_rate)

    def state(self) -> dict[str, np.ndarray]:
        """Everything a checkpoint needs; the same arrays as `CpuModel`'s."""
        return {name: tensor.cpu().numpy() for name, tensor in self._state.items()} | {"opacities": self.opacities}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Continue from a checkpoint's arrays."""
        for name, tensor in self._state.items():
            tensor.copy_(torch.as_tensor(state[name]))

    def _adam(self, value: str, first: str, second: str, grad: Tensor, rows: Tensor, rate: float) -> None:
        """Without bias correction, see `train.kernels.adam_on_touched`."""
        beta1, beta2 = float(BETA1), float(BETA2)
        m, v, g = self._state[first], self._state[second], grad[rows]
        m[rows] = beta1 * m[rows] + (1 - beta1) * g
        v[rows] = beta2 * v[rows] + (1 - beta2) * g * g
        self._state[value][rows] -= rate * m[rows] / (v[rows].sqrt() + float(EPSILON))

    def _build(self, number: int) -> GsplatView:
        camera = self._cameras[number]
        with torch.no_grad():
            radii, centers, depths, conics = self._operations.project(self._means, self._covs, camera)
            ids = (radii > 0).all(1).nonzero().ravel()
            offsets, pairs = self._operations.intersect(centers[ids], radii[ids], depths[ids], camera)
        return GsplatView(
            camera.width, camera.height, ids, centers[ids].contiguous(), conics[ids].contiguous(), offsets, pairs
        )


def matrices(camera: Camera, like: Tensor) -> tuple[Tensor, Tensor]:
    """(viewmat [4, 4], K [3, 3]) of a camera, with the type and device of `like`."""
    K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    return torch.as_tensor(camera.viewmat).to(like), torch.as_tensor(K).to(like)
