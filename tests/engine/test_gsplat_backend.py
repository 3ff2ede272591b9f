"""The gsplat backend with what of gsplat runs without a card: its own projection and tile lists in plain torch.

Only its rasteriser is CUDA alone; here a few lines of torch stand in, which read gsplat's lists.
"""

import importlib.util

import numpy as np
import pytest
import torch
from torch import Tensor

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import EnvironmentLacksError
from bgs_engine.devices.gsplat import check_gsplat
from bgs_engine.raster.semantics import ALPHA_MAX, ALPHA_MIN, BLUR, NEAR, TILE, TRANSMITTANCE_MIN
from bgs_engine.train.gsplat_model import GsplatModel, GsplatView, matrices
from bgs_engine.train.model import CpuModel
from tests.helpers.made_scenes import CAMERA, all_pixels, made_scene, random_gaussians

pytestmark = pytest.mark.skipif(importlib.util.find_spec("gsplat") is None, reason="gsplat is not installed")
UPPER = [0, 1, 2, 1, 3, 4, 2, 4, 5]  # of a symmetric 3 x 3 matrix


class PlainOperations:
    """gsplat's reference functions, and a rasteriser that walks the tiles' lists in torch."""

    def project(self, means: Tensor, covs: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        from gsplat.cuda._torch_impl import _fully_fused_projection

        viewmat, K = matrices(camera, means)
        radii, centers, depths, conics, _ = _fully_fused_projection(
            means, covs[:, UPPER].reshape(-1, 3, 3), viewmat[None], K[None], camera.width, camera.height, BLUR, NEAR
        )
        return radii[0], centers[0], depths[0], conics[0]

    def intersect(self, centers: Tensor, radii: Tensor, depths: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
        from gsplat.cuda._torch_impl import _isect_offset_encode, _isect_tiles

        columns, rows = -(-camera.width // TILE), -(-camera.height // TILE)
        _, keys, pairs = _isect_tiles(centers[None], radii[None], depths[None], TILE, columns, rows)
        return _isect_offset_encode(keys, 1, columns, rows), pairs

    def rasterize(self, view: GsplatView, colors: Tensor, opacities: Tensor) -> Tensor:
        picture = torch.zeros((view.height, view.width, colors.shape[1]))
        starts = [*view.offsets.ravel().tolist(), len(view.pairs)]
        for tile in range(len(starts) - 1):
            ids = view.pairs[starts[tile] : starts[tile + 1]].long()
            y0, x0 = tile // view.offsets.shape[2] * TILE, tile % view.offsets.shape[2] * TILE
            y1, x1 = min(y0 + TILE, view.height), min(x0 + TILE, view.width)
            ys, xs = torch.meshgrid(torch.arange(y0, y1), torch.arange(x0, x1), indexing="ij")
            dx = view.centers[ids, 0] - (xs.reshape(-1, 1) + 0.5)
            dy = view.centers[ids, 1] - (ys.reshape(-1, 1) + 0.5)
            xx, xy, yy = view.conics[ids].unbind(1)
            raw = opacities[ids] * torch.exp(-0.5 * (xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy))
            alpha = torch.where(raw < ALPHA_MIN, torch.zeros_like(raw), raw.clamp(max=ALPHA_MAX))
            after = torch.cumprod(1 - alpha, 1)
            before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], 1)
            weights = torch.where(after >= TRANSMITTANCE_MIN, alpha * before, torch.zeros_like(alpha))
            picture[y0:y1, x0:x1] = (weights @ colors[ids]).reshape(y1 - y0, x1 - x0, -1)
        return picture


def test_steps_are_the_cpus_steps() -> None:
    made = made_scene(random_gaussians(4, 240, np.float32))
    rng = np.random.default_rng(0)
    start = rng.random((len(made.scene), 5), np.float32)
    theirs = CpuModel(made.scene, [CAMERA], start, 1 << 20)
    ours = GsplatModel(made.scene, [CAMERA], start, 1 << 20, "cpu", PlainOperations())
    px, py = all_pixels()
    for _ in range(3):
        at = rng.permutation(len(px))[:500]
        grad = rng.normal(size=(len(at), 5)).astype(np.float32)
        rendered = ours.forward(0, px[at], py[at])
        # gsplat culls by a radius of whole pixels at 3.33 sigma; at its rim alpha is 1/255.
        np.testing.assert_allclose(rendered, theirs.forward(0, px[at], py[at]), atol=2 / 255)
        ours.backward(grad, 0.02, 0.01)
        theirs.backward(grad, 0.02, 0.01)
    for name, array in ours.state().items():  # a fragment at the rim weighs 1/255
        off = np.abs(array - theirs.state()[name]) > 1 / 255 * max(1, np.abs(array).max())
        assert off.mean() < 0.02, name
    theirs.load_state(ours.state())
    np.testing.assert_allclose(theirs.opacities, ours.opacities, atol=1e-6)


def test_what_gsplat_lacks_is_said() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a card: see benchmarks/cuda.py")
    with pytest.raises(EnvironmentLacksError, match="no CUDA card") as caught:
        check_gsplat()
    assert "--device cuda" in caught.value.hint


@pytest.mark.parametrize("package", ["gsplat", "packaging"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """packaging is what gsplat imports without declaring it."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))
    with pytest.raises(EnvironmentLacksError, match=f"the package {package} is missing") as caught:
        check_gsplat()
    assert "bgs-engine[gsplat]" in caught.value.hint
