"""The viewport's arithmetic that needs no Blender: texels, order, what a pixel is made of, a camera's numbers."""

import time

import numpy as np
import torch

from bgs_engine.core.cameras import Camera
from bgs_engine.raster import reference
from blender_bgs.logic.lens import lens_of, viewmat_of
from blender_bgs.viewport import packing
from blender_bgs.viewport.ordering import Request, Slab, Sorter, back_to_front, find_order
from blender_bgs.viewport.probing import Target, heaviest, probe

SIZE = (64, 48)
PROJECTION = np.array([[1.5, 0, 0.2, 0], [0, 2.0, -0.1, 0], [0, 0, -1.02, -0.2], [0, 0, -1, 0]])
FLAT = np.array([[0.5, 0, 0, 0.1], [0, 0.66, 0, -0.2], [0, 0, -0.02, -1], [0, 0, 0, 1]])


def splat(count: int = 300, seed: int = 0) -> tuple[packing.Arrays, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4))
    quats = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32)
    scales = np.exp(rng.uniform(-3.5, -1, (count, 3))).astype(np.float32)
    means = rng.uniform((-2, -2, -2), (2, 2, 2), (count, 3)).astype(np.float32)
    base = np.concatenate([rng.normal(size=(count, 3)), rng.uniform(0.02, 1, (count, 1))], 1).astype(np.float32)
    return packing.arrays_of(means, scales, quats, base, None), quats, scales


def some_matrix(seed: int = 3) -> np.ndarray:
    """Object → camera: turned, twice as large, five units before the camera, which looks along -z."""
    matrix = np.eye(4)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    matrix[:3, :3] = 2 * turn * np.sign(np.linalg.det(turn))
    matrix[:3, 3] = (0.1, -0.3, -7)
    return matrix


def test_covariances_match_the_engines_reference() -> None:
    arrays, quats, scales = splat()
    truth = reference.covariances(torch.from_numpy(quats).double(), torch.from_numpy(scales).double())
    ours = arrays.covs[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)
    np.testing.assert_allclose(ours, truth.numpy(), rtol=2e-5, atol=1e-8)  # float32 against float64


def test_a_pixel_is_made_of_what_the_reference_says() -> None:
    arrays, _, _ = splat()
    matrix = some_matrix()
    for projection in (PROJECTION, FLAT):
        lens = lens_of(projection, *SIZE)
        viewmat = viewmat_of(matrix)
        camera = Camera("a", *SIZE, lens.fx, lens.fy, lens.cx, lens.cy, viewmat, None, lens.orthographic)
        covs = torch.from_numpy(arrays.covs[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)).double()
        projected = reference.project(torch.from_numpy(arrays.means).double(), covs, camera)
        for px, py in ((32, 20), (40, 30), (20, 25)):
            pixel = torch.tensor([px]), torch.tensor([py])
            truth = (
                reference.composite(projected, torch.from_numpy(arrays.opacities).double(), *pixel).weights[0].numpy()
            )
            # Rows of the engine's pictures go down, those of a region up; pixel centres are at one half.
            hits = probe([Target(arrays, matrix)], projection, SIZE, (px + 0.5, SIZE[1] - py - 0.5))
            ours = np.zeros(len(arrays))
            ours[hits.row] = hits.weight
            assert truth.sum() > 0.5
            # float32 positions; and the reference ends a walk at 1e-4 of the light, which this does not.
            np.testing.assert_allclose(ours, truth, atol=5e-4)


def test_the_heaviest_label_of_all_objects_wins() -> None:
    arrays, _, _ = splat(2)
    one = packing.Arrays(
        *(getattr(arrays, f)[:1].copy() for f in ("means", "covs", "opacities", "dc", "confidence", "reach"))
    )
    one.means[:], one.opacities[:] = 0, 0.9
    one.covs[:] = (0.1, 0, 0, 0.1, 0, 0.1)
    one.reach[:] = 0.32
    near, far = np.eye(4), np.eye(4)
    near[2, 3], far[2, 3] = -5, -6
    middle = (SIZE[0] * (1 - 0.2) / 2, SIZE[1] * (1 + 0.1) / 2)
    codes = [np.array([7]), np.array([8])]
    hits = probe([Target(one, far), Target(one, near)], PROJECTION, SIZE, middle)
    assert heaviest(hits, codes) == (1, 0)
    hidden = Target(one, near, np.array([False]))
    assert heaviest(probe([Target(one, far), hidden], PROJECTION, SIZE, middle), codes) == (0, 0)
    assert heaviest(probe([hidden], PROJECTION, SIZE, middle), codes) is None


def test_order_is_far_to_near_over_all_objects() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(5000, 3)).astype(np.float32)
    slabs = (Slab(0, 2000, (0.1, 0.2, 0.9), -4.0, 1), Slab(3000, 5000, (-0.5, 0.1, 0.2), 0.3, 4))
    hidden = rng.random(5000) < 0.2
    order, places = back_to_front(Request(means, slabs, hidden))
    assert np.array_equal(places, np.where(order < 2000, 1, 4))
    depth = np.full(5000, np.nan)
    for slab in slabs:
        depth[slab.start : slab.stop] = means[slab.start : slab.stop] @ np.array(
            slab.direction, np.float32
        ) + np.float32(slab.offset)
    wanted = np.flatnonzero(~np.isnan(depth) & ~hidden)
    assert np.array_equal(np.sort(order), wanted)
    # Both signs of depth occur; float32 sums may differ in the last bit between a matrix product and its rows.
    assert (np.diff(depth[order]) <= 1e-5).all() and np.nanmin(depth) < 0 < np.nanmax(depth)


def test_equal_depths_keep_their_order() -> None:
    means = np.zeros((100, 3), np.float32)
    order, _ = back_to_front(Request(means, (Slab(0, 100, (0, 0, 1), 1.0),), None))
    assert np.array_equal(order, np.arange(100))


def test_an_instance_is_sorted_among_the_gaussians_of_its_object() -> None:
    means = np.zeros((100, 3), np.float32)
    means[:, 2] = np.arange(100)
    # The instance is half a step nearer, so its Gaussians follow those of the object one by one.
    slabs = (Slab(0, 100, (0, 0, 1), 1.0, 0), Slab(0, 100, (0, 0, 1), 0.5, 1))
    found = find_order(Request(means, slabs, None), 64)
    assert found.count == 200 and found.values.shape == (256, 2)
    assert np.array_equal(found.values[:200, 0], np.repeat(np.arange(100)[::-1], 2))
    assert np.array_equal(found.values[:200, 1], np.tile([0, 1], 100))


def test_the_thread_answers_the_newest_question() -> None:
    means = np.random.default_rng(0).normal(size=(200_000, 3)).astype(np.float32)
    sorter = Sorter()
    started = time.perf_counter()
    for k in range(20):
        direction = (1.0, 0.0, 0.0) if k == 19 else (0.0, 0.0, 1.0)
        sorter.ask("view", Request(means, (Slab(0, len(means), direction, 0.0),), None), 512)
    assert time.perf_counter() - started < 0.5  # asking sorts nothing: twenty sorts would take longer
    while sorter.busy:
        time.sleep(0.005)
    order = sorter.take("view")
    assert order is not None and order.count == len(means) and len(order.values) % 512 == 0
    assert (np.diff(means[order.values[: order.count, 0].astype(int), 0]) <= 0).all()
    assert sorter.take("view") is None
    sorter.stop()


def test_fingerprints_see_every_edit() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((1000, 3)).astype(np.float32)
    mark = packing.fingerprint([values])
    for row in (0, 500, 999):
        changed = values.copy()
        changed[row, 1] = np.nextafter(changed[row, 1], np.float32(2))
        assert packing.fingerprint([changed]) != mark
    swapped = values[[1, 0, *range(2, 1000)]]
    assert packing.fingerprint([swapped]) != mark
    assert packing.fingerprint([values.copy()]) == mark


def test_texels_hold_every_number() -> None:
    arrays, _, _ = splat(10)
    out = np.zeros((10, packing.GEOMETRY_TEXELS, 4), np.float32)
    packing.fill_geometry(out, arrays)
    assert np.array_equal(out[:, 0, :3], arrays.means) and np.array_equal(out[:, 0, 3], arrays.opacities)
    assert np.array_equal(out[:, 1:3].reshape(10, 8)[:, :6], arrays.covs)
    assert np.array_equal(out[:, 2, 3], arrays.confidence) and np.array_equal(out[:, 3, :3], arrays.dc)
    table = np.zeros((10, 4 * packing.SH_TEXELS[8]), np.float32)
    sh = np.random.default_rng(0).random((8, 10, 3)).astype(np.float32)
    packing.fill_harmonics(table, lambda k: None if k == 2 else sh[k], 8)
    assert np.array_equal(table[:, 21:24], sh[7]) and not table[:, 6:9].any()
    assert packing.rows_for(100, 12, 8192) == 1 and packing.rows_for(10_000, 12, 8192) == 15
