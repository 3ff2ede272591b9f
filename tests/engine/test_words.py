"""Finding labels by words: models from disk, ranking, crops of made rooms, what a run keeps, and the commands."""

import json
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.cli import main
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.label_table import read_labels, write_labels
from bgs_engine.devices.choice import resolve
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.images import read_image
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import open_run, save_labels
from bgs_engine.made_scenes import SceneConfig, make_scene
from bgs_engine.made_scenes.truth import TruthMaps
from bgs_engine.pipeline import opening
from bgs_engine.pipeline.finding import find_by_name, find_by_picture, name_by_words, read_vocabulary
from bgs_engine.pipeline.word_vectors import vectors_key, word_vectors
from bgs_engine.raster.label_maps import label_renderer
from bgs_engine.raster.scene import RasterScene
from bgs_engine.words.crops import GREY, best_crops
from bgs_engine.words.ranking import FOUND, best_words, ordered, relevancy
from bgs_engine.words.transformers_model import TransformersImageText
from tests.engine.test_label_names import run as run
from tests.helpers.toy_words_model import ColorModel, write_model


def unit(values: np.ndarray) -> np.ndarray:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float32)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_models_from_a_folder(kind: str, tmp_path: Path) -> None:
    model = TransformersImageText(str(write_model(tmp_path / kind, kind)), "cpu")
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (size, size + 3, 3), dtype=np.uint8) for size in (9, 40, 41)] * 7  # two batches
    vectors, texts = model.pictures(pixels), model.texts(["a red box", "blue", "things of any kind and more " * 9])
    assert vectors.shape == (21, 8 if kind == "clip" else 16) and texts.shape == (3, vectors.shape[1])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(model.pictures(pixels[:1])[0], vectors[0], atol=1e-4)  # alone or in a batch
    np.testing.assert_allclose(model.texts(["blue"])[0], texts[1], atol=1e-4)
    again = TransformersImageText(str(tmp_path / kind), "cpu")
    assert again.signature == model.signature


def test_what_is_no_model_or_not_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No image-text model is named"):
        TransformersImageText("hf: ")
    with pytest.raises(InputError, match="There is no folder"):
        TransformersImageText(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot be loaded"):
        TransformersImageText(str(tmp_path / "empty"))
    with pytest.raises(EnvironmentLacksError, match="not on this machine") as caught:
        TransformersImageText("hf:nobody/has-this-model")  # and nothing goes online to find out
    assert "--fetch" in caught.value.hint


def test_relevancy_is_the_lowest_of_the_softmaxes() -> None:
    rng = np.random.default_rng(1)
    vectors, wanted, contrasts = unit(rng.normal(size=(9, 5))), unit(rng.normal(size=5)), unit(rng.normal(size=(4, 5)))
    own = np.exp(10 * vectors @ wanted)[:, None]
    expected = (own / (own + np.exp(10 * vectors @ contrasts.T))).min(1)
    np.testing.assert_allclose(relevancy(vectors, wanted, contrasts), expected, rtol=1e-5)
    assert relevancy(np.zeros((1, 5)), wanted, contrasts).tolist() == [0]


def test_the_ranking_in_half_precision_is_that_of_exact_vectors() -> None:
    """The gaps between scores of random vectors of this size are far above the error of half precision, 5e-4."""
    rng = np.random.default_rng(2)
    wanted, contrasts = unit(rng.normal(size=512)), unit(rng.normal(size=(6, 512)))
    side = unit(rng.normal(size=(300, 512)))
    vectors = unit(side + np.linspace(-1, 1, 300)[rng.permutation(300), None] * wanted)
    exact = ordered(relevancy(vectors, wanted, contrasts), range(300))
    half = ordered(relevancy(vectors.astype(np.float16).astype(np.float32), wanted, contrasts), range(300))
    scores = relevancy(vectors, wanted, contrasts)
    apart = [k for k in range(299) if scores[exact[k]] - scores[exact[k + 1]] > 2e-3]
    assert len(apart) > 50
    assert [exact[k] for k in apart] == [half[k] for k in apart] and exact[:20] == half[:20]


def test_negatives_and_a_vocabulary() -> None:
    model, pictures = ColorModel(), ColorModel().pictures([np.full((4, 4, 3), c, np.uint8) for c in (
        (200, 60, 60), (60, 60, 200), (127, 127, 127))])  # fmt: skip
    contrasts = model.texts(["object", "things"])
    scores = relevancy(pictures, model.texts(["red"])[0], contrasts)
    assert (scores > FOUND).tolist() == [True, False, False]
    with_not = relevancy(pictures, model.texts(["red"])[0], model.texts(["object", "red thing"]))
    assert with_not[0] == pytest.approx(0.5)  # nothing is more red than red
    words, best = best_words(pictures, model.texts(["green", "blue", "red"]), contrasts)
    assert words[:2].tolist() == [2, 1] and best[2] < FOUND < best[1]


@pytest.fixture(autouse=True)
def few_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four views of a bare splat instead of twelve: they show all things of the made room."""
    monkeypatch.setattr(opening, "BARE_VIEWS", 4)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words") / "scene"
    make_scene(folder, SceneConfig(gaussians=30_000, views=8, test_views=1, size=(320, 240)), Reporter())
    return folder


def test_crops_contain_their_objects(scene: Path) -> None:
    """True labels are rendered as a run's codes are; the crop of each must be that of the true object in that view."""
    gaussians = load_gaussians(read_ply(scene / "scene.ply"))
    raster = RasterScene.from_gaussians(gaussians)
    labels = np.load(scene / "gt" / "labels.npz")["labels"]
    layout = BitLayout((6, 7, 9))
    group, thing, part = labels.T.astype(np.uint32)
    codes = (group << 16 | thing << 9 | part).view(np.int32)
    cameras = list(open_dataset(scene).cameras)
    rows = (raster.from_file_order(codes), raster.from_file_order(gaussians.opacities))
    code_map = label_renderer(resolve("cpu"), raster, *rows, layout.total)
    truth = TruthMaps(raster, labels)
    images = [read_image(camera.image) for camera in cameras if camera.image]
    true_maps = [truth.draw(camera) for camera in cameras]
    overlaps, keys = [], set()
    for crop in best_crops(cameras, code_map, lambda number: images[number], layout):
        level, label = crop.key
        true = label & (1 << layout.level_bits[level - 1]) - 1
        if true == 0:  # floaters
            continue
        keys.add(crop.key)
        assert crop.pixels.shape[:2] == crop.mask.shape and crop.mask.any()
        view, (y, x) = crop.view, crop.corner
        height, width = crop.mask.shape
        wanted = true_maps[view][level - 1]
        own = np.zeros(wanted.shape, bool)
        own[y : y + height, x : x + width] = crop.mask
        overlaps.append((own & (wanted == true)).sum() / (own | (wanted == true)).sum())
    assert len(keys) > 60
    print(len(overlaps), np.min(overlaps), np.mean(overlaps))
    assert np.mean(overlaps) >= 0.8 and np.quantile(overlaps, 0.05) >= 0.8


def test_surroundings_are_faded_and_the_label_is_not() -> None:
    codes = np.zeros((40, 60), np.uint32)
    codes[10:20, 30:40] = 1
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:20, 30:40] = 200
    crops = {crop.key: crop for crop in best_crops([None], lambda _: codes, lambda _: pixels, BitLayout((2,)))}  # type: ignore[list-item]
    small = crops[1, 1]
    assert small.mask.sum() == 100 and small.mask.shape == (13, 13)
    assert (small.pixels[small.mask] == 200).all() and (small.pixels[~small.mask] == round(0.75 * GREY)).all()
    assert crops[1, 0].mask.shape == (40, 60)  # as far as the picture goes


def test_a_run_keeps_vectors_until_its_labels_change(run: Path) -> None:
    model, opened = ColorModel(), open_run(run)
    first = word_vectors(opened, model, Reporter(), "cpu")
    asked, key = model.asked, vectors_key(opened, model)
    assert asked > 20
    path = run / "embeddings" / f"{key}.npz"
    assert path.stat().st_size < 20_000 and np.load(path)["vectors_1"].dtype == np.float16
    second = word_vectors(open_run(run), model, Reporter(), "cpu")
    assert model.asked == asked
    for level, one in first.items():
        assert np.array_equal(one.vectors, second[level].vectors) and np.array_equal(one.labels, second[level].labels)
    path.write_bytes(b"damaged")
    word_vectors(open_run(run), model, Reporter(), "cpu")
    assert model.asked == 2 * asked
    codes = opened.codes.copy()
    codes[opened.layout.labels(codes, 1) == 7] += np.int32(1 << 2)
    save_labels(opened, codes, opened.labels())
    assert vectors_key(open_run(run), model) != key


def test_red_things_are_found_and_people_keep_their_names(run: Path) -> None:
    assert main(["names", str(run)]) == 0
    model = ColorModel()
    vectors = word_vectors(open_run(run), model, Reporter(), "cpu")
    hits = find_by_picture(open_run(run), model, vectors, "red", ["blue"], 1)
    assert hits[0].name == "red box, left" and hits[0].found
    assert all(hit.score <= hits[0].score for hit in hits)
    levels = {hit.level for hit in find_by_picture(open_run(run), model, vectors, "red", [])}
    assert levels == {1, 2}
    words = run.parent / "words.txt"
    words.write_text("# colours\nred crate\n\ngreen drum\nblue globe\nblue globe\n")
    assert read_vocabulary(words) == ["red crate", "green drum", "blue globe"]
    table, changed = name_by_words(run, words, model, Reporter())
    names = {row.label: row.name for row in table.of(1)}
    assert names[6].startswith("red crate") and names[11] == "My Post" and changed >= 5
    assert {names[k] for k in (7, 8, 9)} <= {f"blue globe {k}" for k in range(1, 9)}
    assert len(set(names.values())) == len(names)
    assert {row.label: row.name for row in read_labels(run / "labels.json").of(1)} == names
    _, again = name_by_words(run, words, model, Reporter())
    assert again == 0


def test_bgs_find_by_names_and_with_a_model(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["names", str(run)]) == 0
    capsys.readouterr()
    assert main(["find", str(run), "BALL blue", "--level", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sorted(hit["name"] for hit in found["labels"]) == ["blue ball 1", "blue ball 2", "blue ball 3"]
    folder = write_model(tmp_path / "clip", "clip")
    asked = ["find", str(run), "red box", "--not", "blue", "--model", str(folder), "--device", "cpu", "--top", "4"]
    assert main([*asked, "--json"]) == 0
    labels = json.loads(capsys.readouterr().out)["labels"]
    assert len(labels) == 4 and [hit["score"] for hit in labels] == sorted((h["score"] for h in labels), reverse=True)
    assert main(asked) == 0 and capsys.readouterr().out.count("\n") == 5
    words = tmp_path / "words.txt"
    words.write_text("red box\nblue ball\n")
    assert main(["names", str(run), "--words", str(words), "--model", str(folder), "--device", "cpu"]) == 0


@pytest.mark.parametrize(
    "arguments", [["x", "--top", "0"], ["x", "--not", "y"], ["x", "--level", "7"], ["x", "--model", "hf:nobody/none"]]
)
def test_bgs_find_refuses(run: Path, arguments: list[str]) -> None:
    assert main(["find", str(run), *arguments]) in (2, 4)


def test_a_name_search_finds_every_word(run: Path) -> None:
    table = read_labels(run / "labels.json")
    table.of(1)[0].name = "Grandma's Red Chair"
    write_labels(run / "labels.json", table)
    assert [hit.label for hit in find_by_name(open_run(run), "chair red")] == [table.of(1)[0].label]
    assert find_by_name(open_run(run), "  ") == [] == find_by_name(open_run(run), "chair green")
