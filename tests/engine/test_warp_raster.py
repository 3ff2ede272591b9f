"""The card's kernels on Warp's CPU device: projection, lists, features and gradients against the plain reference."""

import numpy as np
import pytest
import torch

from bgs_engine.core.cameras import Camera
from bgs_engine.raster import reference
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.warp import wp
from bgs_engine.raster.warp.fragments import DeviceFragmentLister, DeviceFragments
from bgs_engine.raster.warp.view import DeviceScene, DeviceView, DeviceViewBuilder, to_device
from tests.engine.test_raster import CHANNELS, FEW, FLAT, SINGLE, SINGLE_PROJECTED, Tolerance, assert_close, inputs
from tests.helpers.made_scenes import CAMERA, MadeScene, all_pixels, made_scene, make, random_gaussians, turned_camera
from tests.helpers.warp_device import DEVICE

# q of an ellipse thirty times longer than wide is a small difference of large terms: two digits go (seen: 2.3e-5).
NEEDLES = Tolerance(error=5e-5, doubt=1e-4)


def upload(values: np.ndarray, dtype: type = wp.float32) -> wp.array:
    return to_device(values, dtype, DEVICE)


def view_of(made: MadeScene, camera: Camera) -> DeviceView:
    return DeviceViewBuilder(DeviceScene(made.scene, DEVICE)).build(camera)


def projected_by(view: DeviceView, count: int) -> reference.Projected:
    """The kernels' own projection, so that only compositing is compared; depths that only say the order."""
    order = torch.from_numpy(view.order.numpy()).long()
    records = torch.zeros((count, 5), dtype=torch.float64)
    records[order] = torch.from_numpy(view.records.numpy()).double()
    depths, visible = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.bool)
    depths[order], visible[order] = torch.arange(len(order), dtype=torch.float64), True
    return reference.Projected(records[:, :2], records[:, 2:], depths, visible)


def list_all(made: MadeScene, view: DeviceView, px: np.ndarray, py: np.ndarray) -> DeviceFragments:
    lister = DeviceFragmentLister(len(made.scene), DEVICE)
    places = upload(px, wp.int32), upload(py, wp.int32)
    return lister.list(view, *places, upload(made.scene.opacities), measure=True)


def compare(made: MadeScene, projected: reference.Projected, tolerance: Tolerance, camera: Camera = CAMERA) -> None:
    """As `test_raster.compare`, with the card's kernels."""
    px, py = all_pixels(camera)
    features, grad = inputs(len(made.scene), len(px), np.float32)
    opacities = torch.from_numpy(made.scene.opacities).double().requires_grad_()
    variables = torch.from_numpy(features).double().requires_grad_()
    truth = reference.composite(projected, opacities, torch.from_numpy(px), torch.from_numpy(py))
    sure = (truth.doubt > tolerance.doubt).numpy()
    assert (~sure).sum() <= FEW
    grad[~sure] = 0
    rendered = truth.weights @ variables
    rendered.backward(torch.from_numpy(grad).double())
    assert variables.grad is not None and opacities.grad is not None

    fragments = list_all(made, view_of(made, camera), px, py)
    ours = fragments.forward(upload(features), wp.empty((len(px), CHANNELS), dtype=wp.float32, device=DEVICE))
    of_features, of_opacity = fragments.backward(upload(features), upload(grad))
    assert_close(ours.numpy()[sure], rendered.detach().numpy()[sure], tolerance)
    assert_close(of_features.numpy(), variables.grad.numpy(), tolerance)
    assert_close(of_opacity.numpy(), opacities.grad.numpy(), tolerance)


@pytest.mark.parametrize("seed", range(4))
def test_random_scenes_match_the_reference(seed: int) -> None:
    camera = turned_camera(seed)
    made = made_scene(random_gaussians(seed, 240, np.float32, camera), camera)
    compare(made, made.projected, SINGLE_PROJECTED, camera)
    records = view_of(made, camera).records.numpy()
    assert_close(records, made.view.records[:, :5], SINGLE)  # the CPU's projection: the same float32 arithmetic
    compare(made, projected_by(view_of(made, camera), len(made.scene)), SINGLE, camera)


@pytest.mark.parametrize("kind", ["saturated", "faint", "points", "needles", "discs"])
def test_extremes_match_the_reference(kind: str) -> None:
    gaussians = random_gaussians(21, 120, np.float32)
    if kind == "saturated":  # alpha is capped and passes no gradient; the walk ends early
        gaussians.opacities[::2] = 1.0
    elif kind == "faint":
        gaussians.opacities[:] = 0.003  # below 1/255: nothing is seen
    else:
        gaussians.scales[:] = {"points": 1e-12, "needles": (1e-9, 1e-9, 1.0), "discs": (0, 0.2, 0.2)}[kind]
    made = made_scene(gaussians)
    # Thin ellipses lose digits in projection, in any float32; compositing is compared from the same records.
    compare(made, projected_by(view_of(made, CAMERA), len(made.scene)), NEEDLES if kind == "needles" else SINGLE)


@pytest.mark.parametrize("seed", range(3))
def test_lists_hold_what_the_cpus_lists_hold(seed: int) -> None:
    """In depth order, tile by tile; the CPU also keeps a few pairs that touch no pixel centre (one-tile records)."""
    camera = turned_camera(seed)
    made = made_scene(random_gaussians(seed, 240, np.float32, camera), camera)
    view = view_of(made, camera)
    np.testing.assert_array_equal(view.order.numpy(), made.view.order)
    offsets, ranks = view.offsets.numpy(), view.ranks.numpy()
    assert offsets[0] == 0 and offsets[-1] == len(ranks) <= len(made.view.ranks)
    for tile in range(len(offsets) - 1):
        ours = ranks[offsets[tile] : offsets[tile + 1]]
        theirs = made.view.ranks[made.view.offsets[tile] : made.view.offsets[tile + 1]]
        assert (np.diff(ours) > 0).all() and set(ours) <= set(theirs)
    assert len(made.view.ranks) - len(ranks) <= 0.03 * len(ranks)


def test_lists_cut_by_opacity_hide_nothing() -> None:
    """Extents as tight as present opacities allow: fewer pairs, the same fragments."""
    made = made_scene(random_gaussians(5, 240, np.float32, opacity=0.1))
    builder = DeviceViewBuilder(DeviceScene(made.scene, DEVICE))
    tiles_x, tiles_y = builder.project(CAMERA, tight=True)
    pairs, visible = builder.sizes()
    builder.reserve(pairs)
    offsets = builder.list_tiles(tiles_x, tiles_y, pairs)
    tight = DeviceView(
        CAMERA.width, CAMERA.height, builder.tile, tiles_x, builder.ids, builder.ordered, offsets, builder.pair_ranks
    )
    assert pairs < 0.9 * len(made.view.ranks) and visible < len(made.view.order)
    px, py = all_pixels()
    loose, cut = list_all(made, view_of(made, CAMERA), px, py), list_all(made, tight, px, py)
    total = int(loose.ends.numpy()[-1])
    np.testing.assert_array_equal(cut.ends.numpy(), loose.ends.numpy())
    np.testing.assert_array_equal(cut.row.numpy()[:total], loose.row.numpy()[:total])
    np.testing.assert_array_equal(cut.weight.numpy()[:total], loose.weight.numpy()[:total])


def test_equal_depths_keep_the_scenes_order() -> None:
    count = 40
    means = np.column_stack([np.full(count, 0.1), np.full(count, 0.1), np.full(count, 3.0)])
    made = made_scene(make(means, np.repeat(FLAT, count, 0), np.full((count, 3), 0.1), np.full(count, 0.1), np.float32))
    order = view_of(made, CAMERA).order.numpy()
    np.testing.assert_array_equal(order, np.arange(count))


def test_nothing_in_front_of_the_camera() -> None:
    made = made_scene(make([[0, 0, -3.0]], FLAT, np.full((1, 3), 0.1), [0.9], np.float32))
    view = view_of(made, CAMERA)
    assert view.order.size == 0 and not view.offsets.numpy().any()
    px, py = all_pixels()
    fragments = list_all(made, view, px, py)
    out = fragments.forward(upload(np.ones((1, 2), np.float32)), wp.ones((len(px), 2), dtype=wp.float32, device=DEVICE))
    assert not out.numpy().any()


def test_the_same_run_twice_gives_the_same_bits() -> None:
    made = made_scene(random_gaussians(9, 240, np.float32))
    px, py = all_pixels()
    features, grad = (upload(values) for values in inputs(len(made.scene), len(px), np.float32))

    def gradients() -> list[np.ndarray]:
        fragments = list_all(made, view_of(made, CAMERA), px, py)
        return [array.numpy() for array in fragments.backward(features, grad)]

    for one, other in zip(gradients(), gradients(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_too_many_fragments_change_nothing_and_are_counted() -> None:
    made = made_scene(random_gaussians(2, 240, np.float32))
    view, (px, py) = view_of(made, CAMERA), all_pixels()
    places = upload(px, wp.int32), upload(py, wp.int32)
    opacities = upload(made.scene.opacities)
    features, grad = (upload(values) for values in inputs(len(made.scene), len(px), np.float32))
    lister = DeviceFragmentLister(len(made.scene), DEVICE)
    lister.reserve(100)
    out = wp.ones((len(px), CHANNELS), dtype=wp.float32, device=DEVICE)
    fragments = lister.list(view, *places, opacities, measure=False)
    assert not fragments.forward(features, out).numpy().any()
    assert not any(array.numpy().any() for array in fragments.backward(features, grad))
    assert lister.settle() == 1
    fragments = lister.list(view, *places, opacities, measure=False)  # there is room now
    assert fragments.forward(features, out).numpy().any() and lister.settle() == 0


def test_the_views_memory_is_known() -> None:
    made = made_scene(random_gaussians(1, 240, np.float32))
    view = view_of(made, CAMERA)
    arrays = (view.order, view.records, view.offsets, view.ranks)
    assert view.nbytes == sum(array.numpy().nbytes for array in arrays)
    assert view.nbytes < ViewBuilder(made.scene).build(CAMERA).nbytes  # three columns of eight are not kept
