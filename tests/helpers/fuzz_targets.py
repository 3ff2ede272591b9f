"""The readers that the fuzz test feeds, each with small valid files."""

import csv
import gzip
import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bgs_engine.clicks.embedding_files import EmbeddingFiles
from bgs_engine.clicks.prompt import Answer, Prompt, Suggestion
from bgs_engine.clicks.wire import answer_from, answer_message, ask_message, prompt_from
from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.label_table import Label, LabelTable, read_labels, write_labels
from bgs_engine.formats import gltf
from bgs_engine.formats.labels_file import read_labels_file, write_labels_file
from bgs_engine.formats.raw_splat import RawSplat, SplatLabels
from bgs_engine.formats.read import missing_packages, open_splat
from bgs_engine.formats.spz import decode_spz, write_spz
from bgs_engine.formats.table import FORMATS
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.images import read_image, read_label_png
from bgs_engine.io.masks import load_level_maps
from bgs_engine.io.ply import read_ply
from bgs_engine.io.ply_completed import without
from bgs_engine.io.run_folder import codes_in, open_run, positions_sha256
from bgs_engine.io.transforms import read_views
from bgs_engine.masks.bits import MaskStack
from bgs_engine.masks.cache import CandidateCache
from bgs_engine.masks.imported import ImportedMasks
from bgs_engine.output.evaluate import true_labels
from bgs_engine.output.render import up_of
from bgs_engine.output.shot import read_shot
from bgs_engine.train.start import read_codes
from bgs_engine.train.trainer import Checkpoint, load_checkpoint, save_checkpoint
from blender_bgs.engine import progress
from blender_bgs.logic import attributes
from blender_bgs.logic.attribute_rows import rows_from
from tests.helpers.made_datasets import HEIGHT, WIDTH, colmap_binary, colmap_text, transforms
from tests.helpers.made_files import ply_bytes, splat_dtype, splat_rows
from tests.helpers.made_gltf import glb_bytes, gltf_bytes, packed, parts_of
from tests.helpers.made_ksplat import ksplat_bytes
from tests.helpers.made_raw_splat import labelled, raw_splat

ROWS = 6
BASE = ("f_dc_0", "f_dc_1", "f_dc_2")
CAMERA = Camera("a", WIDTH, HEIGHT, 9.0, 9.0, 4.0, 3.0, np.eye(4))
Files = dict[str, bytes]


@dataclass(frozen=True)
class Target:
    """A reader: the files that it needs, which of them are damaged, and how it is called on their folder.

    weight: how many of the inputs it gets, beside the others.
    """

    name: str
    files: Files
    damage: tuple[str, ...]
    read: Callable[[Path], object]
    weight: int = 1


class _State:
    """As much of training as a checkpoint needs."""

    def __init__(self) -> None:
        self.arrays = {"features": np.zeros((ROWS, 4), np.float32), "logits": np.zeros(ROWS, np.float32)}

    def state(self) -> dict[str, np.ndarray]:
        return self.arrays

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        for name, values in self.arrays.items():
            values[...] = state[name]


def targets() -> list[Target]:
    """All readers."""
    return [
        *_splats(),
        *_formats(),
        *_ksplats(),
        *_scenes(),
        *_labels_files(),
        *_cameras(),
        *_pictures(),
        *_masks(),
        *_runs(),
        *_others(),
    ]


def _splats() -> Iterator[Target]:
    rows = splat_rows(ROWS, splat_dtype(9, [("seg_0", "u1"), ("seg_1", "u1"), ("seg_2", "u1"), ("seg_3", "u1")]))
    binary = ply_bytes(rows, ["comment made"])
    names = splat_dtype(0).names or ()
    head = "ply\nformat {} 1.0\nelement vertex 3\n" + "".join(f"property float {name}\n" for name in names)
    text = (head.format("ascii") + "end_header\n" + (" ".join("0.5" for _ in names) + "\n") * 3).encode()
    big = (head.format("binary_big_endian") + "end_header\n").encode() + np.ones(3 * len(names), ">f4").tobytes()
    listed = (head.format("binary_little_endian") + "property list uchar int more\nend_header\n").encode()
    row = np.ones(len(names), "<f4").tobytes() + b"\1" + np.ones(1, "<i4").tobytes()
    far = splat_rows(ROWS, np.dtype([(n, "<f8" if n in "xyz" else "<f4") for n in names]))
    far["x"] += 543210
    lacking = without(splat_dtype(0, [(name, "u1") for name in ("red", "green", "blue")]), ("scale_2", *BASE))
    kinds = {"binary": binary, "text": text, "big endian": big, "list": listed + row * 3, "far": ply_bytes(far),
             "discs of plain colours": ply_bytes(splat_rows(ROWS, lacking))}  # fmt: skip
    for kind, data in kinds.items():
        weight = 8 if kind in ("binary", "far") else 4
        yield Target(f"splat, {kind}", {"a.ply": data}, ("a.ply",), _read_splat, weight)
        yield Target(f"splat in Blender, {kind}", {"a.ply": data}, ("a.ply",), _read_in_blender, max(1, weight // 2))


def _formats() -> Iterator[Target]:
    """Each format that is read and written here, in a file that our own writer made."""
    rows = splat_rows(ROWS, splat_dtype(9))
    for one in FORMATS:
        if one.read is None or one.write is None or missing_packages(one):
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "a.ply").write_bytes(ply_bytes(rows))
            splat = RawSplat.of_ply(read_ply(folder / "a.ply"))
            (folder / "a.ply").unlink()
            file = f"a{one.suffixes[0]}"
            one.write(folder / file, splat)
            files = _files_of(folder)
        weight = 1 if "pxr" in one.needs else 4  # a process for each input
        yield Target(f"format, {one.name}", files, tuple(files), _opens(file), weight)

        if one.name == "SOG":  # side by side, where no checksum of a zip finds the damage
            with zipfile.ZipFile(io.BytesIO(files[file])) as bundle:
                loose = {name: bundle.read(name) for name in bundle.namelist()}
            yield Target("format, SOG folder", loose, tuple(loose), _opens("meta.json"), 4)
    plain = struct.pack("<4sIIBBBB", b"NGSP", 3, ROWS, 1, 12, 0, 0) + bytes(range(ROWS * 29))
    yield Target("spz, unpacked", {"a.spz": plain}, ("a.spz",), _read_unpacked_spz, 4)


def _read_unpacked_spz(folder: Path) -> None:
    """Damage inside the gzip stream, where its checksum does not find it."""
    decode_spz(gzip.compress((folder / "a.spz").read_bytes(), 1), "a.spz")


def _ksplats() -> Iterator[Target]:
    """Files of GaussianSplats3D, which are read only."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.ply"
        path.write_bytes(ply_bytes(splat_rows(ROWS, splat_dtype(24))))
        splat = RawSplat.of_ply(read_ply(path))
    for level in range(3):
        data, _ = ksplat_bytes(splat, level, [(ROWS - 2, 2), (2, 1)], bucket=2, side=9.0)
        yield Target(f"format, ksplat of level {level}", {"a.ksplat": data}, ("a.ksplat",), _opens("a.ksplat"), 3)


def _opens(file: str) -> Callable[[Path], object]:
    return lambda folder: open_splat(folder / file)


def _scenes() -> Iterator[Target]:
    """Splats with labels in formats that hold a scene."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gltf.write(folder / "a.glb", labelled(raw_splat(ROWS)))
        (folder / "a.gltf").write_bytes(gltf_bytes(*parts_of(folder / "a.glb")))
        write_spz(folder / "a.spz", raw_splat(ROWS))
        extension = "KHR_gaussian_splatting_compression_spz_2"
        (folder / "b.glb").write_bytes(glb_bytes(*packed((folder / "a.spz").read_bytes(), extension)))
        files = _files_of(folder)
    yield Target("GLB with labels", {"a.glb": files["a.glb"]}, ("a.glb",), lambda f: gltf.read(f / "a.glb"), 4)
    yield Target("GLB with SPZ", {"b.glb": files["b.glb"]}, ("b.glb",), lambda f: gltf.read(f / "b.glb"), 4)
    yield Target("glTF with labels", {"a.gltf": files["a.gltf"]}, ("a.gltf",), lambda f: gltf.read(f / "a.gltf"), 4)


def _labels_files() -> Iterator[Target]:
    zero = (0.0, 0.0, 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.ply").write_bytes(ply_bytes(splat_rows(ROWS, splat_dtype(0))))
        table = LabelTable(BitLayout((2,)), [[Label(k, 0, 3, zero, zero, zero, zero, f"L1_{k}") for k in range(2)]])
        codes = np.arange(ROWS, dtype=np.int32) % 2
        write_labels_file(folder / "a.ply", SplatLabels(codes, BitLayout((2,)), table))
        files = _files_of(folder)
    yield Target("labels file", files, ("a.ply.labels",), lambda f: read_labels_file(f / "a.ply", ROWS), 4)
    yield Target("splat with a labels file", files, tuple(files), lambda f: open_splat(f / "a.ply").labels)


def _read_splat(folder: Path) -> None:
    ply = read_ply(folder / "a.ply")
    load_gaussians(ply)
    codes_in(ply)
    positions_sha256(ply)


def _read_in_blender(folder: Path) -> None:
    ply = read_ply(folder / "a.ply")
    columns = {column.name: column.values for column in attributes.columns_of(ply)}
    layout = attributes.PlyLayout.parse(attributes.PlyLayout.of(ply).to_text())
    rows_from(columns.get, layout, ply.count)


def _cameras() -> Iterator[Target]:
    images = {f"images/{name}": _png(Image.new("L", (WIDTH, HEIGHT))) for name in ("a.png", "b.png")}
    binary = {f"sparse/0/{name}": data for name, data in colmap_binary().items()}
    text = {f"sparse/0/{name}": data for name, data in colmap_text().items()}
    made = json.dumps({**transforms(), "bgs_up": [0, 0, 1], "k1": 0, "ply_file_path": "a.ply"}).encode()
    read = open_dataset
    yield Target("COLMAP binary", {**images, **binary}, tuple(binary), read, 3)
    yield Target("COLMAP text", {**images, **text}, tuple(text), read, 3)
    yield Target("transforms.json", {**images, "transforms.json": made}, ("transforms.json",), read, 3)
    yield Target("transforms_train.json", {**images, "transforms_train.json": made}, ("transforms_train.json",), read)
    yield Target("views to render", {"a.json": made}, ("a.json",), lambda folder: read_views(folder / "a.json"))


def _pictures() -> Iterator[Target]:
    noise = np.random.default_rng(0).integers(0, 9, (HEIGHT, WIDTH))
    grey, colors = noise.astype(np.uint8), np.repeat(noise[..., None], 4, 2).astype(np.uint8)
    maps = {"16 bits": noise.astype(np.uint16), "8 bits": grey}
    for kind, pixels in maps.items():
        data = {"a.png": _png(Image.fromarray(pixels))}
        yield Target(f"label map, {kind}", data, ("a.png",), lambda f: read_label_png(f / "a.png", (WIDTH, HEIGHT)), 3)
    pictures = {"PNG": colors, "JPEG": colors[..., :3], "WEBP": colors, "TIFF": colors, "BMP": colors[..., :3]}
    for form, pixels in pictures.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, form)
        yield Target(f"picture, {form}", {"a": buffer.getvalue()}, ("a",), lambda folder: read_image(folder / "a"), 3)
    dataset = {
        **{f"images/{n}": _png(Image.new("L", (WIDTH, HEIGHT))) for n in ("a.png", "b.png")},
        "transforms.json": json.dumps(transforms()).encode(),
        "masks/level_1/a.png": _png(Image.fromarray(grey)),
        "masks/level_2/a.png": _png(Image.fromarray((noise * 3).astype(np.uint16))),
    }
    yield Target("level maps", dataset, ("masks/level_1/a.png", "masks/level_2/a.png"), _read_levels)


def _read_levels(folder: Path) -> None:
    dataset = open_dataset(folder)
    load_level_maps(dataset, dataset.cameras[0])


def _masks() -> Iterator[Target]:
    one = np.zeros((HEIGHT, WIDTH), bool)
    one[1:4, 2:5] = True
    ids = np.full((4, HEIGHT, WIDTH), -1.0, np.float32)
    ids[:, one] = 3
    rle = {"size": [HEIGHT, WIDTH], "counts": [13, 3, 3, 3, 3, 3, HEIGHT * WIDTH - 28]}
    entry = {"segmentation": rle, "predicted_iou": 0.9, "stability_score": 0.8}
    packed = {**entry, "segmentation": {"size": [HEIGHT, WIDTH], "counts": "=3300j0"}}
    table = io.StringIO()
    csv.writer(table).writerows([["id", "predicted_iou"], ["0", "0.5"]])
    for name, files in {
        "SAGA": {"a.pt": _torch(one)},
        "Gaussian Grouping": {"a.png": _png(Image.fromarray(one.astype(np.uint8)))},
        "LangSplat": {"a_s.npy": _npy(ids)},
        "COCO": {"a.json": json.dumps([entry, packed]).encode()},
        "pictures": {"a/0.png": _png(Image.fromarray(one)), "a/metadata.csv": table.getvalue().encode()},
    }.items():
        yield Target(f"masks, {name}", files, tuple(files), _read_masks, 2)
    cache = {}
    with tempfile.TemporaryDirectory() as folder:
        CandidateCache(Path(folder)).store("a", MaskStack.pack(HEIGHT, WIDTH, [one], np.ones(1, np.float32)))
        cache = _files_of(Path(folder))
    kept = {}
    with tempfile.TemporaryDirectory() as folder:
        values = {"feature_a": np.ones((1, 2, 3), np.float16), "used": np.ones(2, np.int64)}
        EmbeddingFiles(Path(folder), lambda: True).keep("a" * 32, values, [])
        kept = {f"embeddings/{name}": data for name, data in _files_of(Path(folder) / "embeddings").items()}
    yield Target("embeddings", kept, tuple(kept), _read_embeddings, 2)
    yield Target("mask cache", cache, tuple(cache), _read_cache, 2)


def _read_masks(folder: Path) -> None:
    source = ImportedMasks(folder)
    source.key("a")
    source.propose(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "a", lambda: None)


def _read_embeddings(folder: Path) -> None:
    EmbeddingFiles(folder, lambda: True).load("a" * 32)


def _read_cache(folder: Path) -> None:
    CandidateCache(folder).load("a", CAMERA)


def _runs() -> Iterator[Target]:
    zero = (0.0, 0.0, 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = ply_bytes(splat_rows(ROWS, splat_dtype(0, [(f"seg_{k}", "u1") for k in range(4)])))
        (folder / "scene.ply").write_bytes(data)
        np.save(folder / "codes.npy", np.arange(ROWS, dtype=np.int32))
        np.save(folder / "opacity.npy", np.ones(ROWS, np.float32))
        labels = [[Label(k, 0, 3, zero, zero, zero, zero, f"L1_{k}") for k in range(2)]]
        write_labels(folder / "labels.json", LabelTable(BitLayout((2,)), labels))
        facts: dict[str, Any] = {"format": 1, "level_bits": [2], "dataset": "dataset", "files": ["run.json"], "id": "x"}
        facts["scene"] = {"gaussians": ROWS, "positions_sha256": positions_sha256(read_ply(folder / "scene.ply"))}
        (folder / "run.json").write_text(json.dumps(facts))
        files = _files_of(folder)
    for name in files:
        yield Target(f"run, {name}", files, (name,), _read_run, 2)


def _read_run(folder: Path) -> None:
    run = open_run(folder)
    up_of(run)
    table = run.labels()
    for level in range(1, table.layout.levels + 1):
        assert all(isinstance(label.name, str) for label in table.of(level))
    read_labels(folder / "labels.json")


def _others() -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_checkpoint(_State(), 3, Checkpoint(folder / "checkpoint.npz", 1.0, "f"))  # type: ignore[arg-type]
        np.savez_compressed(folder / "labels.npz", labels=np.ones((ROWS, 2), np.int32))
        np.save(folder / "codes.npy", np.arange(ROWS, dtype=np.int32))
        files = _files_of(folder)
    camera = {"fx": 9, "fy": 9, "cx": 4, "cy": 3, "orthographic": False, "viewmat": np.eye(4).ravel().tolist()}
    shot = {
        "format": 1, "size": [8, 6], "pixel_aspect": 1.0, "level_bits": "2", "level": 1, "parts": ["a.ply"],
        "labels": [{"label": 1, "name": "x", "color": [0.1, 0.2, 0.3]}], "depth_far": 30.0,
        "frames": [{"name": "0001", "camera": camera, "transforms": [np.eye(4).ravel().tolist()]}],
    }  # fmt: skip
    events = "\n".join(
        json.dumps(event)
        for event in (
            {"event": "hello", "protocol": 1, "version": "0.1", "command": "segment"},
            {"event": "stage", "name": "Training"},
            {"event": "progress", "done": 1, "total": 3, "eta": 2.5},
            {"event": "metric", "name": "loss", "value": 0.5},
            {"event": "artifact", "kind": "run", "path": "x"},
            {"event": "error", "code": 3, "message": "x", "hint": "y"},
            {"event": "done", "seconds": 1},
        )
    )
    checkpoint = {"checkpoint.npz": files["checkpoint.npz"]}
    yield Target("checkpoint", checkpoint, tuple(checkpoint), _read_checkpoint, 2)
    yield Target("true labels", {"labels.npz": files["labels.npz"]}, ("labels.npz",), lambda f: true_labels(f, ROWS), 3)
    yield Target(
        "first codes", {"codes.npy": files["codes.npy"]}, ("codes.npy",), lambda f: read_codes(f / "codes.npy", ROWS), 3
    )
    yield Target("shot", {"a.json": json.dumps(shot).encode()}, ("a.json",), lambda f: read_shot(f / "a.json"), 4)
    some = np.arange(ROWS) % 3 == 0
    prompt = Prompt(np.ones((2, 3)), np.array([True, False]), marked=some, among=some, camera=CAMERA)
    ask = json.dumps(ask_message(7, prompt)).encode()
    answer = Answer((Suggestion(some, some.astype(np.float32), 3),), 0)
    said = json.dumps(answer_message(7, answer, 0.5)).encode()
    yield Target("asks", {"a.json": ask}, ("a.json",), lambda f: _read_message(f, prompt_from), 4)
    yield Target("answers", {"a.json": said}, ("a.json",), lambda f: _read_message(f, answer_from), 4)
    yield Target("events in Blender", {"a.txt": events.encode()}, ("a.txt",), _read_events, 4)


def _read_message(folder: Path, read: Callable[[Any, int], object]) -> None:
    message = progress.event_in((folder / "a.json").read_bytes().decode("utf-8", "replace").replace('"do"', '"event"'))
    if message is not None:
        read(message, ROWS)


def _read_checkpoint(folder: Path) -> None:
    load_checkpoint(_State(), Checkpoint(folder / "checkpoint.npz", 1.0, "f"))  # type: ignore[arg-type]


def _read_events(folder: Path) -> None:
    state = progress.Progress()
    for line in (folder / "a.txt").read_bytes().decode("utf-8", "replace").splitlines():
        event = progress.event_in(line)
        state = state if event is None else progress.advance(state, event)


def _files_of(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def _torch(mask: np.ndarray) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(torch.from_numpy(mask[None]), buffer)
    return buffer.getvalue()
