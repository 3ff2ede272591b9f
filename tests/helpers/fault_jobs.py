"""The commands that write, each on the smallest inputs that take every path, for `faults`."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from unittest import mock

import numpy as np
import torch

from bgs_engine.cli.main import main
from bgs_engine.clicks.embedding_files import EmbeddingFiles
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import OutputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.label_table import read_labels, write_labels
from bgs_engine.core.mask_models import BetterModel, ModelFile
from bgs_engine.formats.format import Format
from bgs_engine.formats.gltf_animation import Actor, write_animation
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.read import missing_packages
from bgs_engine.formats.table import FORMATS
from bgs_engine.io.images import read_label_png
from bgs_engine.io.output_place import RUN
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import deliver, open_run, partial_folder, write_run
from bgs_engine.made_scenes import SceneConfig, make_scene
from bgs_engine.masks.models import fetching
from bgs_engine.pipeline.runs import train_run
from bgs_engine.train.config import TrainConfig
from tests.helpers.faults import Job, library
from tests.helpers.made_figures import figure, splat
from tests.helpers.toy_mask_model import write_models

TINY = SceneConfig(gaussians=2000, views=3, test_views=1, size=(48, 36))
SHORT = ["--iterations", "2", "--device", "cpu"]
VIEWS = ["--count", "2", "--size", "48x36"]


def make_material(folder: Path) -> Path:
    """Inputs of all jobs, made once: scene, run, masks (SAGA's files), shot.json, models, figure.ply."""
    make_scene(folder / "scene", TINY, Reporter())
    train_run(folder / "scene", folder / "run", BitLayout(), TrainConfig(iterations=2, device="cpu"), Reporter())
    (folder / "saga").mkdir()
    for path in sorted((folder / "scene" / "masks" / "level_2").iterdir()):
        labels = read_label_png(path)
        stack = np.stack([labels == number for number in np.unique(labels[labels > 0])])
        torch.save(torch.from_numpy(stack), folder / "saga" / f"{path.stem}.pt")
    pose = json.loads((folder / "scene" / "transforms.json").read_text())
    (folder / "one_view.json").write_text(json.dumps({**pose, "frames": pose["frames"][:1]}))
    camera = {
        "fx": 30.0,
        "fy": 30.0,
        "cx": 24.0,
        "cy": 18.0,
        "orthographic": False,
        "viewmat": np.eye(4).ravel().tolist(),
    }
    frames = [{"name": f"000{k}", "camera": camera, "transforms": [np.eye(4).ravel().tolist()]} for k in (1, 2)]
    label = open_run(folder / "run").labels().levels[0][0].label
    listed = [{"label": label, "name": "One", "color": [1, 0, 0]}]
    shot = {"format": 1, "size": [48, 36], "parts": ["run/scene.ply"], "level_bits": "12,10,10", "level": 1,
            "labels": listed, "depth_far": 10.0, "frames": frames}  # fmt: skip
    (folder / "shot.json").write_text(json.dumps(shot))
    (folder / "models").mkdir()
    write_models(folder / "models")
    splat(folder / "figure.ply", figure(), 0.02)
    return folder


def jobs(material: Path) -> dict[str, Job]:
    """All jobs by name; those at the end take seconds each time."""
    all_jobs = [
        *_single_files(material),
        *_formats(material),
        _fetch(),
        _views(material),
        _masks(material),
        _scene(),
        _run(material),
        _publish(material),
        _names(material),
        _automatic_names(material),
        _embeddings(material),
        _train(material),
        _segment(material),
    ]
    return {job.name: job for job in all_jobs}


def _command(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def _needs(material: Path, *names: str) -> Callable[[Path], None]:
    def copy(folder: Path) -> None:
        for name in names:
            source = material / name
            if source.is_dir():
                shutil.copytree(source, folder / name)
            else:
                shutil.copy(source, folder / name)

    return copy


def _single_files(material: Path) -> list[Job]:
    """Export, render and frames: each file is replaced by itself."""
    run, shot = material / "run", material / "shot.json"
    one_view = material / "one_view.json"

    def job(name: str, earlier: Callable[[Path], int], later: Callable[[Path], int]) -> Job:
        def prepare(folder: Path) -> None:
            assert earlier(folder / "out") == 0

        return Job(name, prepare, lambda folder: later(folder / "out"), ("out",), whole=False)

    return [
        job("export", lambda out: _command("export", run, "-o", out, "--level", 1, "--plain"),
            lambda out: _command("export", run, "-o", out, "--level", 1)),
        job("export proxies", lambda out: _command("export", run, "-o", out, "--level", 1),
            lambda out: _command("export", run, "-o", out, "--level", 1, "--proxies")),
        job("export fill", lambda out: _command("export", run, "-o", out, "--level", 1),
            lambda out: _command("export", run, "-o", out, "--level", 1, "--label", _a_label(run), "--fill")),
        job("export clean", lambda out: _command("export", run, "-o", out, "--level", 1),
            lambda out: _command("export", run, "-o", out, "--level", 1, "--clean", 0.5)),
        job("convert", lambda out: _command("convert", material / "figure.ply", out / "a.ply"),
            lambda out: _command("convert", run, out / "a.ply")),
        job("render", lambda out: _command("render", run, "-o", out, "--level", 2, "--views", one_view),
            lambda out: _command("render", run, "-o", out, "--level", 1, "--views", one_view)),
        job("graph", lambda out: _command("graph", run, "-o", out, "--level", 2),
            lambda out: _command("graph", run, "-o", out, "--level", 1)),
        job("frames", lambda out: _command("frames", shot, "-o", out, "--passes", "color"),
            lambda out: _command("frames", shot, "-o", out, "--passes", "color,label,mask,depth")),
        job("frames exr", lambda out: _command("frames", shot, "-o", out, "--exr"),
            lambda out: _command("frames", shot, "-o", out, "--passes", "color,depth", "--exr")),
    ]  # fmt: skip


def _formats(material: Path) -> list[Job]:
    """Each format that is written here: a file is replaced by itself."""

    def job(one: Format) -> Job:
        def write(folder: Path, count: int) -> int:
            def call() -> None:
                assert one.write is not None
                splat = RawSplat.of_ply(read_ply(material / "figure.ply"))
                one.write(folder / "out" / f"a{one.suffixes[0]}", splat.take(np.arange(count)))

            return library(call)

        def prepare(folder: Path) -> None:
            assert write(folder, 9) == 0

        return Job(f"format {one.name}", prepare, lambda folder: write(folder, 20), ("out",), whole=False)

    def animate(folder: Path, frames: int) -> int:
        moves = np.tile(np.eye(4), (frames, 1, 1))
        moves[:, 0, 3] = np.arange(frames)

        def call() -> None:
            splat = RawSplat.of_ply(read_ply(material / "figure.ply"))
            write_animation(folder / "out" / "a.glb", [Actor("a", splat, np.zeros(3), moves)], np.arange(frames))

        return library(call)

    def prepare(folder: Path) -> None:
        assert animate(folder, 2) == 0

    animated = Job("animated GLB", prepare, lambda folder: animate(folder, 5), ("out",), whole=False)
    return [animated, *(job(one) for one in FORMATS if one.write is not None and not missing_packages(one))]


def _a_label(run: Path) -> int:
    opened = open_run(run)
    return int(opened.layout.labels(opened.codes, 1)[0])


def _fetch() -> Job:
    """A mask model over an earlier one: each file is replaced by itself, when all of it is there."""
    content = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 2000}
    files = tuple(ModelFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in content.items())
    model = BetterModel("made", "Made", 1, "MIT", "someone/made", "0" * 40, files)

    def open_at(_: BetterModel, file: ModelFile, skip: int) -> tuple[BinaryIO, int]:
        return io.BytesIO(content[file.name][skip:]), skip

    def prepare(folder: Path) -> None:
        (folder / "out").mkdir()
        for name in content:
            (folder / "out" / name).write_bytes(b"earlier")

    def run(folder: Path) -> int:
        with mock.patch.object(fetching, "folder_of", lambda _: folder / "out"):
            return library(lambda: fetching.fetch(model, open_at, Reporter()))

    return Job("fetch", prepare, run, ("out",), whole=False)


def _views(material: Path) -> Job:
    def prepare(folder: Path) -> None:
        _needs(material, "figure.ply")(folder)
        assert _command("views", folder / "figure.ply", "-o", folder / "data", *VIEWS[2:], "--count", 3) == 0

    return Job("views", prepare, lambda f: _command("views", f / "figure.ply", "-o", f / "data", *VIEWS), ("data",))


def _masks(material: Path) -> Job:
    def run(folder: Path, levels: int) -> int:
        return _command("masks", folder / "scene", "--model", f"import:{folder / 'saga'}", "--levels", levels)

    def prepare(folder: Path) -> None:
        _needs(material, "scene", "saga")(folder)
        shutil.rmtree(folder / "scene" / "masks")
        assert run(folder, 3) == 0
        shutil.rmtree(folder / "scene" / ".bgs-cache")

    return Job("masks", prepare, lambda folder: run(folder, 2), ("scene/masks",))


def _scene() -> Job:
    def make(folder: Path, seed: int) -> int:
        return library(lambda: make_scene(folder / "room", replace(TINY, views=1, seed=seed), Reporter()))

    def prepare(folder: Path) -> None:
        assert make(folder, 1) == 0

    return Job("made scene", prepare, lambda folder: make(folder, 2), ("room",))


def _run(material: Path) -> Job:
    """The writing of a run without the training before it."""

    def write(folder: Path, shift: int) -> int:
        def call() -> None:
            run = open_run(material / "run")
            partial = partial_folder(folder / "run")
            write_run(partial, run.ply, run.codes + shift, run.opacities, run.labels(), {}, run.opacities)
            deliver(folder / "run", RUN)

        return library(call)

    def prepare(folder: Path) -> None:
        assert write(folder, 0) == 0

    return Job("write run", prepare, lambda folder: write(folder, 1), ("run",))


def _publish(material: Path) -> Job:
    def publish(folder: Path, title: str) -> int:
        return _command("publish", material / "run", "-o", folder / "page", "--title", title)

    def prepare(folder: Path) -> None:
        assert publish(folder, "Earlier") == 0

    return Job("publish", prepare, lambda folder: publish(folder, "Later"), ("page",))


def _names(material: Path) -> Job:
    def save(folder: Path) -> int:
        def call() -> None:
            table = read_labels(folder / "run" / "labels.json")
            table.levels[0][0].name = "Sofa"
            write_labels(folder / "run" / "labels.json", table)

        return library(call)

    return Job("names", _needs(material, "run"), save, ("run",))


def _automatic_names(material: Path) -> Job:
    def prepare(folder: Path) -> None:
        _needs(material, "run")(folder)
        table = read_labels(folder / "run" / "labels.json")
        for row in table.levels[0]:
            row.name = row.automatic = f"L1_{row.label}"
        write_labels(folder / "run" / "labels.json", table)

    return Job("automatic names", prepare, lambda folder: _command("names", folder / "run"), ("run",))


def _embeddings(material: Path) -> Job:
    """What a session keeps of a view. A session goes on if it cannot; here the failure is the result."""

    def keep(folder: Path, number: int) -> int:
        def call() -> None:
            files = EmbeddingFiles(folder / "run", lambda: True, 2500)  # of three, the oldest has to go
            values = np.full(500, number, np.float16)
            if not files.keep(f"{number:032x}", {"feature": values}, []):
                raise files.problem or OutputError("It was not kept.")

        return library(call)

    def prepare(folder: Path) -> None:
        _needs(material, "run")(folder)
        assert keep(folder, 1) == keep(folder, 2) == 0

    return Job("embeddings", prepare, lambda folder: keep(folder, 3), ("run",), whole=False)


def _train(material: Path) -> Job:
    def train(folder: Path, seed: int, *more: str) -> int:
        checkpoints = ("--checkpoint-seconds", "0")
        return _command("train", folder / "scene", "-o", folder / "run", *SHORT, *checkpoints, "--seed", seed, *more)

    def prepare(folder: Path) -> None:
        _needs(material, "scene")(folder)
        assert train(folder, 1) == 0

    return Job("train", prepare, lambda f: train(f, 2), ("run",), resume=lambda f: train(f, 2, "--resume"))


def _segment(material: Path) -> Job:
    models = ",".join(str(material / "models" / f"{name}.onnx") for name in ("encoder", "decoder"))

    def segment(folder: Path, seed: int, *more: str) -> int:
        masks = ("--masks-model", f"onnx:{models}", "--points-per-side", "8")
        where = (folder / "figure.ply", "-o", folder / "run", "--views", 2, "--seed", seed)
        return _command("segment", *where, *masks, *SHORT, *more)

    def prepare(folder: Path) -> None:
        _needs(material, "figure.ply")(folder)
        assert segment(folder, 1) == 0

    return Job("segment", prepare, lambda f: segment(f, 2), ("run",), resume=lambda f: segment(f, 2, "--resume"))
