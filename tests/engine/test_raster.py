"""The CPU kernels against the plain float64 reference: rendered features and gradients, and any number of threads."""

from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
import pytest
import torch

from bgs_engine.core.cameras import Camera
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.raster import reference
from bgs_engine.raster.cpu.fragments import FragmentLister, Fragments, tile_order
from bgs_engine.raster.cpu.frame import blend
from bgs_engine.raster.cpu.label_maps import label_map
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.semantics import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from bgs_engine.train.model import CpuModel
from tests.helpers.made_scenes import (
    CAMERA,
    MadeScene,
    all_pixels,
    from_records,
    made_scene,
    make,
    random_gaussians,
    turned_camera,
)

CHANNELS = 5
FLAT = [[1.0, 0, 0, 0]]  # a quaternion that turns nothing


@dataclass(frozen=True)
class Tolerance:
    """error: largest difference over the largest reference value. doubt: pixels whose nearest threshold is closer."""

    error: float
    doubt: float


# float64: rounding is 1e-16; the longest sums have a few thousand terms and projection adds two digits (seen: 6e-15).
DOUBLE = Tolerance(error=1e-12, doubt=1e-10)
# float32 from the same projected records: 6e-8 a rounding, a few tens of Gaussians a pixel and up to two thousand
# signed terms in a gradient (seen: 1.5e-7 forward, 1e-6 in gradients).
SINGLE = Tolerance(error=2e-6, doubt=1e-5)
# float32 from the scene: centres around 50 px carry 4e-6 px of rounding, which the narrowest conic (1 / 0.3 px²)
# turns into 2e-5 of alpha in the worst place (seen: 3e-6).
SINGLE_PROJECTED = Tolerance(error=2e-5, doubt=1e-4)
# Of the 2,173 pixels; thresholds are met by chance within 1e-4 in about one pixel of a scene.
FEW = 8


@dataclass(frozen=True)
class Result:
    """Rendered features [P, D] and dL/d(features) [N, D], dL/d(opacity) [N], scene order."""

    features: np.ndarray
    grad_features: np.ndarray
    grad_opacities: np.ndarray


def inputs(count: int, pixels: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Features [N, D] and dL/dF [P, D]."""
    rng = np.random.default_rng(5)
    return rng.random((count, CHANNELS)).astype(dtype), rng.normal(size=(pixels, CHANNELS)).astype(dtype)


def compare(made: MadeScene, projected: reference.Projected, tolerance: Tolerance, camera: Camera = CAMERA) -> Result:
    """Run both over every pixel, leave the doubtful ones out, and assert that the rest agrees."""
    px, py = all_pixels(camera)
    dtype = made.scene.means.dtype.type
    features, grad = inputs(len(made.scene), len(px), dtype)
    opacities = torch.from_numpy(made.scene.opacities).double().requires_grad_()
    variables = torch.from_numpy(features).double().requires_grad_()
    truth = reference.composite(projected, opacities, torch.from_numpy(px), torch.from_numpy(py))
    sure = (truth.doubt > tolerance.doubt).numpy()
    assert (~sure).sum() <= FEW
    grad[~sure] = 0
    rendered = truth.weights @ variables
    rendered.backward(torch.from_numpy(grad).double())
    assert variables.grad is not None and opacities.grad is not None

    fragments = FragmentLister().list(made.view, px, py, made.scene.opacities)
    ours = results(fragments, len(made.scene), features, grad)
    assert_close(ours.features[sure], rendered.detach().numpy()[sure], tolerance)
    assert_close(ours.grad_features, variables.grad.numpy(), tolerance)
    assert_close(ours.grad_opacities, opacities.grad.numpy(), tolerance)
    coverage = truth.weights.detach().sum(1).numpy()
    assert_close(fragments.coverage()[sure], coverage[sure], tolerance)
    return ours


def results(fragments: Fragments, count: int, features: np.ndarray, grad: np.ndarray) -> Result:
    rows, of_features, of_opacity = fragments.backward(features, grad)
    result = Result(fragments.forward(features), np.zeros((count, CHANNELS)), np.zeros(count))
    result.grad_features[rows], result.grad_opacities[rows] = of_features, of_opacity
    return result


def assert_close(ours: np.ndarray, truth: np.ndarray, tolerance: Tolerance) -> None:
    largest = np.abs(truth).max(initial=0)
    assert np.abs(ours - truth).max(initial=0) <= tolerance.error * largest


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_random_scenes_match_the_reference(seed: int, dtype: type) -> None:
    camera = turned_camera(seed)
    made = made_scene(random_gaussians(seed, 240, dtype, camera), camera)
    assert 0 < len(made.view.order) < 240  # those behind the camera are gone
    compare(made, made.projected, DOUBLE if dtype is np.float64 else SINGLE_PROJECTED, camera)
    if dtype is np.float32:
        compare(made, from_records(made), SINGLE, camera)


def test_pixels_in_tile_order_say_the_same_as_in_rows() -> None:
    made = made_scene(random_gaussians(7, 200, np.float32))
    px, py = all_pixels()
    features, _ = inputs(len(made.scene), len(px), np.float32)
    plain = FragmentLister().list(made.view, px, py, made.scene.opacities).forward(features)
    order = tile_order(px, py, CAMERA.width)
    tiled = FragmentLister().list(made.view, px[order], py[order], made.scene.opacities).forward(features)
    np.testing.assert_array_equal(tiled, plain[order])


def test_long_lists_grow_the_buffers() -> None:
    """More fragments a pixel than START_CAPACITY: faint, wide Gaussians, none of which ends the walk."""
    rng = np.random.default_rng(3)
    count = 300
    means = np.column_stack([rng.uniform(-0.2, 0.2, (count, 2)), rng.uniform(2, 4, count)])
    made = made_scene(
        make(means, np.repeat(FLAT, count, 0), np.full((count, 3), 2.0), rng.uniform(0.01, 0.02, count), np.float64)
    )
    compare(made, made.projected, DOUBLE)


def one_gaussian(opacity: float, scale: float = 0.05, depth: float = 3.0) -> Gaussians:
    """A single Gaussian in the middle of pixel (25, 20)."""
    x = (25.5 - CAMERA.cx) / CAMERA.fx * depth
    y = (20.5 - CAMERA.cy) / CAMERA.fy * depth
    return make([[x, y, depth]], FLAT, np.full((1, 3), scale), [opacity], np.float64)


def test_one_gaussian_and_empty_pixels() -> None:
    made = made_scene(one_gaussian(0.7))
    compare(made, made.projected, DOUBLE)
    px, py = np.array([25, 0], np.int32), np.array([20, 0], np.int32)
    fragments = FragmentLister().list(made.view, px, py, made.scene.opacities)
    # At its very centre q = 0, so alpha is the opacity; the corner is 25 px away, beyond its reach.
    np.testing.assert_allclose(fragments.coverage(), [0.7, 0.0], rtol=1e-12)
    assert (fragments.end - fragments.start).tolist() == [1, 0]


def test_saturated_alpha_is_capped_and_passes_no_gradient() -> None:
    made = made_scene(one_gaussian(1.0))
    at = (np.array([25], np.int32), np.array([20], np.int32))
    fragments = FragmentLister().list(made.view, *at, made.scene.opacities)
    assert fragments.coverage()[0] == ALPHA_MAX
    rows, _, of_opacity = fragments.backward(np.ones((1, CHANNELS)), np.ones((1, CHANNELS)))
    assert rows.tolist() == [0] and of_opacity.tolist() == [0.0]
    saturated = random_gaussians(11, 120, np.float64)
    saturated.opacities[::2] = 1.0
    made = made_scene(saturated)
    compare(made, made.projected, DOUBLE)


def test_walk_ends_before_the_gaussian_that_would_use_up_the_light() -> None:
    """Centres on one ray at alpha 0.9: T is 0.1, 0.01, 0.001; the fourth would make 1e-4 x 0.99 and is not drawn."""
    opacity = [0.9, 0.9, 0.9, 0.901, 0.5]
    parts = [one_gaussian(o, depth=3.0 + k) for k, o in enumerate(opacity)]
    means = np.concatenate([p.means for p in parts])
    made = made_scene(make(means, np.repeat(FLAT, 5, 0), np.full((5, 3), 0.05), opacity, np.float64))
    at = (np.array([25], np.int32), np.array([20], np.int32))
    fragments = FragmentLister().list(made.view, *at, made.scene.opacities)
    drawn = fragments.rank[fragments.start[0] : fragments.end[0]]
    assert drawn.tolist() == [0, 1, 2]
    np.testing.assert_allclose(1 - fragments.coverage(), 1e-3, rtol=1e-9)
    assert TRANSMITTANCE_MIN > 1e-3 * (1 - 0.901)
    compare(made, made.projected, DOUBLE)


def test_nothing_in_front_of_the_camera() -> None:
    made = made_scene(one_gaussian(0.9, depth=-3.0))
    assert len(made.view.order) == 0
    result = compare(made, made.projected, DOUBLE)
    assert not result.features.any()
    assert (label_map(made.view, made.scene.opacities, np.ones(1, np.int32), 8) == 0xFFFFFFFF).all()
    _, transmittance, depth = blend(made.view, made.scene.opacities, np.zeros((0, 3)))
    assert (transmittance == 1).all() and np.isinf(depth).all()


def test_too_faint_gaussians_are_skipped() -> None:
    made = made_scene(one_gaussian(ALPHA_MIN * 0.999))
    fragments = FragmentLister().list(made.view, *all_pixels(), made.scene.opacities)
    assert (fragments.end == fragments.start).all()


def degenerate(kind: str, dtype: type) -> Gaussians:
    gaussians = random_gaussians(21, 120, dtype)
    scales = gaussians.scales
    if kind == "points":  # projected covariance is the blur alone
        scales[:] = 1e-12
    elif kind == "needles":
        scales[:] = (1e-9, 1e-9, 1.0)
    elif kind == "discs":
        scales[:, 0] = 0
    else:  # vast: reach far over the margin of the frustum, some with the centre beside the picture
        scales[::3] = 1e3
    return gaussians


@pytest.mark.parametrize("kind", ["points", "needles", "discs", "vast"])
def test_degenerate_covariances(kind: str) -> None:
    # A vast Gaussian's determinant cancels up to 12 of 16 digits; everything else keeps DOUBLE's.
    made = made_scene(degenerate(kind, np.float64))
    compare(made, made.projected, Tolerance(1e-8, 1e-6) if kind == "vast" else DOUBLE)
    single = made_scene(degenerate(kind, np.float32))
    assert np.isfinite(single.view.records).all()


def test_covariances_match_the_reference() -> None:
    gaussians = random_gaussians(31, 100, np.float64)
    made = made_scene(gaussians)
    rows = made.scene.rows
    whole = reference.covariances(torch.from_numpy(gaussians.quats[rows]), torch.from_numpy(gaussians.scales[rows]))
    upper = whole.numpy()[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(made.scene.covs, upper, atol=1e-15)  # entries are at most 0.25: a few roundings


def test_invalid_rows_are_left_out_and_put_back() -> None:
    gaussians = random_gaussians(41, 50, np.float32)
    gaussians.valid[[3, 17]] = False
    scene = RasterScene.from_gaussians(gaussians)
    assert len(scene) == 48 and not {3, 17} & set(scene.rows.tolist())
    values = np.arange(50, dtype=np.float32)
    back = scene.to_file_order(scene.from_file_order(values), missing=-1)
    np.testing.assert_array_equal(back, np.where(gaussians.valid, values, -1))


@pytest.fixture
def threads() -> Iterator[int]:
    """How many threads there are to compare with one; restores the number afterwards."""
    before = numba.get_num_threads()
    if before < 2:
        pytest.skip("only one thread here: start with NUMBA_NUM_THREADS=2 to compare thread counts")
    yield 2
    numba.set_num_threads(before)


def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    """Bit for bit: every sum is made by one thread in a fixed order."""
    gaussians = random_gaussians(51, 600, np.float32)
    px, py = all_pixels()
    codes = np.random.default_rng(1).integers(0, 1 << 12, 600).astype(np.int32)

    def everything() -> list[np.ndarray]:
        scene = RasterScene.from_gaussians(gaussians)
        made = made_scene(gaussians)
        fragments = FragmentLister().list(made.view, px, py, scene.opacities)
        features, grad = inputs(600, len(px), np.float32)
        model = CpuModel(scene, [CAMERA], features, cache_bytes=1 << 20)
        rendered = []
        for _ in range(3):
            rendered.append(model.forward(0, px, py))
            model.backward(rendered[-1] - grad, feature_rate=0.05, opacity_rate=0.01)
        used = np.concatenate([np.arange(a, b) for a, b in zip(fragments.start, fragments.end, strict=True)])
        return [
            made.view.order, made.view.records, made.view.offsets, made.view.ranks,
            fragments.start, fragments.end, fragments.rank[used], fragments.weight[used], fragments.falloff[used],
            label_map(made.view, scene.opacities, codes, 12), *rendered, *model.state().values(),
        ]  # fmt: skip

    numba.set_num_threads(1)
    alone = everything()
    numba.set_num_threads(threads)
    for ours, theirs in zip(alone, everything(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_step_leaves_rows_alone_that_nothing_pulls() -> None:
    """Bit for bit, also the opacity. Rows that were pulled once go on by their moments, also after a checkpoint."""
    scene = RasterScene.from_gaussians(random_gaussians(52, 600, np.float32))
    px, py = all_pixels()
    features, grad = inputs(600, len(px), np.float32)
    features = (features - features.min()) / np.ptp(features)  # a model's features are in 0..1
    grad[px >= CAMERA.width // 2] = 0
    model = CpuModel(scene, [CAMERA], features.copy(), cache_bytes=1 << 20)
    model.forward(0, px, py)
    rows, pulled_by, opacity_by = (
        FragmentLister().list(model.views[0], px, py, scene.opacities).backward(features, grad)
    )
    model.backward(grad, feature_rate=0.05, opacity_rate=0.01)

    pulled = rows[pulled_by.any(1) | (opacity_by != 0)]
    still = np.setdiff1d(np.arange(600), pulled)
    assert len(np.intersect1d(still, rows)) > 20  # seen, but only by pixels without a gradient
    np.testing.assert_array_equal(model.features[still], features[still])
    np.testing.assert_array_equal(model.opacities[still], scene.opacities[still])
    # The first step of Adam is the rate in the direction of the gradient, where it is far from zero.
    clear = np.abs(pulled_by) > 1e-4
    wanted = np.clip(features[rows] - 0.05 * np.sign(pulled_by), 0, 1)
    np.testing.assert_allclose(model.features[rows][clear], wanted[clear], atol=1e-5)

    resumed = CpuModel(scene, [CAMERA], features.copy(), cache_bytes=1 << 20)
    resumed.load_state({name: values.copy() for name, values in model.state().items()})
    before = model.features.copy()
    for each in (model, resumed):
        each.forward(0, px, py)
        each.backward(np.zeros_like(grad), feature_rate=0.05, opacity_rate=0.01)
    assert (model.features[pulled] != before[pulled]).any()  # the moments go on
    for name, values in model.state().items():
        np.testing.assert_array_equal(values, resumed.state()[name])
