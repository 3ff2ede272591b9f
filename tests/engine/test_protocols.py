"""`bgs eval --protocol` on small made folders with the layouts of LERF-Mask, SPIn-NeRF and NVOS.

The scene is a made room of known labels. Its true masks are drawn by the engine's own rasteriser from the true labels
of the Gaussians, so a run with the true codes must find every object all but whole, and the expected figures of spoilt
runs follow by counting.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgs_engine.cli import main
from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import write_json
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import RUN_FORMAT, write_coded_ply
from bgs_engine.io.transforms import read_transforms, write_transforms
from bgs_engine.output.protocols import label_choice, measures, scoring
from bgs_engine.output.protocols.pointing import Pointer
from bgs_engine.raster.scene import RasterScene

LAYOUT = BitLayout((8, 8, 8))
USED = slice(2, 7)  # of the cameras, in the order of their names: two pieces of furniture are in all of them
WHOLE = 0.99  # IoU of an object whose labels are exactly right: the mask was drawn from the same Gaussians


@dataclass
class Made:
    """A made scene with a run of the true labels. things: two objects, each a level-1 label with its masks."""

    folder: Path
    labels: np.ndarray
    cameras: list[Camera]
    things: list[int]
    masks: dict[tuple[int, str], np.ndarray]

    def run(self, place: Path, codes: np.ndarray, layout: BitLayout = LAYOUT) -> Path:
        ply = read_ply(self.folder / "scene.ply")
        place.mkdir()
        np.save(place / "codes.npy", codes)
        np.save(place / "opacity.npy", load_gaussians(ply, colors=False).opacities)
        write_coded_ply(place / "scene.ply", ply, codes)
        info = {"format": RUN_FORMAT, "level_bits": layout.level_bits, "dataset": str(self.folder)}
        write_json(place / "run.json", info)
        return place

    def true_run(self, place: Path) -> Path:
        return self.run(place, LAYOUT.pack(list(self.labels.T)))

    def mask(self, thing: int, camera: Camera, path: Path, size: tuple[int, int] | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(self.masks[thing, camera.name].astype(np.uint8) * 255)
        (picture.resize(size, Image.Resampling.NEAREST) if size else picture).save(path)


@pytest.fixture(scope="module")
def made(small_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("protocols") / "scene"
    shutil.copytree(small_scene, folder)
    labels = np.load(folder / "gt" / "labels.npz")["labels"]
    cameras = read_transforms(folder / "transforms.json")[0]
    gaussians = load_gaussians(read_ply(folder / "scene.ply"), colors=False)
    scene = RasterScene.from_gaussians(gaussians)
    pointer = Pointer(scene, scene.from_file_order(labels[:, 0].astype(np.int32)), scene.opacities, BitLayout((8,)))
    masks, fit = {}, []
    views = {camera.name: pointer.view(camera.moved(gaussians.offset)) for camera in cameras}
    for thing in np.unique(labels[:, 0][labels[:, 0] > 0]).tolist():
        for name, view in views.items():
            masks[thing, name] = pointer.masks(view, [scene.from_file_order(labels[:, 0] == thing)])[0]
        sizes = sorted(int(masks[thing, name].sum()) for name in sorted(views)[USED])
        if sizes[0] > 60 and sizes[-1] < 0.15 * masks[thing, cameras[0].name].size:  # seen everywhere, no wall
            fit.append(thing)
    assert len(fit) >= 2, f"the made room shows too few things in all its views: {fit}"
    return Made(folder, labels, cameras, fit[:2], masks)


def score(made: Made, run: Path, protocol: str, folder: Path, dataset: Path | None = None) -> dict:
    return scoring.evaluate_protocol(run, protocol, folder, dataset, Reporter())


def lerf_mask(made: Made, place: Path, views: int = 3) -> Path:
    """figurines/ with `views` tested views, of which the second has no masks, as in the released teatime."""
    scene = place / "figurines"
    scene.mkdir(parents=True)
    in_order = sorted(made.cameras, key=lambda camera: camera.name)
    tested = in_order[2 : 2 + views]
    write_transforms(scene / "transforms.json", made.cameras)
    (scene / "images_train").mkdir()
    for camera in made.cameras:
        if camera not in tested:
            (scene / "images_train" / f"{camera.name}.jpg").touch()
    for number, camera in enumerate(tested):
        if number == 1:
            continue
        for thing in made.things[:2]:
            made.mask(thing, camera, scene / "test_mask" / str(number) / f"thing {thing}.png")
    return scene


def test_lerf_mask_finds_true_labels(made: Made, tmp_path: Path):
    found = score(made, made.true_run(tmp_path / "run"), "lerf-mask", lerf_mask(made, tmp_path))
    assert set(found["objects"]) == {f"thing {thing}" for thing in made.things[:2]}
    for name, row in found["objects"].items():
        assert row["views"] == 2 and row["label"] == [1, int(name.split()[1])]
        assert row["labels"] == [row["label"]]  # the coarse label, not its parts: they are as good
    assert found["iou"] > WHOLE and found["iou_elsewhere"] > WHOLE and found["boundary_iou"] > WHOLE
    assert found["accuracy"] > 0.999 and found["iou_of_label"] == found["iou"]


def test_an_object_that_is_merged_with_another_loses_what_counting_says(made: Made, tmp_path: Path):
    """Both things have one label at every level: whoever asks for one gets both, in every view."""
    a, b = made.things[:2]
    merged = made.labels.copy()
    merged[np.isin(merged[:, 0], (a, b))] = (a, 1, 1)
    scene = lerf_mask(made, tmp_path)
    found = score(made, made.run(tmp_path / "run", LAYOUT.pack(list(merged.T))), "lerf-mask", scene)
    tested = [sorted(c.name for c in made.cameras)[2 + k] for k in (0, 2)]
    for thing in (a, b):
        sizes = [(made.masks[thing, v].sum(), (made.masks[a, v] | made.masks[b, v]).sum()) for v in tested]
        right = np.mean([own / both for own, both in sizes])
        assert found["objects"][f"thing {thing}"]["iou"] == pytest.approx(right, abs=0.01)
    assert found["iou"] == pytest.approx(np.mean([r["iou"] for r in found["objects"].values()]), abs=1e-4)


def test_a_set_of_labels_makes_up_what_no_single_label_is(made: Made, tmp_path: Path):
    """Level 1 joins both things, level 2 cuts each into four: the set is whole, one label is a part."""
    a, b = made.things[:2]
    cut = made.labels.copy()
    rows = np.isin(cut[:, 0], (a, b))
    quarter = np.random.default_rng(0).integers(0, 4, len(cut))
    cut[rows, 1] = np.where(made.labels[rows, 0] == a, 0, 4) + quarter[rows]
    cut[rows, 0], cut[rows, 2] = a, 1
    found = score(made, made.run(tmp_path / "run", LAYOUT.pack(list(cut.T))), "lerf-mask", lerf_mask(made, tmp_path))
    for row in found["objects"].values():
        assert row["iou"] > WHOLE and row["iou_of_label"] < 0.8
        assert len(row["labels"]) == 4 and {level for level, _ in row["labels"]} == {2}


def spin_nerf(made: Made, place: Path, name) -> Path:
    """One scene with masks of four views; `name` gives a mask's name from the camera and its number."""
    scene = place / "fern (llff)"
    in_order = sorted(made.cameras, key=lambda camera: camera.name)
    for number in (2, 3, 5, 6):  # a number is skipped, as in the released orchids
        camera = in_order[number]
        made.mask(made.things[0], camera, scene / f"{name(camera, number)}.png")
        for other in ("cutout", "pseudo"):
            Image.new("RGB", (4, 4)).save(scene / f"{name(camera, number)}_{other}.png")
    (scene / "annotations.json").write_text("{}")
    return scene


@pytest.mark.parametrize(
    "name",
    [lambda c, n: c.name, lambda c, n: f"image{n:03d}", lambda c, n: f"{n % 2}_{c.name}"],
    ids=["photo", "number", "prefix"],
)
def test_spin_nerf_counts_all_views_and_names_the_reference(made: Made, tmp_path: Path, name):
    found = score(made, made.true_run(tmp_path / "run"), "spin-nerf", spin_nerf(made, tmp_path, name))
    row = found["objects"]["fern (llff)"]
    assert row["views"] == 4 and row["iou"] > WHOLE and row["accuracy"] > 0.999
    assert row["reference"] == sorted(c.name for c in made.cameras)[2]  # the first in all three orders


def test_spin_nerf_takes_masks_of_another_size(made: Made, tmp_path: Path):
    """Half as large, as masks of images_2 are. Borders of small masks are coarse: 0.9 of the object agree."""
    scene = spin_nerf(made, tmp_path, lambda c, n: c.name)
    for path in scene.glob("*[0-9].png"):
        camera = next(c for c in made.cameras if c.name == path.stem)
        made.mask(made.things[0], camera, path, (camera.width // 2, camera.height // 2))
    assert score(made, made.true_run(tmp_path / "run"), "spin-nerf", scene)["iou"] > 0.85


def nvos(made: Made, place: Path, things: tuple[int, ...] = (0, 1)) -> Path:
    root, (target, reference) = place / "llff", made.cameras[2:4]
    for k in things:
        thing, scene = made.things[k], f"horns_{k}"
        made.mask(thing, target, root / "masks" / scene / f"{target.name}_mask.png")
        Image.new("RGB", (8, 6)).save(root / "masks" / scene / f"{target.name}.JPG")
        (root / "reference_image" / scene).mkdir(parents=True)
        Image.new("RGB", (8, 6)).save(root / "reference_image" / scene / f"{reference.name}.JPG")
        (root / "scribbles" / scene).mkdir(parents=True)
        inside = made.masks[thing, reference.name]
        row = int(np.median(np.nonzero(inside)[0]))
        stroke, beside = np.zeros(inside.shape, np.uint8), np.zeros(inside.shape, np.uint8)
        stroke[row, inside[row]] = 255
        beside[::7][~inside[::7]] = 255
        Image.fromarray(stroke).save(root / "scribbles" / scene / "pos_0_horns.png")
        Image.fromarray(beside).save(root / "scribbles" / scene / "neg_0_horns.png")
        Image.fromarray(stroke).save(root / "scribbles" / scene / "vis_0_horns.png")
    return root


def test_nvos_scribbles_pick_the_whole_object(made: Made, tmp_path: Path):
    found = score(made, made.true_run(tmp_path / "run"), "nvos", nvos(made, tmp_path))
    assert set(found["objects"]) == {"horns_0", "horns_1"}
    for k in (0, 1):
        row = found["objects"][f"horns_{k}"]
        assert row["labels"] == [[1, made.things[k]]] and row["iou"] > WHOLE and row["views"] == 1
    assert found["iou"] == found["iou_elsewhere"]  # the target is never the reference


def test_nvos_leaves_out_objects_of_other_scenes(made: Made, tmp_path: Path):
    root = nvos(made, tmp_path)
    for path in (root / "masks" / "horns_1").iterdir():
        path.rename(path.with_name(path.name.replace(made.cameras[2].name, "IMG_4027")))
    reference = next((root / "reference_image" / "horns_1").iterdir())
    other = reference.rename(reference.with_name("IMG_4038.JPG"))
    run = made.true_run(tmp_path / "run")
    assert set(score(made, run, "nvos", root)["objects"]) == {"horns_0"}
    other.rename(reference)
    with pytest.raises(InputError, match="IMG_4027 of horns_1 is not among the cameras"):
        score(made, run, "nvos", root)


def test_boundary_iou_counts_only_outlines():
    """A square of 40 px and one of 30 px in its middle, 100x100: the outlines are 3 px wide and do not meet."""
    a, b = np.zeros((100, 100), bool), np.zeros((100, 100), bool)
    a[30:70, 30:70] = True
    b[35:65, 35:65] = True
    assert measures.iou(a, b) == pytest.approx(900 / 1600)
    assert measures.boundary_iou(a, b) == 0 and measures.boundary_iou(a, a) == 1
    shifted = np.roll(a, 1, axis=1)  # outlines: 40² - 34² = 444 px; 40 columns-pixels fall away on each side ...
    both = np.count_nonzero(measures._boundary(a) & measures._boundary(shifted))
    assert measures.boundary_iou(a, shifted) == pytest.approx(both / (2 * 444 - both))
    assert measures.accuracy(a, b) == pytest.approx(1 - 700 / 10_000)
    assert measures.iou(~(a | True), ~(a | True)) == 1  # both empty


def test_the_chosen_set_is_the_best_of_all():
    """Against trying every subset of the labels."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        codes = np.arange(6, dtype=np.int32)
        inside, beside, size = rng.random(6), rng.random(6), 4.0
        gains = label_choice.gains_of_mask(codes, inside, beside, size)
        chosen = label_choice.choose(codes, gains, BitLayout((3,)))
        sets = ((np.arange(64)[:, None] >> np.arange(6)) & 1).astype(bool)
        ious = (sets @ inside) / (size + sets @ beside)
        rows = [label for _, label in chosen]
        assert inside[rows].sum() / (size + beside[rows].sum()) == pytest.approx(ious.max())


def test_a_coarse_label_is_taken_only_if_it_costs_next_to_nothing():
    layout = BitLayout((1, 2))
    codes = np.array([0, 1, 2, 4], np.int32)  # label 0 of level 1 has parts 0, 1, 2; label 1 has part 4
    assert label_choice.choose(codes, np.array([5.0, 5, 0, -9]), layout) == [(1, 0)]
    assert label_choice.choose(codes, np.array([5.0, 5, -0.1, -9]), layout) == [(1, 0)]
    assert label_choice.choose(codes, np.array([5.0, 5, -1, -9]), layout) == [(2, 0), (2, 1)]
    assert label_choice.choose(codes, np.array([-1.0, -1, 0, 0]), layout) == []


def damage_no_masks(scene: Path) -> None:
    shutil.rmtree(scene / "test_mask")


def damage_no_training(scene: Path) -> None:
    shutil.rmtree(scene / "images_train")


def damage_number(scene: Path) -> None:
    (scene / "test_mask" / "2").rename(scene / "test_mask" / "9")


def damage_bytes(scene: Path) -> None:
    next((scene / "test_mask" / "0").iterdir()).write_bytes(b"\x89PNG\r\n\x1a\n")


def damage_shape(scene: Path) -> None:
    for path in scene.glob("test_mask/*/*.png"):
        Image.new("L", (64, 200), 255).save(path)


def damage_black(scene: Path) -> None:
    for path in scene.glob("test_mask/*/*.png"):
        Image.new("L", (160, 120)).save(path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_no_masks, "has no test_mask folder"),
        (damage_no_training, "has no images_train folder"),
        (damage_number, "test_mask/9 belongs to no camera"),
        (damage_bytes, "cannot be read"),
        (damage_shape, "64x200 pixels, the camera"),
        (damage_black, "No mask of 'thing"),
    ],
)
def test_damaged_lerf_mask_ends_in_a_sentence(made: Made, tmp_path: Path, damage, says: str):
    scene = lerf_mask(made, tmp_path)
    damage(scene)
    with pytest.raises(InputError, match=says):
        score(made, made.true_run(tmp_path / "run"), "lerf-mask", scene)


def test_damaged_spin_nerf_and_nvos_end_in_a_sentence(made: Made, tmp_path: Path):
    run = made.true_run(tmp_path / "run")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no masks"):
        score(made, run, "spin-nerf", empty)
    with pytest.raises(InputError, match="has no masks folder"):
        score(made, run, "nvos", empty)
    with pytest.raises(InputError, match="is no folder"):
        score(made, run, "nvos", tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"DJI_2.png belongs to none of the 10 cameras"):
        score(made, run, "spin-nerf", spin_nerf(made, tmp_path, lambda c, n: f"DJI_{n}"))
    root = nvos(made, tmp_path)
    scribble = root / "scribbles" / "horns_0" / "pos_0_horns.png"
    Image.new("L", (160, 120)).save(scribble)
    with pytest.raises(InputError, match="all black"):
        score(made, run, "nvos", root)
    scribble.unlink()
    with pytest.raises(InputError, match=r"horns_0 has 0 files pos_\*.png"):
        score(made, run, "nvos", root)


def test_cameras_come_from_the_run_or_are_asked_for(made: Made, tmp_path: Path):
    run = made.true_run(tmp_path / "run")
    scene = spin_nerf(made, tmp_path, lambda c, n: c.name)
    right = score(made, run, "spin-nerf", scene)
    info = json.loads((run / "run.json").read_text())
    write_json(run / "run.json", {**info, "dataset": str(tmp_path / "gone")})
    with pytest.raises(InputError, match="dataset is not there any more") as caught:
        score(made, run, "spin-nerf", scene)
    assert "--dataset" in caught.value.hint
    assert score(made, run, "spin-nerf", scene, made.folder) == right


def test_the_command_prints_json_and_a_table(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run, scene = made.true_run(tmp_path / "run"), lerf_mask(made, tmp_path)
    command = ["eval", str(run), "--protocol", "lerf-mask", "--truth", str(scene)]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["protocol"] == "lerf-mask" and found["iou"] > WHOLE
    assert main(command) == 0
    table = capsys.readouterr().out
    assert f"{found['iou']:.4f}" in table and "0.921" in table
    assert main(["eval", str(run), "--truth", str(scene), "--dataset", str(scene)]) == 2


@pytest.mark.parametrize(("second", "right"), [(-0.01, (1, 0)), (-0.5, (2, 0))])
def test_one_label_is_coarse_unless_a_finer_one_is_clearly_better(second: float, right: tuple[int, int]):
    codes, gains = np.array([0, 1, 4], np.int32), np.array([1.0, second, 0.2])
    found = label_choice.best_label(codes, BitLayout((1, 2)), lambda place, n: np.bincount(place, gains, n))
    assert found == right
