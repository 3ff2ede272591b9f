"""Image-text models in ONNX format give the vectors that the transformers library gives for the same weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.errors import InputError
from bgs_engine.words.onnx_model import OnnxImageText, onnx_files
from bgs_engine.words.opening import open_model
from bgs_engine.words.transformers_model import TransformersImageText
from tests.helpers.toy_words_model import write_model, write_onnx_model

TEXTS = ["a red box", "Blue", "things of any kind and more " * 9]


@pytest.fixture(scope="module", params=["clip", "siglip"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of one model: of the transformers library, and in ONNX format."""
    folder = tmp_path_factory.mktemp(request.param)
    like = write_model(folder / "like", request.param)
    return like, write_onnx_model(folder / "onnx", request.param, like)


def test_vectors_are_those_of_the_library(both: tuple[Path, Path]) -> None:
    like, folder = both
    wanted, model = TransformersImageText(str(like), "cpu"), open_model(str(folder))
    assert isinstance(model, OnnxImageText)
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (size, size + 3, 3), dtype=np.uint8) for size in (9, 40, 41)] * 7  # two batches
    np.testing.assert_allclose(model.pictures(pixels), wanted.pictures(pixels), atol=1e-5)
    np.testing.assert_allclose(model.texts(TEXTS), wanted.texts(TEXTS), atol=1e-5)
    np.testing.assert_allclose(model.texts(TEXTS[:1])[0], model.texts(TEXTS)[0], atol=1e-5)
    assert open_model(f"hf:{folder}").signature == model.signature != wanted.signature


def test_whole_numbers_are_preferred_to_small_ones(tmp_path: Path) -> None:
    for name in ("vision_model_fp16", "text_model_fp16", "vision_model"):
        (tmp_path / f"{name}.onnx").touch()
    assert onnx_files(tmp_path) == (tmp_path / "vision_model_fp16.onnx", tmp_path / "text_model_fp16.onnx")
    (tmp_path / "text_model.onnx").touch()
    assert onnx_files(tmp_path) == (tmp_path / "vision_model.onnx", tmp_path / "text_model.onnx")


@pytest.mark.parametrize("damaged", ["config.json", "tokenizer.json", "onnx/text_model.onnx"])
def test_damage_is_named(both: tuple[Path, Path], tmp_path: Path, damaged: str) -> None:
    for path in (path for path in both[1].rglob("*") if path.is_file()):
        target = tmp_path / path.relative_to(both[1])
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / damaged).write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        open_model(str(tmp_path))
    assert "tokenizer.json" in caught.value.hint


def test_networks_that_answer_something_else_are_named(both: tuple[Path, Path], tmp_path: Path) -> None:
    import onnx

    (tmp_path / "tokenizer.json").write_bytes((both[1] / "tokenizer.json").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    for part in ("vision", "text"):
        model = onnx.load(both[1] / "onnx" / f"{part}_model.onnx")
        last = model.graph.output[0]
        for node in model.graph.node:
            node.output[:] = ["logits" if name == last.name else name for name in node.output]
        last.name = "logits"
        onnx.save(model, tmp_path / f"{part}_model.onnx")
    with pytest.raises(InputError, match="answer logits"):
        open_model(str(tmp_path))
