"""How well Fill closes what an object hid, on made rooms where the truth is known.

    python benchmarks/fill.py --seeds 1 --time 1000000 -o benchmarks/results/fill.txt --pictures FOLDER

A made room has surfaces below and behind its objects too. A capture has not. So for each object, the Gaussians that no
training view sees because of it are taken away. Then the object is removed, the hole is filled, and pictures from above
and from the sides are compared with the room that never had the object. Only pixels that show the hole count. A peer
closes each hole with a flat plate in the mean colour of its surroundings.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.cutouts.fill import Fill, fill, joined
from bgs_engine.io.gaussians import SH_C0, Gaussians, load_gaussians
from bgs_engine.io.pictures import save_png
from bgs_engine.io.ply import read_ply, write_ply
from bgs_engine.made_scenes.cameras import UP, ring_cameras
from bgs_engine.made_scenes.rooms import WALL_HEIGHT, Rooms
from bgs_engine.made_scenes.scene import BACKGROUND, KINDS
from bgs_engine.made_scenes.splat import make_splat, ply_rows
from bgs_engine.raster.color_frames import render_color, seen_weights
from bgs_engine.raster.cpu.frame import blend
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene

VIEWS, VIEW_SIZE = 40, (320, 240)  # of the made capture
UNSEEN = 1.0  # pixels in all views: a trainer puts nothing there
SHARE_HIDDEN = 0.5  # of a pixel's light has to come from what was hidden
FEWEST_HIDDEN = 10  # Gaussians: less is no hole
FEWEST_PIXELS = 40  # a view with fewer pixels of the hole does not count
SIZE = 160  # pixels of a judged picture
LIFTS = (25.0, 50.0, 80.0)  # degrees above the horizon from which the hole is looked at
WANTED = 25.0  # dB


@dataclass(frozen=True)
class Room:
    """A made room as a splat: labels int [N] of objects, 0 = floaters; cameras of the made capture;

    shell: the labels of floor and walls; unseen: bool [N], what no camera sees.
    """

    gaussians: Gaussians
    labels: np.ndarray
    rooms: Rooms
    cameras: list[Camera]
    shell: list[int]
    unseen: np.ndarray

    def carries(self, label: int, height: float) -> bool:
        """Whether an object whose lowest point is at a height may stand on a label, or lean against it."""
        lowest = float(np.quantile(self.gaussians.means[self.labels == label, 2], 0.02))
        return label in self.shell or lowest < height - 0.03


def make_room(kind: str, seed: int, count: int) -> Room:
    """Make a room and its capture's cameras."""
    rng = np.random.default_rng(seed)
    rooms = KINDS[kind](rng)
    splat = make_splat(rooms, count, rng)
    rows = ply_rows(splat, 9, rng)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.ply"
        write_ply(path, rows.dtype, iter([rows]), len(rows))
        gaussians = load_gaussians(read_ply(path))
    solid = splat.means[splat.labels[:, 0] > 0]
    cameras = ring_cameras([str(k) for k in range(VIEWS)], rooms, VIEW_SIZE, solid, 0.0, rng)
    shell = sorted({piece.labels[1] for piece in rooms.pieces if piece.shell})
    unseen = seen(gaussians, cameras) < UNSEEN
    return Room(gaussians, splat.labels[:, 1], rooms, cameras, shell, unseen)


def seen(gaussians: Gaussians, cameras: list[Camera]) -> np.ndarray:
    """Each Gaussian's contribution to all views, pixels, [N]."""
    scene = RasterScene.from_gaussians(gaussians)
    return sum((seen_weights(scene, camera) for camera in cameras), np.zeros(len(gaussians)))


def around(room: Room, place: np.ndarray, size: float) -> list[Camera]:
    """Cameras inside the room that look at a place [3]."""
    half = np.array(room.rooms.room) / 2 - 0.1
    out: list[Camera] = []
    for lift in np.radians(LIFTS):
        for turn in np.radians(np.arange(0, 360, 60) + 15):
            way = np.array([np.cos(turn) * np.cos(lift), np.sin(turn) * np.cos(lift), np.sin(lift)])
            far = max(1.2, 1.6 * size)
            eye = place + far * way
            if (np.abs(eye[:2]) < half).all() and 0.05 < eye[2] < 3 * WALL_HEIGHT:
                view = look_at(eye, place, UP)
                out.append(Camera(f"{len(out)}", SIZE, SIZE, SIZE, SIZE, SIZE / 2, SIZE / 2, view))
    return out


def light_of(gaussians: Gaussians, marked: np.ndarray, camera: Camera) -> np.ndarray:
    """The share of each pixel's light that marked Gaussians catch, [H, W]."""
    scene = RasterScene.from_gaussians(gaussians)
    view = ViewBuilder(scene).build(camera)
    marks = np.repeat(marked[scene.rows][view.order, None], 3, 1).astype(np.float32)
    return blend(view, scene.opacities, marks)[0][..., 0]


def plate(filled: Fill) -> Fill:
    """The peer: the same places, all in the mean colour of what is around."""
    sh = np.zeros_like(filled.gaussians.sh)
    for surface in np.unique(filled.surface_of):
        of = filled.surface_of == surface
        sh[of, 0] = (filled.gaussians.base_colors[of].mean(0) - 0.5) / SH_C0
    return replace(filled, gaussians=replace(filled.gaussians, sh=sh))


@dataclass(frozen=True)
class Result:
    """Of one object: PSNR in dB unfilled, with plates, and filled; how many Gaussians were hidden; seconds."""

    name: str
    unfilled: float
    plates: float
    filled: float
    hidden: int
    made: int
    seconds: float


@dataclass(frozen=True)
class Case:
    """One object of a room: `thing` bool [N], its Gaussians; `hidden` bool [N], what it hid of its supports."""

    name: str
    room: Room
    thing: np.ndarray
    hidden: np.ndarray
    size: float

    def views(self) -> list[Camera]:
        """Cameras that look at what was hidden."""
        return around(self.room, self.room.gaussians.means[self.hidden].mean(0), self.size)


def case_of(room: Room, number: int, name: str) -> Case | None:
    """An object of a room as a case; None where it hid hardly anything."""
    means = room.gaussians.means
    thing = room.labels == number
    low, high = np.quantile(means[thing], (0.02, 0.98), axis=0)
    size = float((high - low).max())
    near = ((means > low - 0.4 * size) & (means < high + 0.4 * size)).all(1)
    near &= np.isin(room.labels, [label for label in range(1, room.labels.max() + 1) if room.carries(label, low[2])])
    without = room.gaussians.take(np.flatnonzero(~thing))
    views = around(room, (low + high) / 2 * (1, 1, 0) + (0, 0, low[2]), size)
    shown = np.zeros(len(thing))
    shown[~thing] = seen(without, room.cameras[::4]) + seen(without, views)
    hidden = room.unseen & near & ~thing & (shown > 2 * UNSEEN)
    return Case(name, room, thing, hidden, size) if hidden.sum() >= FEWEST_HIDDEN else None


def judge(case: Case, pictures: Path | None) -> Result | None:
    """Remove the object and fill; None where no view shows the hole well."""
    room, thing, hidden = case.room, case.thing, case.hidden
    captured = np.flatnonzero(~room.unseen)
    started = time.perf_counter()
    filled = fill(room.gaussians.take(captured), thing[captured])
    seconds = time.perf_counter() - started
    kept = np.flatnonzero(~thing & (hidden | ~room.unseen))
    without = room.gaussians.take(kept)
    left = room.gaussians.take(np.flatnonzero(~thing & ~room.unseen))
    cases = (left, joined([left, plate(filled).gaussians]), joined([left, filled.gaussians]))
    scenes = [RasterScene.from_gaussians(case) for case in (without, *cases)]
    errors, count = np.zeros(3), 0
    for camera in case.views():
        shows = light_of(without, hidden[kept], camera) > SHARE_HIDDEN
        if shows.sum() < FEWEST_PIXELS:
            continue
        truth, *made = [render_color(scene, camera, BACKGROUND) for scene in scenes]
        errors += [float(((picture - truth)[shows] ** 2).mean(1).sum()) for picture in made]
        count += int(shows.sum())
        if pictures and int(camera.name) % 4 == 0:
            marked = np.where(shows[..., None], truth, truth * 0.4)
            before = render_color(RasterScene.from_gaussians(room.gaussians), camera, BACKGROUND)
            row = np.concatenate([before, truth, marked, made[0], made[2]], 1)
            save_png(pictures / f"{case.name}_{camera.name}.png", row)
    if not count:
        return None
    unfilled, plates, best = (-10 * np.log10(np.maximum(errors / count, 1e-9))).tolist()
    return Result(case.name, unfilled, plates, best, int(hidden.sum()), len(filled), seconds)


def results(kinds: list[str], seeds: int, count: int, pictures: Path | None) -> Iterator[Result]:
    """All objects of all rooms."""
    for kind in kinds:
        for seed in range(1, seeds + 1):
            room = make_room(kind, seed, count)
            for number in np.unique(room.labels[room.labels > 0]).tolist():
                if number not in room.shell:
                    case = case_of(room, number, f"{kind}-{seed}-{number:02d}")
                    result = judge(case, pictures) if case else None
                    if result:
                        yield result


def timed(count: int) -> str:
    """How long the objects of one large room take, without judging them."""
    rng = np.random.default_rng(1)
    rooms = KINDS["room"](rng)
    splat = make_splat(rooms, count, rng)
    sh = ((splat.colors - 0.5) / SH_C0).astype(np.float32)[:, None]
    columns = (splat.means, splat.quats, splat.scales, splat.opacities)
    means, quats, scales, opacities = (column.astype(np.float32) for column in columns)
    gaussians = Gaussians(means, quats, scales, opacities, sh, np.ones(count, bool))
    labels, seconds = splat.labels[:, 1], []
    shell = {piece.labels[1] for piece in rooms.pieces if piece.shell}
    for number in sorted(set(np.unique(labels).tolist()) - shell - {0}):
        started = time.perf_counter()
        fill(gaussians, labels == number)
        seconds.append(time.perf_counter() - started)
    return f"{count:,} Gaussians: {np.mean(seconds):.2f} s an object on average, {max(seconds):.2f} s at most"


def main() -> None:
    """Judge and print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--kinds", nargs="+", default=["room", "crowded"])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--gaussians", type=int, default=60_000)
    options.add_argument("--time", type=int, default=0, help="Gaussians of a room in which all objects are timed")
    options.add_argument("--pictures", type=Path)
    options.add_argument("-o", "--output", type=Path)
    chosen = options.parse_args()
    if chosen.pictures:
        chosen.pictures.mkdir(parents=True, exist_ok=True)
    lines = [f"{chosen.gaussians:,} Gaussians a room; PSNR in dB in the hole, over all views that show it"]
    lines.append(
        f"{'object':>16} {'hidden':>7} {'copies':>7} {'unfilled':>9} {'plate':>7} {'filled':>7} {'seconds':>8}"
    )
    found = []
    for r in results(chosen.kinds, chosen.seeds, chosen.gaussians, chosen.pictures):
        found.append(r)
        lines.append(
            f"{r.name:>16} {r.hidden:7d} {r.made:7d} {r.unfilled:9.1f} {r.plates:7.1f} {r.filled:7.1f} {r.seconds:8.2f}"
        )
        print(lines[-1], flush=True)
    table = np.array([(r.unfilled, r.plates, r.filled, r.seconds) for r in found])
    lines.append(f"{'mean':>16} {'':7} {'':7} {table[:, 0].mean():9.1f} {table[:, 1].mean():7.1f} "
                 f"{table[:, 2].mean():7.1f} {table[:, 3].mean():8.2f}")  # fmt: skip
    lines.append(f"{len(found)} objects hid something; {int((table[:, 2] >= WANTED).sum())} reach {WANTED:g} dB")
    if chosen.time:
        lines.append(timed(chosen.time))
    text = "\n".join(lines) + "\n"
    if chosen.output:
        chosen.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
