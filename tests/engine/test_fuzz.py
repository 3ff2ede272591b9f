"""Damaged files of every kind: nothing but an error for users comes out of a reader, soon and in little memory."""

import json
import struct
import tempfile
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import BgsError
from bgs_engine.core.label_table import Label, LabelTable, read_labels, write_labels
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.images import read_label_png
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import codes_in, open_run
from tests.helpers.made_datasets import colmap_binary, colmap_text, transforms
from tests.helpers.made_files import ply_bytes, splat_dtype, splat_rows

FUZZ = settings(max_examples=60, deadline=None, derandomize=True, database=None)
SECONDS = 5.0  # of processor time for one file; all are read within a few hundredths
# Bytes that a reader may ask for at once: all whole files here are below 100 kB, a decoder's buffers below 10 MB.
MEMORY = 64_000_000

Damage = Callable[[bytes], bytes]


@contextmanager
def only_our_errors() -> Iterator[None]:
    """Let errors for users pass; anything else, or a large allocation, fails the test."""
    tracemalloc.start()
    begun = time.process_time()
    try:
        yield
    except BgsError as error:
        assert error.message.endswith((".", ")"))  # a sentence
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MEMORY
    assert time.process_time() - begun < SECONDS


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """Cut, overwrite, insert, or repeat somewhere; up to three times."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(("cut", "overwrite", "insert", "remove", "number")),
                st.floats(0, 1),
                st.binary(min_size=1, max_size=12),
                st.integers(0, 2**64 - 1),
            ),
            min_size=1,
            max_size=3,
        )
    )

    def damage(data: bytes) -> bytes:
        for kind, share, new, number in steps:
            at = int(share * len(data))
            if kind == "cut":
                data = data[:at]
            elif kind == "overwrite":
                data = data[:at] + new + data[at + len(new) :]
            elif kind == "insert":
                data = data[:at] + new + data[at:]
            elif kind == "remove":
                data = data[:at] + data[at + len(new) :]
            else:  # a count or size out of all proportion
                data = data[:at] + struct.pack("<Q", number) + data[at + 8 :]
        return data

    return damage


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of its own for each example, which pytest's fixture would not give."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


# --- splat files -----------------------------------------------------------------------------------------------------

SPLAT = ply_bytes(splat_rows(20, splat_dtype(9, [("seg_0", "u1")])), ["comment made"])


def read_splat(data: bytes) -> None:
    with folder() as inside:
        (inside / "a.ply").write_bytes(data)
        with only_our_errors():
            ply = read_ply(inside / "a.ply")
            load_gaussians(ply)
            codes_in(ply)


@FUZZ
@given(damages())
def test_splat_files(damage: Damage) -> None:
    read_splat(damage(SPLAT))


words = st.sampled_from(
    ["ply", "format", "ascii", "binary_little_endian", "binary_big_endian", "1.0", "comment", "element", "vertex",
     "face", "property", "list", "float", "uchar", "int", "double", "x", "y", "f_rest_0", "0", "3", "-1", "1e9",
     "999999999999999", "99999999999999999999", "end_header", "é"]
)  # fmt: skip
lines = st.lists(st.lists(words, max_size=5).map(" ".join), max_size=12)


@FUZZ
@given(lines, st.binary(max_size=200), st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian"]))
def test_splat_headers(between: list[str], body: bytes, form: str) -> None:
    properties = [f"property float {name}" for name in splat_dtype(0).names or ()]
    for head in (
        ["ply", *between, "end_header"],
        ["ply", f"format {form} 1.0", "element vertex 3", *properties, *between, "end_header"],
        ["ply", f"format {form} 1.0", *between, "element vertex 3", *properties, "end_header"],
        ["ply", f"format {form} 1.0", "element vertex 999999999999", *properties, *between[:3], "end_header"],
    ):
        read_splat("\n".join([*head, ""]).encode() + body)


@FUZZ
@given(st.lists(st.sampled_from(["0", "1.5", "nan", "-inf", "1e400", "x", "\n", "1_0", "٣", "\0"]), max_size=60))
def test_splat_text_bodies(body: list[str]) -> None:
    properties = "".join(f"property float {name}\n" for name in splat_dtype(0).names or ())
    read_splat(f"ply\nformat ascii 1.0\nelement vertex 2\n{properties}end_header\n{' '.join(body)}".encode())


# --- cameras ---------------------------------------------------------------------------------------------------------


def open_damaged(files: dict[str, bytes]) -> None:
    with folder() as inside:
        for name, data in files.items():
            (inside / name).parent.mkdir(parents=True, exist_ok=True)
            (inside / name).write_bytes(data)
        (inside / "images").mkdir()
        for name in ("a.png", "b.png"):
            Image.new("L", (8, 6)).save(inside / "images" / name)
        with only_our_errors():
            open_dataset(inside)


@FUZZ
@given(st.sampled_from(("cameras.bin", "images.bin")), damages())
def test_colmap_binary(name: str, damage: Damage) -> None:
    files = {f"sparse/0/{file}": data for file, data in colmap_binary().items()}
    open_damaged({**files, f"sparse/0/{name}": damage(files[f"sparse/0/{name}"])})


@FUZZ
@given(st.sampled_from(("cameras.txt", "images.txt")), damages())
def test_colmap_text(name: str, damage: Damage) -> None:
    files = {f"sparse/0/{file}": data for file, data in colmap_text().items()}
    open_damaged({**files, f"sparse/0/{name}": damage(files[f"sparse/0/{name}"])})


numbers = st.integers() | st.floats() | st.sampled_from([10**400, -1, 0, 2**63])
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@FUZZ
@given(damages())
def test_transforms_bytes(damage: Damage) -> None:
    open_damaged({"transforms.json": damage(json.dumps(transforms()).encode())})


@FUZZ
@given(st.sampled_from(("w", "h", "fl_x", "cx", "k1", "camera_model", "frames", "ply_file_path", "bgs_up", "cy")),
       st.sampled_from(("file_path", "transform_matrix", "fl_y", "w", "is_fisheye", "camera_angle_x")),
       json_values, json_values)  # fmt: skip
@example("w", "h", 10**400, 10**400)
def test_transforms_values(key: str, frame_key: str, value: Any, frame_value: Any) -> None:
    for top, inner in (({key: value}, {}), ({}, {frame_key: frame_value}), ({key: value}, {frame_key: frame_value})):
        made = {**transforms(), **top}
        if isinstance(made["frames"], list) and "frames" not in top:
            made["frames"][0] |= inner
        open_damaged({"transforms.json": json.dumps(made).encode()})


# --- label maps ------------------------------------------------------------------------------------------------------


def png(mode: str) -> bytes:
    with folder() as inside:
        pixels = np.random.default_rng(0).integers(0, 9, (12, 16))
        Image.fromarray(pixels.astype(np.uint16 if mode == "I;16" else np.uint8)).save(inside / "a.png")
        return (inside / "a.png").read_bytes()


PNGS = {mode: png(mode) for mode in ("I;16", "L")}


@FUZZ
@given(st.sampled_from(sorted(PNGS)), damages())
def test_label_maps(mode: str, damage: Damage) -> None:
    with folder() as inside:
        (inside / "a.png").write_bytes(damage(PNGS[mode]))
        with only_our_errors():
            labels = read_label_png(inside / "a.png", (16, 12))
            assert labels.shape == (12, 16) and labels.dtype == np.int32


def test_a_label_map_that_claims_to_be_vast() -> None:
    """A valid header of 60,000 x 60,000 pixels in front of a few bytes."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 16, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + PNGS["L"][33:]
    with folder() as inside:
        (inside / "a.png").write_bytes(data)
        for size in ((60_000, 60_000), (16, 12), None):
            with only_our_errors():
                read_label_png(inside / "a.png", size)
                raise AssertionError("it was read")


# --- run folders -----------------------------------------------------------------------------------------------------


def run_files() -> dict[str, bytes]:
    with folder() as inside:
        np.save(inside / "codes.npy", np.arange(30, dtype=np.int32))
        np.save(inside / "opacity.npy", np.ones(30, np.float32))
        zero = (0.0, 0.0, 0.0)
        labels = [[Label(k, 0, 15, zero, zero, zero, zero, f"L1_{k}") for k in range(2)]]
        write_labels(inside / "labels.json", LabelTable(BitLayout((2,)), labels))
        (inside / "run.json").write_text('{"format": 1, "level_bits": [2]}')
        return {path.name: path.read_bytes() for path in inside.iterdir()}


RUN = run_files()


def open_damaged_run(files: dict[str, bytes]) -> None:
    with folder() as inside:
        for name, data in files.items():
            (inside / name).write_bytes(data)
        with only_our_errors():
            run = open_run(inside)
            assert len(run.codes) == len(run.opacities)
        with only_our_errors():
            table = read_labels(inside / "labels.json")
            for level in range(1, table.layout.levels + 1):
                assert all(isinstance(label.name, str) and len(label.center) == 3 for label in table.of(level))


@FUZZ
@given(st.sampled_from(sorted(RUN)), damages())
def test_run_folders(name: str, damage: Damage) -> None:
    open_damaged_run({**RUN, name: damage(RUN[name])})


@FUZZ
@given(st.sampled_from(("format", "level_bits", "levels")), st.sampled_from(sorted(Label.__annotations__)), json_values)
def test_run_values(key: str, label_key: str, value: Any) -> None:
    info, table = json.loads(RUN["run.json"]), json.loads(RUN["labels.json"])
    open_damaged_run(
        {
            **RUN,
            "run.json": json.dumps({**info, key: value}).encode(),
            "labels.json": json.dumps({**table, key: value}).encode(),
        }
    )
    table["levels"][0][0][label_key] = value
    open_damaged_run({**RUN, "labels.json": json.dumps(table).encode()})
    open_damaged_run({**RUN, "run.json": json.dumps(value).encode(), "labels.json": json.dumps(value).encode()})


@FUZZ
@given(st.text("0123456789-(), '<i4f:{}[]\\\nTrueFals", max_size=120))
def test_npy_headers(text: str) -> None:
    for inner in (text, f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({text},), }}"):
        header = inner.encode() + b"\n"
        for version in (b"\x01\x00", b"\x02\x00"):
            size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
            open_damaged_run({**RUN, "codes.npy": b"\x93NUMPY" + version + size + header + b"\0" * 64})
