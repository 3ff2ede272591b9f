"""The ONNX backend and automatic prompting, on a toy model that really runs; and everything that is no model."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bgs_engine.core.errors import CancelledError, EnvironmentLacksError, InputError, MemoryExhaustedError, UsageError
from bgs_engine.masks.automatic import AutomaticMasks, PromptConfig, without_specks
from bgs_engine.masks.nesting import build_forest
from bgs_engine.masks.onnx_model import OnnxSam
from bgs_engine.masks.prompting import BOTTOM_RIGHT, OFF, ON, TOP_LEFT, upsampling
from bgs_engine.masks.sources.table import model_from_text
from tests.helpers.toy_mask_model import PLANE, SCORES, write_models, write_upscaling_models

BOXES = {"whole": (16, 16, 64, 64), "part": (24, 24, 48, 48), "other": (80, 32, 112, 80)}  # left, top, right, bottom


def go_on() -> None:
    """Nobody asks to stop."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_models(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def model(files: tuple[Path, Path]) -> OnnxSam:
    return OnnxSam(*files)


def picture(height: int = 96, width: int = 128) -> np.ndarray:
    """Black; a red box with a slightly different red box in it; a green box. Sizes in 128ths of the width."""
    image = np.zeros((128, 128, 3), np.uint8)
    image[16:64, 16:64] = (200, 20, 20)
    image[24:48, 24:48] = (200, 60, 40)
    image[32:80, 80:112] = (20, 200, 20)
    rows = np.arange(height) * 128 // width
    columns = np.arange(width) * 128 // width
    return image[np.ix_(rows, columns)]


def test_decoder_gives_its_three_nested_masks_for_any_batch(model):
    encoded = model.encode(picture())
    points = np.array([[36.0, 36.0], [20.0, 60.0], [90.0, 50.0]])
    batch = model.decode(encoded, points)
    assert batch.values.shape == (3, 3, PLANE * 96 // 128, PLANE)  # the padding below the picture is cut off
    assert batch.scores == pytest.approx(np.tile(SCORES[1:], (3, 1)))
    for k, point in enumerate(points):
        alone = model.decode(encoded, point[None])
        assert np.array_equal(alone.values[0], batch.values[k])
    part, whole = batch.values[0, :2] > 0
    assert part.sum() == 6 * 6 and whole.sum() == 12 * 12  # 24 and 48 pixels a side, 4 pixels a cell


@pytest.mark.parametrize("size", [(96, 128), (192, 256), (144, 192)])
def test_automatic_masks_find_object_and_part(model, size):
    image = picture(*size)
    masks = AutomaticMasks(model, PromptConfig()).propose(image, "view", go_on)
    found = [masks.mask(k) for k in range(len(masks))]
    scale = size[1] / 128

    def best(x0: int, y0: int, x1: int, y1: int) -> float:
        true = np.zeros(image.shape[:2], bool)
        true[round(y0 * scale) : round(y1 * scale), round(x0 * scale) : round(x1 * scale)] = True
        return max(float((m & true).sum() / (m | true).sum()) for m in found)

    for name, box in BOXES.items():  # the model sees cells of 4 pixels, so a border may be off by half a cell
        assert best(*box) > 20**2 / 24**2, name


@pytest.mark.parametrize(("thoroughness", "asked"), [(1.0, 16**2 + 4 * 8**2), (0.25, 8**2 + 4 * 4**2)])
def test_asks_on_a_grid_over_the_image_and_its_crops(model, thoroughness, asked):
    count = [0]

    class Counting(OnnxSam):
        def decode(self, encoded, points):
            count[0] += len(points)
            return super().decode(encoded, points)

    counting = object.__new__(Counting)
    counting.__dict__ = model.__dict__
    AutomaticMasks(counting, PromptConfig(thoroughness=thoroughness)).propose(picture(), "view", go_on)
    assert count[0] == asked


def test_a_mask_that_a_crop_cuts_is_left_out(model):
    """The ground goes on beyond every crop, so it comes from the whole image alone."""
    masks = AutomaticMasks(model, PromptConfig()).propose(picture(), "view", go_on)
    ground = [k for k in range(len(masks)) if masks.mask(k)[4, 4]]
    assert ground and all(masks.mask(k)[-4, -4] for k in ground)  # from corner to corner


def test_decoder_in_parts_says_the_same_as_the_whole(tmp_path):
    model = OnnxSam(*write_upscaling_models(tmp_path))
    assert model._parts is not None
    image = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    points = np.random.default_rng(2).uniform(0, 96, (5, 2))
    encoded = model.encode(image)
    parts = model.decode(encoded, points)
    model._parts = None
    whole: Any = model.decode(encoded, points)  # the whole network's answer holds its values
    assert parts.scores == pytest.approx(whole.scores)
    assert (parts.scale_x, parts.scale_y) == (whole.scale_x, whole.scale_y)
    prompts, choices = np.array([0, 1, 4, 4]), np.array([0, 2, 1, 0])
    near = {"rtol": 1e-4, "atol": 1e-4 * np.abs(whole.values).max()}  # float32, sums in another order
    np.testing.assert_allclose(parts.logits(prompts, choices), whole.logits(prompts, choices), **near)
    sample = np.arange(32) // 2 % 2 == 0  # the first two of every four rows and columns
    sampled = whole.values[[1, 3]][:, :, sample[:24]][:, :, :, sample]
    np.testing.assert_allclose(parts.sketch(np.array([1, 3])), sampled, **near)


def test_points_of_one_thing_get_all_masks_of_one_prompt(model):
    encoded = model.encode(picture())
    together = model.decode_together(encoded, np.array([[36.0, 36.0], [20.0, 60.0]]), np.array([ON, OFF]))
    alone = model.decode(encoded, np.array([[36.0, 36.0]]))  # the toy looks at the first point only
    assert together.scores == pytest.approx(np.array([SCORES]))
    assert np.array_equal(together.values[0, 1:], alone.values[0])
    assert (together.scale_x, together.scale_y) == (alone.scale_x, alone.scale_y)


@pytest.mark.parametrize("kinds", [[ON], [ON, OFF, ON], [ON, TOP_LEFT, BOTTOM_RIGHT], [TOP_LEFT, BOTTOM_RIGHT]])
def test_points_of_one_thing_mean_the_same_to_a_decoder_in_parts(tmp_path, kinds):
    model = OnnxSam(*write_upscaling_models(tmp_path))
    encoded = model.encode(np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8))
    points = np.random.default_rng(3).uniform(10, 80, (len(kinds), 2))
    parts = model.decode_together(encoded, points, np.array(kinds))
    model._parts = None
    whole: Any = model.decode_together(encoded, points, np.array(kinds))
    assert parts.scores.shape == (1, 4) and parts.scores == pytest.approx(whole.scores)
    prompts, choices = np.zeros(4, int), np.arange(4)
    near = {"rtol": 1e-4, "atol": 1e-4 * np.abs(whole.values).max()}  # float32, sums in another order
    np.testing.assert_allclose(parts.logits(prompts, choices), whole.values[0], **near)


def test_decoder_whose_upscaling_mixes_cells_is_left_whole(tmp_path):
    model = OnnxSam(*write_upscaling_models(tmp_path, neighbours=True))
    assert model._parts is None
    assert model.decode(model.encode(picture()), np.array([[5.0, 5.0]])).scores.shape == (1, 3)


class Forgetful:
    """The real model on a machine whose memory holds `limit` prompts."""

    def __init__(self, model: OnnxSam, limit: int) -> None:
        self.model, self.limit, self.signature = model, limit, model.signature
        self.stop, self.decode_together = model.stop, model.decode_together

    def encode(self, image):
        return self.model.encode(image)

    def decode(self, encoded, points):
        if len(points) > self.limit:
            raise MemoryError
        return self.model.decode(encoded, points)


def test_too_little_memory_shrinks_the_batch_then_says_so(model):
    config = PromptConfig(thoroughness=0.25, batch=16)
    plenty = AutomaticMasks(model, config).propose(picture(), "view", go_on)
    scarce = AutomaticMasks(Forgetful(model, 3), config).propose(picture(), "view", go_on)
    assert build_forest(scarce).count == build_forest(plenty).count
    with pytest.raises(MemoryExhaustedError, match="view_7"):
        AutomaticMasks(Forgetful(model, 0), config).propose(picture(), "view_7", go_on)


def test_stops_between_batches_and_inside_a_call(files):
    model = OnnxSam(*files)
    calls = [0]

    def check() -> None:
        calls[0] += 1
        if calls[0] == 3:
            raise CancelledError

    with pytest.raises(CancelledError):
        AutomaticMasks(model).propose(picture(), "view", check)
    model.stop()
    with pytest.raises(CancelledError):
        model.encode(picture())


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_tiny_images_give_maps_of_their_size(model, size):
    masks = AutomaticMasks(model).propose(np.full((*size, 3), 77, np.uint8), "view", go_on)
    assert build_forest(masks).node_map.shape == size


def test_upsampling_keeps_linear_ramps_and_aligns_centres():
    ramp = (np.arange(8) + 0.5) * 4  # value = position in image pixels
    up = upsampling(32, 0.25, 8) @ ramp
    inner = slice(2, -2)  # half a cell at each end has only one neighbour
    assert up[inner] == pytest.approx((np.arange(32) + 0.5)[inner], abs=1e-5)  # float32 weights


def test_specks_and_pinholes_go_and_shapes_stay():
    mask = np.zeros((40, 40), bool)
    mask[5:30, 5:30] = True
    expected = mask.copy()
    mask[10:12, 10:12] = False  # pinhole
    mask[35:37, 35:37] = True  # speck
    expected[15:22, 15:22] = mask[15:22, 15:22] = False  # a true hole, 49 pixels
    mask[29, 17] = expected[29, 17] = False  # a notch in the border is no hole
    assert np.array_equal(without_specks(mask, 20), expected)


def test_what_is_no_model_is_said_plainly(files, tmp_path, monkeypatch):
    encoder, decoder = files
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"\x00\x01not a model" * 50)
    empty = tmp_path / "empty.onnx"
    empty.touch()
    for bad in (junk, empty):
        with pytest.raises(InputError, match="is not an ONNX model"):
            model_from_text(f"onnx:{encoder},{bad}")
        with pytest.raises(InputError, match="is not an ONNX model"):
            model_from_text(f"onnx:{bad},{decoder}")
    with pytest.raises(InputError, match="no model file"):
        model_from_text(f"onnx:{tmp_path / 'none.onnx'},{decoder}")
    with pytest.raises(InputError, match="not those of a SAM decoder"):
        model_from_text(f"onnx:{encoder},{encoder}")
    with pytest.raises(InputError, match="is not a SAM encoder"):
        model_from_text(f"onnx:{decoder},{decoder}")
    for text in ("onnx:one.onnx", "onnx:", "bananas", ""):
        with pytest.raises(UsageError):
            model_from_text(text)
    identity = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
    )
    other = tmp_path / "other.onnx"
    onnx.save(helper.make_model(identity, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(other))
    with pytest.raises(InputError, match="is not a SAM encoder"):
        model_from_text(f"onnx:{other},{decoder}")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what Python does when a package is missing
    with pytest.raises(EnvironmentLacksError, match="onnxruntime"):
        model_from_text(f"onnx:{encoder},{decoder}")


@pytest.mark.skipif("BGS_TEST_SAM" not in os.environ, reason="BGS_TEST_SAM=ENCODER,DECODER names no real model")
def test_real_model_separates_a_box_from_its_ground():
    image = np.full((240, 320, 3), 200, np.uint8)
    image[60:160, 100:200] = (180, 30, 30)
    image += np.random.default_rng(0).integers(0, 8, image.shape, np.uint8)
    proposer = model_from_text(f"onnx:{os.environ['BGS_TEST_SAM']}", PromptConfig(thoroughness=0.25))
    forest = build_forest(proposer.propose(image, "view", go_on))
    box = forest.node_map[110, 150]
    assert box and box != forest.node_map[20, 20]
    assert abs(forest.areas()[box] - 100 * 100) < 0.1 * 100 * 100  # a model of that size is right to a few pixels
