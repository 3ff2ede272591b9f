"""Label maps and votes by the card's kernels on Warp's CPU device: those of the CPU path."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.associate.device_votes import collect_votes_on
from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.associate.votes import collect_votes
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.masks import load_level_maps, masked_cameras
from bgs_engine.io.ply import read_ply
from bgs_engine.raster.cpu.label_maps import label_map
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.warp.label_maps import DeviceLabelRenderer
from tests.helpers.made_scenes import CAMERA, made_scene, random_gaussians, turned_camera
from tests.helpers.warp_device import DEVICE


@pytest.mark.parametrize("codes_in_use", [3, 2000])
@pytest.mark.parametrize("tile", [8, 16])
def test_maps_are_the_cpus(codes_in_use: int, tile: int) -> None:
    """Few codes: one soon weighs more than half. A code each: bits are decided one by one, held codes spill over."""
    different, pixels = 0, 0
    for seed in range(4):
        camera = turned_camera(seed)
        made = made_scene(random_gaussians(seed, 1500, np.float32, camera, opacity=0.6), camera)
        rng = np.random.default_rng(seed)
        used = rng.integers(0, 1 << 12, codes_in_use)
        codes = used[rng.integers(0, codes_in_use, len(made.scene))].astype(np.int32)
        theirs = label_map(made.view, made.scene.opacities, codes, 12)
        ours = DeviceLabelRenderer(made.scene, codes, made.scene.opacities, 12, DEVICE, tile).label_map(camera)
        different, pixels = different + int((ours != theirs).sum()), pixels + ours.size
    # The same rules in the same arithmetic; a weight may still round to the other side of one half.
    assert different <= pixels // 5000
    assert len(np.unique(theirs)) > codes_in_use // 20


def test_a_furnished_rooms_maps_are_the_cpus(small_scene: Path) -> None:
    dataset = open_dataset(small_scene)
    scene = RasterScene.from_gaussians(load_gaussians(read_ply(dataset.scene)))
    codes = np.random.default_rng(0).integers(0, 1 << 31, 40)[np.arange(len(scene)) % 40].astype(np.int32)
    renderer = DeviceLabelRenderer(scene, codes, scene.opacities, 32, DEVICE)
    builder = ViewBuilder(scene)
    for camera in masked_cameras(dataset, Reporter())[:3]:
        theirs = label_map(builder.build(camera), scene.opacities, codes, 32)
        assert (renderer.label_map(camera) != theirs).sum() <= theirs.size // 5000


def test_a_frame_that_outgrew_its_lists_is_rendered_again() -> None:
    made = made_scene(random_gaussians(3, 1500, np.float32))
    codes = np.arange(len(made.scene), dtype=np.int32)
    theirs = label_map(made.view, made.scene.opacities, codes, 12)
    renderer = DeviceLabelRenderer(made.scene, codes, made.scene.opacities, 12, DEVICE)
    first = renderer.render(CAMERA).numpy().copy()  # room for one pair: nearly all Gaussians are missing
    assert (first != theirs).mean() > 0.5
    np.testing.assert_array_equal(renderer.render(CAMERA).numpy(), theirs)  # a viewer's next frame
    fresh = DeviceLabelRenderer(made.scene, codes, made.scene.opacities, 12, DEVICE)
    np.testing.assert_array_equal(fresh.label_map(CAMERA), theirs)


def test_codes_can_be_changed_and_a_views_lists_kept() -> None:
    made = made_scene(random_gaussians(3, 500, np.float32))
    codes = np.arange(len(made.scene), dtype=np.int32)
    renderer = DeviceLabelRenderer(made.scene, codes, made.scene.opacities, 12, DEVICE)
    renderer.label_map(CAMERA)
    lists = renderer.lists(CAMERA)
    other = (codes * 7) % 4096
    renderer.set_codes(other)
    theirs = label_map(made.view, made.scene.opacities, other, 12)
    np.testing.assert_array_equal(renderer.draw(lists).numpy(), theirs)


def test_votes_are_the_cpus(small_scene: Path) -> None:
    dataset = open_dataset(small_scene)
    scene = RasterScene.from_gaussians(load_gaussians(read_ply(dataset.scene)))
    cameras = masked_cameras(dataset, Reporter())[:4]

    def maps(number: int) -> np.ndarray | None:
        return None if number == 2 else load_level_maps(dataset, cameras[number])

    views = MaskedViews(scene, cameras, maps, BitLayout())
    theirs = collect_votes(views, Reporter())
    ours = collect_votes_on(DEVICE, views, Reporter())
    np.testing.assert_array_equal(ours.node_masks, theirs.node_masks)
    for one, other in zip((*ours.mask_view, *ours.mask_id), (*theirs.mask_view, *theirs.mask_id), strict=True):
        np.testing.assert_array_equal(one, other)
    gap = abs(ours.matrix - theirs.matrix)
    # Sums of up to a few thousand float32 weights; a vote at the least weight may fall on either side of it (0.02).
    assert gap.max() <= 0.021
    assert gap.sum() <= 1e-5 * theirs.matrix.sum()
    assert ours.matrix.nnz > 10_000
    clear, wanted = ours.matrix.copy(), theirs.matrix.copy()
    clear.data, wanted.data = clear.data * ours.through, wanted.data * theirs.through
    # One step of 255 either way, and the votes at the least weight.
    assert abs(clear - wanted).sum() <= 3e-3 * wanted.sum()
