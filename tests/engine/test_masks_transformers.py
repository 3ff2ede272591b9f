"""The transformers backend: each family's real loading and calling code, on tiny random models saved to disk."""

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from bgs_engine.core.errors import CancelledError, EnvironmentLacksError, InputError, MemoryExhaustedError
from bgs_engine.masks.automatic import AutomaticMasks, PromptConfig
from bgs_engine.masks.nesting import build_forest
from bgs_engine.masks.prompting import BOTTOM_RIGHT, OFF, ON, TOP_LEFT
from bgs_engine.masks.sources.table import model_from_text
from bgs_engine.masks.transformers_model import TransformersSam

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def save_sam(folder: Path) -> None:
    vision = transformers.SamVisionConfig(
        hidden_size=16,
        output_channels=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        window_size=4,
        global_attn_indexes=[0],
        num_pos_feats=16,
        mlp_dim=16,
    )
    prompts = transformers.SamPromptEncoderConfig(hidden_size=32, image_size=64, patch_size=8, mask_input_channels=4)
    decoder = transformers.SamMaskDecoderConfig(
        hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16
    )
    config = transformers.SamConfig(
        vision_config=vision.to_dict(), prompt_encoder_config=prompts.to_dict(), mask_decoder_config=decoder.to_dict()
    )
    transformers.SamModel(config).save_pretrained(folder)


def save_sam2(folder: Path) -> None:
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[64, 64],
        patch_kernel_size=[7, 7],
        patch_stride=[4, 4],
        patch_padding=[3, 3],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[8, 4, 4, 2],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone.to_dict(),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=32,
    )
    prompts = transformers.Sam2PromptEncoderConfig(hidden_size=32, image_size=64, patch_size=16, mask_input_channels=4)
    decoder = transformers.Sam2MaskDecoderConfig(
        hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16
    )
    config = transformers.Sam2Config(
        vision_config=vision.to_dict(), prompt_encoder_config=prompts.to_dict(), mask_decoder_config=decoder.to_dict()
    )
    transformers.Sam2Model(config).save_pretrained(folder)


def save_sam3(folder: Path) -> None:
    from transformers.models.sam3.configuration_sam3 import Sam3VisionConfig, Sam3ViTConfig

    backbone = Sam3ViTConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        window_size=2,
        global_attn_indexes=[1],
        pretrain_image_size=28,
    )
    vision = Sam3VisionConfig(
        backbone_config=backbone.to_dict(),
        fpn_hidden_size=32,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        scale_factors=[4.0, 2.0, 1.0],
    )
    prompts = {"hidden_size": 32, "image_size": 56, "patch_size": 14, "mask_input_channels": 4}
    decoder = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    config = transformers.Sam3TrackerConfig(
        vision_config=vision.to_dict(), prompt_encoder_config=prompts, mask_decoder_config=decoder
    )
    transformers.Sam3TrackerModel(config).save_pretrained(folder)


FAMILIES = {"sam": save_sam, "sam2": save_sam2, "sam3": save_sam3}


def go_on() -> None:
    """Nobody asks to stop."""


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp(request.param)
    FAMILIES[request.param](path)
    return path


def test_loads_asks_in_batches_and_gives_masks_of_the_image(folder):
    proposer = model_from_text(
        f"hf:{folder}", PromptConfig(thoroughness=1 / 16, min_iou=-1e9, min_stability=0), device="cpu"
    )
    assert isinstance(proposer, AutomaticMasks)
    image = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    encoded = cast(Any, proposer).model.encode(image)
    points = np.array([[10.0, 20.0], [80.0, 50.0]])
    both = cast(Any, proposer).model.decode(encoded, points)
    assert both.scores.shape == (2, 3)
    for k in range(2):  # a prompt's answer does not depend on its neighbours; float32 sums may be ordered differently
        alone = cast(Any, proposer).model.decode(encoded, points[k : k + 1])
        assert alone.sketch(np.array([0]))[0] == pytest.approx(both.sketch(np.array([k]))[0], abs=1e-4)
    assert not np.allclose(both.sketch(np.array([0])), both.sketch(np.array([1])))  # the point matters
    forest = build_forest(proposer.propose(image, "view", go_on))
    assert forest.node_map.shape == (60, 90)
    assert proposer.key("view") == model_from_text(f"hf:{folder}", proposer.config, device="cpu").key("view")
    proposer.stop()
    with pytest.raises(CancelledError):
        proposer.propose(image, "view", go_on)


def test_points_and_a_box_of_one_thing_make_one_prompt(folder):
    model: Any = TransformersSam(str(folder), device="cpu")
    encoded = model.encode(np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8))
    points = np.array([[10.0, 20.0], [80.0, 50.0], [5.0, 8.0], [40.0, 30.0]])
    answers = {
        kinds: model.decode_together(encoded, points[: len(kinds)], np.array(kinds)).values
        for kinds in ((ON,), (ON, OFF), (ON, ON), (ON, ON, TOP_LEFT, BOTTOM_RIGHT), (TOP_LEFT, BOTTOM_RIGHT))
    }
    assert {values.shape[:2] for values in answers.values()} == {(1, 3)}
    assert answers[(ON,)] == pytest.approx(model.decode(encoded, points[:1]).values, abs=1e-4)
    several = list(answers.values())
    assert all(not np.allclose(a, b) for k, a in enumerate(several) for b in several[:k])  # every point and kind counts


def test_stops_between_two_layers_of_the_encoder(folder):
    """Told to stop while its first layer runs, the encoder begins no other."""
    model = TransformersSam(str(folder))
    begun: list[Any] = []

    def after_layer(layer: Any, *_: object) -> None:
        begun.append(layer)
        model.stop()

    for layer in model._model.modules():
        if not list(layer.children()):
            layer.register_forward_hook(after_layer)
    with pytest.raises(CancelledError):
        model.encode(np.zeros((48, 64, 3), np.uint8))
    assert len(begun) == 1
    with pytest.raises(CancelledError):
        model.encode(np.zeros((48, 64, 3), np.uint8))
    assert len(begun) == 1


def test_out_of_memory_shrinks_the_batch_then_says_so(folder):
    """torch's own exception, raised for every call of more than `limit` points."""
    proposer = model_from_text(
        f"hf:{folder}", PromptConfig(thoroughness=1 / 16, min_iou=-1e9, min_stability=0), device="cpu"
    )
    limit, answered = 3, []

    def full(_: object, __: tuple, inputs: dict) -> None:
        if inputs["input_points"].shape[1] > limit:
            raise torch.OutOfMemoryError("no memory left")
        answered.append(inputs["input_points"].shape[1])

    cast(Any, proposer).model._model.register_forward_pre_hook(full, with_kwargs=True)
    image = np.full((32, 32, 3), 99, np.uint8)
    proposer.propose(image, "view", go_on)
    assert sum(answered) == 4**2 + 4 * 2**2 and max(answered) == 2  # the batch of 4 was halved, and stays so
    limit = 0
    with pytest.raises(MemoryExhaustedError, match="view_7"):
        proposer.propose(image, "view_7", go_on)


def test_torchvision_is_not_needed(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    model_from_text(f"hf:{folder}", device="cpu")


def test_half_precision_path_runs(folder, monkeypatch):
    """CUDA's autocast cannot run here; the processor's, in bfloat16, takes the same road through our code."""
    proposer = model_from_text(f"hf:{folder}", device="cpu")
    monkeypatch.setattr(cast(Any, proposer).model, "_precision", lambda: torch.autocast("cpu", dtype=torch.bfloat16))
    image = np.full((40, 40, 3), 99, np.uint8)
    answers = cast(Any, proposer).model.decode(cast(Any, proposer).model.encode(image), np.array([[20.0, 20.0]]))
    assert answers.scores.dtype == np.float32 and np.isfinite(answers.scores).all()


def test_missing_models_and_packages_are_said_plainly(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot be loaded"):
        model_from_text(f"hf:{tmp_path}", device="cpu")
    if not torch.cuda.is_available():
        with pytest.raises(EnvironmentLacksError, match="CUDA"):
            model_from_text(f"hf:{tmp_path}", device="cuda")
    transformers.BertConfig(num_hidden_layers=1).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="cannot be loaded"):
        model_from_text(f"hf:{tmp_path}", device="cpu")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EnvironmentLacksError, match="transformers"):
        model_from_text("sam2")
