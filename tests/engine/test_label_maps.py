"""The early-stopping label renderer says exactly what blending every bit says."""

import numpy as np
import pytest
import torch

from bgs_engine.raster import reference
from bgs_engine.raster.cpu.label_maps import CODES_HELD, label_map
from bgs_engine.raster.semantics import EMPTY_CODE
from tests.helpers.made_scenes import CAMERA, MadeScene, all_pixels, from_records, made_scene, make, random_gaussians

# |W - 0.5| that counts as a tie, by float type: wider than the rounding of a sum of 250 weights, 32 bits a pixel.
TIES = {np.float64: 1e-10, np.float32: 1e-5}
# Pixels of 2,173 that may be tied or on a threshold. Smooth pictures of 32 random bits, made on purpose below, change
# by about 1e-3 from pixel to pixel: 32 bits x 2e-5 / 1e-3 makes some 1 % of the pixels tied in float32.
FEW = {np.float64: 2, np.float32: 45}


def compare(made: MadeScene, codes: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Assert equality wherever no bit is tied; (the map [H, W], sure [P])."""
    dtype = made.scene.means.dtype.type
    ours = label_map(made.view, made.scene.opacities, codes, bits)
    px, py = all_pixels()
    opacities = torch.from_numpy(made.scene.opacities).double()
    projected = made.projected if dtype is np.float64 else from_records(made)
    truth = reference.composite(projected, opacities, torch.from_numpy(px), torch.from_numpy(py))
    plain = torch.from_numpy(codes.view(np.uint32).astype(np.int64))
    blended = reference.blended_bits(truth.weights, plain, bits)
    ties = ((blended - 0.5).abs() < TIES[dtype]).any(1) | ((truth.transmittance - 0.5).abs() < TIES[dtype])
    sure = (~ties & (truth.doubt > TIES[dtype])).numpy()
    assert (~sure).sum() <= FEW[dtype]
    want = reference.label_map(truth, plain, bits).numpy()
    np.testing.assert_array_equal(ours.ravel()[sure].astype(np.int64), want[sure])
    return ours, truth.weights.numpy()


def codes_of(count: int, different: int, bits: int, seed: int) -> np.ndarray:
    """int32 [count] codes, `different` values drawn from the whole range of `bits`."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 1 << bits, different, dtype=np.uint32)
    return values[rng.integers(0, different, count)].view(np.int32)


@pytest.mark.parametrize(("different", "bits"), [(1, 32), (3, 32), (12, 8), (200, 32)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equals_blending_all_bits(dtype: type, different: int, bits: int) -> None:
    made = made_scene(random_gaussians(different, 240, dtype))
    ours, _ = compare(made, codes_of(240, different, bits, seed=different), bits)
    assert len(np.unique(ours)) > 1


@pytest.mark.parametrize("different", [CODES_HELD, CODES_HELD + 1, 60, 250])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_many_codes_in_every_pixel(dtype: type, different: int) -> None:
    """Faint wide Gaussians: every pixel meets all codes before half the light is caught, so the sums spill."""
    rng = np.random.default_rng(different)
    count = 250
    means = np.column_stack([rng.uniform(-0.3, 0.3, (count, 2)), rng.uniform(2, 4, count)])
    quats, scales = np.tile([1.0, 0, 0, 0], (count, 1)), np.full((count, 3), 3.0)
    made = made_scene(make(means, quats, scales, rng.uniform(0.005, 0.03, count), dtype))
    codes = codes_of(count, different, 32, seed=different)
    ours, weights = compare(made, codes, 32)
    if different > CODES_HELD:
        held = [len(np.unique(codes[row > 0])) for row in weights[::97]]
        assert min(held) > CODES_HELD  # else the spill was not what was tested
    assert (ours != EMPTY_CODE).any()


def test_bits_of_no_single_gaussian_can_win() -> None:
    """Three equal thirds with codes 110, 101, 011: every bit has 2/3, so the pixel says 111, which no Gaussian is."""
    means = [[(25.5 - CAMERA.cx) / CAMERA.fx * z, (20.5 - CAMERA.cy) / CAMERA.fy * z, z] for z in (3.0, 4.0, 5.0)]
    alpha = [0.33, 0.33 / 0.67, 0.33 / 0.34]  # weights 0.33 each
    made = made_scene(make(means, [[1.0, 0, 0, 0]] * 3, np.full((3, 3), 0.2), alpha, np.float64))
    rows = made.scene.rows
    codes = np.array([0b110, 0b101, 0b011], np.int32)[rows]
    ours, _ = compare(made, codes, 3)
    assert ours[20, 25] == 0b111
    assert ours[0, 0] == EMPTY_CODE
