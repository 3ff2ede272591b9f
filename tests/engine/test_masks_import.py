"""Masks of other programs: written here as those programs write them, read back the same; damage is said plainly."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bgs_engine.core.errors import BgsError, InputError
from bgs_engine.masks.formats.run_lengths import decode_rle
from bgs_engine.masks.formats.table import read_masks
from bgs_engine.masks.imported import ImportedMasks
from bgs_engine.masks.sources.table import model_from_text

H, W = 30, 40
IMAGE = np.zeros((H, W, 3), np.uint8)


def go_on() -> None:
    """Nobody asks to stop."""


def masks() -> np.ndarray:
    """Three masks, the second inside the first, bool [3, H, W]."""
    stack = np.zeros((3, H, W), bool)
    stack[0, 2:20, 3:25] = stack[1, 5:10, 5:12] = stack[2, 15:29, 28:39] = True
    return stack


def runs(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, the first of zeros: the definition, slowly."""
    lengths, value, count = [], False, 0
    for pixel in mask.T.ravel():
        if pixel != value:
            lengths.append(count)
            value, count = pixel, 0
        count += 1
    return [*lengths, count]


def compress(counts: list[int]) -> str:
    """The string form as COCO's C code writes it."""
    text = ""
    for k, count in enumerate(counts):
        value = count - counts[k - 2] if k > 2 else count
        more = True
        while more:
            digit = value & 31
            value >>= 5
            more = value != -1 if digit & 16 else value != 0
            text += chr((digit | 32 if more else digit) + 48)
    return text


def write_saga(folder: Path) -> None:
    (folder / "sam_masks").mkdir()
    torch.save(torch.from_numpy(masks()), folder / "sam_masks" / "view.pt")


def write_grouping(folder: Path) -> None:
    (folder / "object_mask").mkdir()
    ids = masks()[0] * 7 + masks()[2] * 201
    Image.fromarray(ids.astype(np.uint8)).save(folder / "object_mask" / "view.png")


def write_langsplat(folder: Path) -> None:
    (folder / "language_features").mkdir()
    maps = np.full((4, H, W), -1.0, np.float32)
    maps[0][masks()[0]], maps[1][masks()[1]], maps[3][masks()[2]] = 0, 1, 2
    np.save(folder / "language_features" / "view_s.npy", maps)


def write_coco(folder: Path) -> None:
    entries = [
        {"segmentation": {"size": [H, W], "counts": compress(runs(m))}, "predicted_iou": 0.9, "stability_score": 0.5}
        for m in masks()
    ]
    (folder / "view.json").write_text(json.dumps(entries))


def write_pictures(folder: Path) -> None:
    (folder / "view").mkdir()
    for k, mask in enumerate(masks()):
        Image.fromarray(mask).save(folder / "view" / f"{k}.png")
    with (folder / "view" / "metadata.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, ["id", "predicted_iou", "stability_score"])
        table.writeheader()
        table.writerows({"id": k, "predicted_iou": 0.9, "stability_score": 0.5} for k in range(3))


@pytest.mark.parametrize(
    ("write", "expected", "score"),
    [
        (write_saga, [0, 1, 2], 1),
        (write_grouping, [0, 2], 1),
        (write_langsplat, [0, 1, 2], 1),
        (write_coco, [0, 1, 2], 0.45),
        (write_pictures, [0, 1, 2], 0.45),
    ],
)
def test_each_form_gives_its_masks(write, expected, score, tmp_path):
    write(tmp_path)
    proposer = model_from_text(f"import:{tmp_path}")
    got = proposer.propose(IMAGE, "view", go_on)
    assert len(got) == len(expected) and got.scores == pytest.approx(score)
    for k, number in enumerate(expected):
        assert np.array_equal(got.mask(k), masks()[number])
    key = proposer.key("view")
    assert key == model_from_text(f"import:{tmp_path}").key("view")
    nested_view = proposer.propose(IMAGE, "left/view", go_on)  # other programs know no folders of views
    assert len(nested_view) == len(expected)
    larger = proposer.propose(np.zeros((2 * H, 2 * W, 3), np.uint8), "view", go_on)
    assert np.array_equal(larger.mask(0), masks()[expected[0]].repeat(2, 0).repeat(2, 1))
    with pytest.raises(InputError, match="40x30 pixels, the image 40x40"):
        proposer.propose(np.zeros((W, W, 3), np.uint8), "view", go_on)
    with pytest.raises(InputError, match="no masks for the view other"):
        proposer.propose(IMAGE, "other", go_on)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.floats(0, 1))
def test_run_lengths_in_both_forms(seed, height, width, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    counts = runs(mask)
    for form in (counts, compress(counts)):
        assert np.array_equal(decode_rle({"size": [height, width], "counts": form}, "x"), mask)


def test_long_runs():
    mask = np.zeros((1000, 1500), bool)
    mask[10:, 3:1400] = True
    assert np.array_equal(decode_rle({"size": [1000, 1500], "counts": compress(runs(mask))}, "x"), mask)


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["size", "counts", "x"]), inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_any_junk_is_a_plain_error(value):
    with pytest.raises(BgsError):
        decode_rle(value, "x")
        raise InputError("by chance a mask")


def test_damaged_files_and_programs_in_disguise(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    torch.save(Evil(), tmp_path / "a.pt")
    np.save(tmp_path / "b.npy", np.array([Evil()], object), allow_pickle=True)
    torch.save({"masks": torch.zeros(2)}, tmp_path / "c.pt")
    np.save(tmp_path / "d.npy", np.zeros(5))
    (tmp_path / "e.json").write_text('{"annotations": 3}')
    (tmp_path / "f.json").write_text("[[")
    (tmp_path / "g.pt").write_bytes(b"")
    (tmp_path / "h.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "i").mkdir()
    for name in ("a.pt", "b.npy", "c.pt", "d.npy", "e.json", "f.json", "g.pt", "h.npy", "i"):
        with pytest.raises(InputError):
            list(read_masks(tmp_path / name))
    assert not (tmp_path / "executed").exists()
    with pytest.raises(InputError, match="no folder"):
        ImportedMasks(tmp_path / "nowhere")
