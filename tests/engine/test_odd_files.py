"""What is no file, claims a size out of all proportion, or was damaged where we keep it."""

import json
import os
import socket
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import BgsError, InputError
from bgs_engine.core.files import read_json, sha256
from bgs_engine.core.input_files import open_file, read_text
from bgs_engine.io.arrays import load_array, open_arrays
from bgs_engine.io.colmap import read_colmap
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.images import image_size, read_image, read_label_png
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import finish, open_run, partial_folder
from bgs_engine.masks.bits import MaskStack
from bgs_engine.masks.cache import CandidateCache
from bgs_engine.masks.formats.table import read_masks
from bgs_engine.masks.imported import ImportedMasks
from bgs_engine.output.evaluate import true_labels
from bgs_engine.output.render import DEFAULT_UP, up_of
from bgs_engine.output.shot import read_shot
from bgs_engine.train.start import read_codes
from bgs_engine.train.trainer import Checkpoint, load_checkpoint, save_checkpoint
from tests.engine.test_run_folder import make_run
from tests.helpers.made_files import all_rows, ply_bytes

ROOT = Path(__file__).resolve().parents[2]
LITTLE = 64_000_000  # bytes that a reader may ask for with a small file
SMALL = np.zeros((30, 40, 3), np.uint8)


def _all_masks(path: Path) -> list[object]:
    return list(read_masks(path))


def refused_in_little_memory(read: Callable[[], object]) -> str:
    """The message of the InputError that `read` must raise without asking for much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            read()
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < LITTLE
    return caught.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes and devices in folders")
def test_only_files_are_read(tmp_path: Path) -> None:
    """A pipe that nobody writes to would wait for ever, and /dev/zero has no end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        where = Path.cwd()
        os.chdir(tmp_path)  # a socket's path has at most some 100 bytes
        try:
            server.bind("socket")
        finally:
            os.chdir(where)
        readers: list[Callable[[Path], object]] = [
            read_ply, read_json, read_text, sha256, open_file, image_size, read_image, read_label_png, read_shot,
            lambda path: load_array(path, "x"), lambda path: list(read_masks(path.with_suffix(".pt"))),
            lambda path: read_codes(path, 3), lambda path: open_dataset(tmp_path, path),
        ]  # fmt: skip
        for path in (tmp_path / "pipe", tmp_path / "folder", tmp_path / "socket", Path("/dev/zero")):
            for read in readers:
                with pytest.raises(InputError):
                    read(path)
    for name, what in (("pipe", "a pipe"), ("folder", "a folder"), ("socket", "a socket")):
        with pytest.raises(InputError, match=f"is {what}, not a file"):
            open_file(tmp_path / name)
    (tmp_path / "sparse").mkdir()
    os.mkfifo(tmp_path / "sparse" / "cameras.txt")
    (tmp_path / "sparse" / "images.txt").write_text("")
    with pytest.raises(InputError, match="a pipe"):
        read_colmap(tmp_path / "sparse", tmp_path)


def test_paths_that_no_system_has() -> None:
    for path in (Path("a" * 5000), Path("a\0b")):
        for read in (read_ply, read_json, image_size):
            with pytest.raises(InputError):
                read(path)


def test_a_tensor_that_claims_more_than_its_bytes(tmp_path: Path) -> None:
    """Each of these makes PyTorch's own reader ask for up to 48 GB, the weights-only one too."""
    folder = tmp_path / "sam_masks"
    folder.mkdir()
    warnings.simplefilter("ignore")  # PyTorch warns of what is old and unchecked here
    bombs = {
        "expanded": torch.zeros(1, dtype=torch.bool).expand(3, 120_000, 134_000),
        "sparse": torch.sparse_coo_tensor(torch.zeros((3, 1), dtype=torch.long), torch.ones(1), (3, 120_000, 134_000)),
        "quantised": torch.quantize_per_tensor(torch.zeros(3, 2, 2), 0.1, 0, torch.quint8),
        "list": [torch.zeros(2, 2, 2)],
    }
    for name, value in bombs.items():
        path = folder / f"{name}.pt"
        torch.save(value, path)
        assert path.stat().st_size < 3000
        assert "does not hold one bool tensor" in refused_in_little_memory(partial(_all_masks, path))
    whole = np.random.default_rng(0).random((3, 30, 40)) > 0.5
    torch.save(torch.from_numpy(whole).transpose(1, 2).contiguous().transpose(1, 2), folder / "a.pt")  # any strides
    assert np.array_equal(np.stack([mask for mask, _ in read_masks(folder / "a.pt")]), whole)
    torch.save(torch.from_numpy(whole.astype(np.float16)), folder / "b.pt", pickle_protocol=4)
    assert np.array_equal(np.stack([mask for mask, _ in read_masks(folder / "b.pt")]), whole)


def test_masks_larger_than_their_view_can_have(tmp_path: Path) -> None:
    vast = {"size": [12_000, 12_000], "counts": [12_000 * 12_000]}
    (tmp_path / "coco.json").write_text(json.dumps([{"segmentation": vast}] * 400))
    (tmp_path / "pictures").mkdir()
    picture = Image.new("1", (12_000, 12_000))
    picture.save(tmp_path / "pictures" / "0.png")
    picture.save(tmp_path / "ids.png")
    for name in ("coco", "pictures", "ids"):
        message = refused_in_little_memory(partial(ImportedMasks(tmp_path).propose, SMALL, name, lambda: None))
        assert "12000" in message
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 60000, 60000), }\n"
    npy = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(64)
    (tmp_path / "lang_s.npy").write_bytes(npy)
    assert "cut short" in refused_in_little_memory(lambda: list(read_masks(tmp_path / "lang_s.npy")))


def test_a_small_picture_that_claims_to_be_vast(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 12_000, 12_000, 8, 6, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", bytes(100)))
    assert "12000x12000" in refused_in_little_memory(lambda: read_image(tmp_path / "a.png"))
    vast = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0))
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n" + vast + chunk(b"IDAT", bytes(100)))
    assert "more pixels than any camera" in refused_in_little_memory(lambda: read_image(tmp_path / "c.png"))
    # A chunk that claims 2 GB: the bytes that are there are read, and no more memory than that.
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31 - 1) + b"IHDR" + bytes(30))
    refused_in_little_memory(lambda: read_image(tmp_path / "b.png"))


def test_an_archive_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    """0.6 MB of zeros, 640 MB unpacked, in each of the places that read .npz files."""
    camera = Camera("a", 40, 30, 1.0, 1.0, 0.0, 0.0, np.eye(4))
    cache = CandidateCache(tmp_path)
    np.savez_compressed(tmp_path / "key.npz", scores=np.zeros(640_000_000, np.uint8))
    bomb = (tmp_path / "key.npz").read_bytes()
    tracemalloc.start()
    assert cache.load("key", camera) is None
    assert tracemalloc.get_traced_memory()[1] < LITTLE
    tracemalloc.stop()
    with pytest.raises(InputError, match="claims"), open_arrays(tmp_path / "key.npz", "") as archive:
        archive.read("scores", 1000)
    (tmp_path / "labels.npz").write_bytes(bomb)
    refused_in_little_memory(lambda: true_labels(tmp_path, 100))


def test_a_damaged_cache_entry_is_made_again(tmp_path: Path) -> None:
    camera, cache = Camera("a", 40, 30, 1.0, 1.0, 0.0, 0.0, np.eye(4)), CandidateCache(tmp_path)
    noise = np.random.default_rng(0).random((5, 30, 40)) > 0.5
    masks = MaskStack.pack(30, 40, noise, np.linspace(0.5, 1, 5, dtype=np.float32))
    cache.store("key", masks)
    whole = (tmp_path / "key.npz").read_bytes()
    assert cache.load("key", camera) is not None
    damaged = [whole[:50], whole[:-30], b"", *(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in
               range(30, len(whole), 7))]  # fmt: skip
    for data in damaged:
        (tmp_path / "key.npz").write_bytes(data)
        found = cache.load("key", camera)  # nothing is raised: None means that it is made again
        assert found is None or found.mask(0).shape == (30, 40)
        cache.store("key", masks)
        assert cache.load("key", camera) is not None
    assert cache.load("key", Camera("b", 41, 30, 1.0, 1.0, 0.0, 0.0, np.eye(4))) is None


class State:
    """Two arrays to save and load."""

    def __init__(self) -> None:
        self.values = {"features": np.ones((50, 32), np.float32), "logits": np.zeros(50, np.float32)}

    def state(self) -> dict[str, np.ndarray]:
        return self.values

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        for name in self.values:
            self.values[name][...] = state[name]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz", 1.0, "f")
    save_checkpoint(State(), 7, checkpoint)  # type: ignore[arg-type]
    assert load_checkpoint(State(), checkpoint) == 7  # type: ignore[arg-type]
    whole = (tmp_path / "checkpoint.npz").read_bytes()
    for at in range(0, len(whole), 97):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]):
            (tmp_path / "checkpoint.npz").write_bytes(data)
            state = State()
            try:
                load_checkpoint(state, checkpoint)  # type: ignore[arg-type]
            except BgsError as error:
                assert "--resume" in error.hint
                assert (state.values["features"] == 1).all()  # nothing of it was used


def test_damaged_arrays_of_a_run_and_a_truth_folder_are_named(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "labels.npz", labels=np.ones((100, 3), np.int32))
    whole = (tmp_path / "labels.npz").read_bytes()
    assert true_labels(tmp_path, 100) is not None
    for data in (whole[:40], whole[:70] + b"\xff" * 20 + whole[90:], b"x"):
        (tmp_path / "labels.npz").write_bytes(data)
        with pytest.raises(InputError, match=r"labels\.npz"):
            true_labels(tmp_path, 100)


def finished_run(folder: Path) -> Path:
    make_run(partial_folder(folder))
    finish(folder)
    return folder


def test_a_run_knows_its_splat(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    run = open_run(folder)
    rows, scene = all_rows(run.ply), folder / "scene.ply"
    moved, recolored = rows.copy(), rows.copy()
    moved["y"][3] += 1
    recolored["f_dc_0"], recolored["seg_0"] = 0.5, 0
    changes = {
        "Gaussians, but the run has labels of": rows[:-1],
        "another order": rows[::-1],
        "other places": moved,
    }
    for message, changed in changes.items():
        scene.write_bytes(ply_bytes(changed))
        with pytest.raises(InputError, match=message) as caught:
            open_run(folder)
        assert "scene.ply" in caught.value.hint
    scene.write_bytes(ply_bytes(recolored))
    open_run(folder)  # colours and codes may be edited: every row is still itself
    scene.unlink()
    with pytest.raises(InputError):
        open_run(folder)


def test_a_run_of_an_older_version_is_told_by_its_number_of_rows(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    rows = all_rows(open_run(folder).ply)
    info = read_json(folder / "run.json")
    del info["scene"]
    (folder / "run.json").write_text(json.dumps(info))
    open_run(folder)
    (folder / "scene.ply").write_bytes(ply_bytes(rows[:-5]))
    with pytest.raises(InputError, match="55 Gaussians"):
        open_run(folder)


def test_a_path_in_run_json_that_is_too_long(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    for dataset in ("a" * 5000, "b/" * 3000, "c\0d", 7, None, str(tmp_path / "gone")):
        info = {**read_json(folder / "run.json"), "dataset": dataset}
        (folder / "run.json").write_text(json.dumps(info))
        assert up_of(open_run(folder)) is DEFAULT_UP


def test_a_shot_cannot_write_elsewhere_or_ask_for_a_vast_picture(tmp_path: Path) -> None:
    camera = {"fx": 9, "fy": 9, "cx": 4, "cy": 3, "orthographic": False, "viewmat": np.eye(4).ravel().tolist()}
    frame = {"name": "0001", "camera": camera, "transforms": []}
    shot = {"format": 1, "size": [8, 6], "parts": [], "frames": [frame]}
    path = tmp_path / "shot.json"
    path.write_text(json.dumps(shot))
    assert len(read_shot(path).frames) == 1
    sizes = ([10**9, 10**9], [10**400, 6], [float("inf"), 6])
    names = ("../../outside", "/outside", "con")
    changes: list[dict[str, object]] = [{"size": size} for size in sizes]
    changes += [{"frames": [{**frame, "name": name}]} for name in names]
    for change in changes:
        path.write_text(json.dumps({**shot, **change}))
        with pytest.raises(InputError, match="damaged"):
            read_shot(path)


@pytest.mark.skipif(sys.platform != "linux", reason="the fuzz limits the memory of its process, which Linux can")
def test_damaged_files_end_in_an_error_for_users() -> None:
    """The short form of `benchmarks/fuzz.py`, of all readers: exit code 1 if one raised anything else."""
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz.py"), "--inputs", "2500", "--seed", "11"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "0 kinds of problems" in done.stdout
