"""Cameras in another frame than the splat: moved where a convention explains it, refused otherwise."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgs_engine.cli.main import main
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import Dataset, open_dataset
from bgs_engine.io.run_folder import open_run
from bgs_engine.output.evaluate import evaluate_run
from bgs_engine.pipeline.scene import load_scene
from bgs_engine.views.alignment import aligned
from bgs_engine.views.frame_conventions import conventions

TURN = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)  # COLMAP → nerfstudio
AS_IT_IS = np.eye(4)
FLIP = np.diag([1.0, -1, -1, 1])


def change_poses(path: Path, before: np.ndarray, after: np.ndarray = AS_IT_IS) -> None:
    """Write before @ pose @ after for every pose; the scale of `before` moves only the positions."""
    data = json.loads(path.read_text())
    for frame in data["frames"]:
        pose = before @ np.array(frame["transform_matrix"]) @ after
        pose[:3, :3] /= np.cbrt(abs(np.linalg.det(pose[:3, :3])))
        frame["transform_matrix"] = pose.tolist()
    path.write_text(json.dumps(data))


def similarity(scale: float, angle: float, shift: tuple[float, float, float]) -> np.ndarray:
    """Turn about z by `angle` (radians), scale, shift; [4, 4]."""
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, :3] *= scale
    matrix[:3, 3] = shift
    return matrix


@pytest.fixture
def dataset(small_scene: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_scene, tmp_path / "scene"))


def compared(folder: Path) -> tuple[Dataset, list[str]]:
    """The dataset after the comparison, and the warnings."""
    reporter = Reporter()
    found = aligned(open_dataset(folder), load_scene(folder / "scene.ply", reporter).raster, reporter)
    return found, reporter.warnings


def worst_error(found: Dataset, truth: Path) -> float:
    """The largest difference of any number of any pose from those of the dataset `truth`."""
    return max(
        float(np.abs(a.viewmat - b.viewmat).max())
        for a, b in zip(found.cameras, open_dataset(truth).cameras, strict=True)
    )


def test_cameras_that_fit_stay_as_they_are(dataset: Path) -> None:
    opened = open_dataset(dataset)
    found, warnings = compared(dataset)
    assert warnings == []
    assert [c.viewmat.tolist() for c in found.cameras] == [c.viewmat.tolist() for c in opened.cameras]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (TURN, AS_IT_IS, "The splat's axes are the cameras' x,-z,y."),
        (np.linalg.inv(TURN), AS_IT_IS, "The splat's axes are the cameras' x,z,-y."),
        (AS_IT_IS, FLIP, "The poses have the axes of OpenCV"),
        (TURN, FLIP, "The poses have the axes of OpenCV"),
    ],
    ids=["turned", "turned back", "OpenCV poses", "turned OpenCV poses"],
)
def test_other_axes_are_found(
    dataset: Path, small_scene: Path, before: np.ndarray, after: np.ndarray, reason: str
) -> None:
    change_poses(dataset / "transforms.json", before, after)
    found, warnings = compared(dataset)
    assert worst_error(found, small_scene) < 1e-9
    assert len(warnings) == 1
    assert reason in warnings[0]


def test_the_frame_of_nerfstudio_is_computed_from_the_poses(dataset: Path, small_scene: Path) -> None:
    """The splat is where nerfstudio would put it: mean up on z, cameras centred, the farthest at 1 on its axis."""
    poses = np.stack([c.opengl_pose for c in open_dataset(dataset).cameras])
    up = poses[:, :3, 1].mean(0)
    up /= np.linalg.norm(up)
    axis, cosine = np.cross(up, [0, 0, 1]), up[2]
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + skew + skew @ skew * (1 - cosine) / (axis @ axis)
    centred = (poses[:, :3, 3] - poses[:, :3, 3].mean(0)) @ turn.T
    to_splat = np.eye(4)
    to_splat[:3, :3] = turn / np.abs(centred).max()
    to_splat[:3, 3] = -to_splat[:3, :3] @ poses[:, :3, 3].mean(0)

    change_poses(dataset / "transforms.json", similarity(3.0, 0.0, (5, -2, 1)))  # normalising forgets where they were
    opened = open_dataset(dataset)
    named = [c for c in conventions(opened.cameras, dataset / "scene.ply", dataset) if "normalised" in c.reason]
    origin = open_dataset(small_scene).cameras[0]
    expected = to_splat @ np.append(origin.position, 1)
    found = named[0].change.moved(opened.cameras[0])
    assert found.position == pytest.approx(expected[:3], abs=1e-9)
    assert np.linalg.det(found.viewmat[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("inside_out", [False, True], ids=["splat normalised", "cameras normalised"])
def test_the_record_of_nerfstudio_moves_the_cameras(dataset: Path, small_scene: Path, inside_out: bool) -> None:
    to_splat = similarity(0.23, 0.7, (0.3, -0.2, 0.1))
    change_poses(dataset / "transforms.json", np.linalg.inv(to_splat))
    record = np.linalg.inv(to_splat) if inside_out else to_splat
    scale = np.cbrt(np.linalg.det(record[:3, :3]))
    (dataset / "dataparser_transforms.json").write_text(
        json.dumps({"transform": (record[:3] / scale).tolist(), "scale": scale})
    )
    found, warnings = compared(dataset)
    assert worst_error(found, small_scene) < 1e-9
    assert "dataparser_transforms.json says how the splat lies" in warnings[0]


@pytest.mark.parametrize(
    "moved",
    [similarity(0.25, 0, (0, 0, 0)), similarity(1, 0, (1.5, 0.5, 0)), similarity(0.23, 0.7, (0.06, 0.07, 0.1))],
    ids=["scaled", "shifted", "all three"],
)
def test_what_no_convention_explains_is_refused(dataset: Path, moved: np.ndarray) -> None:
    change_poses(dataset / "transforms.json", moved)
    with pytest.raises(InputError, match=r"do not look like the splat from their cameras \(likeness") as refused:
        compared(dataset)
    assert "dataparser_transforms.json" in refused.value.hint


@pytest.mark.parametrize("text", ["", "[]", '{"transform": [[1]], "scale": 1}', '{"transform": 3, "scale": 0}'])
def test_a_damaged_record_is_no_record(dataset: Path, text: str) -> None:
    change_poses(dataset / "transforms.json", similarity(0.25, 0, (0, 0, 0)))
    (dataset / "dataparser_transforms.json").write_text(text)
    with pytest.raises(InputError, match="do not look like the splat"):
        compared(dataset)


def test_photos_that_show_nothing_prove_nothing(dataset: Path) -> None:
    change_poses(dataset / "transforms.json", similarity(0.25, 0, (0, 0, 0)))
    for path in (dataset / "images").iterdir():
        Image.new("RGB", (160, 120), (90, 90, 90)).save(path)
    assert compared(dataset)[1] == []


def test_exposure_does_not_matter(dataset: Path) -> None:
    for path in (dataset / "images").iterdir():
        Image.open(path).convert("RGB").point([v // 3 + 20 for v in range(256)] * 3).save(path)
    assert compared(dataset)[1] == []


def test_a_run_of_turned_cameras_has_the_labels_of_the_true_ones(dataset: Path, tmp_path: Path) -> None:
    """And `bgs eval` moves the cameras of the truth in the same way."""
    command = ["--device", "cpu", "--iterations", "60", "--level-bits", "5,6,6"]
    assert main(["train", str(dataset), "-o", str(tmp_path / "straight"), *command]) == 0
    for name in ("transforms.json", "gt/transforms_test.json"):
        change_poses(dataset / name, TURN)
    assert main(["train", str(dataset), "-o", str(tmp_path / "turned"), *command]) == 0
    straight, turned = open_run(tmp_path / "straight"), open_run(tmp_path / "turned")
    assert (straight.codes == turned.codes).mean() > 0.99
    scores = evaluate_run(tmp_path / "turned", dataset / "gt", Reporter())
    assert scores["level_1"]["best"] > 0.8  # the same small room with true cameras has 0.9


def test_a_refused_job_asks_for_no_masks_and_trusted_cameras_pass(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_poses(dataset / "transforms.json", similarity(0.25, 0, (0, 0, 0)))
    command = ["train", str(dataset), "-o", str(tmp_path / "run"), "--device", "cpu", "--iterations", "5"]
    assert main(command) == 3
    assert "different frames" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main(["masks", str(dataset), "--model", "import:nothing"]) == 3  # before the model is looked for
    assert "different frames" in capsys.readouterr().err
    assert main([*command, "--trust-cameras"]) == 0
