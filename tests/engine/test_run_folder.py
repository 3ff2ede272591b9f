"""The run folder: what is written comes back, an earlier run outlives a failed one, damage is named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.label_table import build_label_table, read_labels, write_labels
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.run_folder import RUN_FORMAT, codes_in, finish, is_run_folder, open_run, partial_folder, write_run
from tests.helpers.made_files import all_rows, splat_dtype, splat_rows, write_splat

LAYOUT = BitLayout((3, 2))
COUNT = 60


def make_run(folder: Path, seed: int = 0) -> np.ndarray:
    """Write a run into `folder`; its codes."""
    rng = np.random.default_rng(seed)
    ply = write_splat(folder.parent / "source.ply", splat_rows(COUNT, splat_dtype(9), seed))
    gaussians = load_gaussians(ply)
    codes = rng.integers(0, 1 << LAYOUT.total, COUNT).astype(np.int32)
    table = build_label_table(LAYOUT, codes, gaussians.means, gaussians.opacities, gaussians.base_colors)
    write_run(folder, ply, codes, gaussians.opacities, table, {"seed": seed}, np.full(COUNT, 0.5, np.float32))
    return codes


def test_round_trip(tmp_path: Path) -> None:
    final = tmp_path / "run"
    codes = make_run(partial_folder(final))
    assert not is_run_folder(final)  # nothing is there before it is whole
    finish(final)
    assert is_run_folder(final) and not partial_folder(final).exists()
    run = open_run(final)
    assert run.layout == LAYOUT and run.info["seed"] == 0 and run.info["format"] == RUN_FORMAT
    np.testing.assert_array_equal(run.codes, codes)
    assert run.opacities.dtype == np.float32
    np.testing.assert_array_equal(codes_in(run.ply), codes)
    np.testing.assert_array_equal(all_rows(run.ply)["x"], splat_rows(COUNT, splat_dtype(9))["x"])
    table = run.labels()
    for level in (1, 2):
        counts = {label.label: label.count for label in table.of(level)}
        ids, want = np.unique(LAYOUT.labels(codes, level), return_counts=True)
        assert counts == dict(zip(ids.tolist(), want.tolist(), strict=True))
        assert sorted(counts.values(), reverse=True) == [label.count for label in table.of(level)]
    assert run.info["labels_per_level"] == [len(level) for level in table.levels]


def test_names_that_people_gave_are_kept(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    table = read_labels(tmp_path / "run" / "labels.json")
    table.levels[0][0].name = "Sessel, grün"
    write_labels(tmp_path / "run" / "labels.json", table)
    assert open_run(tmp_path / "run").labels() == table


def test_a_later_run_replaces_the_earlier_one_and_keeps_other_files(tmp_path: Path) -> None:
    final = tmp_path / "run"
    make_run(partial_folder(final), seed=1)
    (partial_folder(final) / "ours.txt").touch()
    finish(final)
    (final / "theirs.txt").touch()
    codes = make_run(partial_folder(final), seed=2)
    finish(final)
    np.testing.assert_array_equal(open_run(final).codes, codes)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "source.ply"]
    assert (final / "theirs.txt").exists() and not (final / "ours.txt").exists()


def test_an_earlier_run_survives_a_finish_that_fails(tmp_path: Path) -> None:
    final = tmp_path / "run"
    codes = make_run(final, seed=1)
    with pytest.raises(InputError, match="cannot be read"):
        finish(final)  # there is no partial folder to move
    np.testing.assert_array_equal(open_run(final).codes, codes)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "source.ply"]


def test_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    for name in ("run.json", "labels.json"):
        path = tmp_path / "run" / name
        whole = path.read_text("utf-8")
        path.write_text(json.dumps({**json.loads(whole), "format": 99}), "utf-8")
        with pytest.raises(InputError, match="Update Binary Gaussian Segmentation"):
            open_run(tmp_path / "run").labels()
        path.write_text(whole, "utf-8")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def wrong_type(path: Path) -> None:
    if path.suffix == ".npy":
        np.save(path, np.zeros(COUNT, np.float64))
    else:
        path.write_text("[1, 2]", "utf-8")


def huge(path: Path) -> None:
    """A header that promises far more than there is (and than memory holds)."""
    if path.suffix == ".npy":
        promised = path.read_bytes().replace(f"({COUNT},)".encode(), b"(999999999999,)")
        path.write_bytes(promised)
    else:
        path.write_text('{"format": 1' + ", " * 3, "utf-8")


def archive(path: Path) -> None:
    """Another kind of file of numpy's under the name."""
    with path.open("wb") as stream:
        np.savez(stream, a=np.zeros(3))


def nothing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [cut, empty, wrong_type, huge, archive, nothing])
@pytest.mark.parametrize("name", ["run.json", "labels.json", "codes.npy", "opacity.npy"])
def test_damage_is_an_input_error(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    make_run(tmp_path / "run")
    damage(tmp_path / "run" / name)
    with pytest.raises(InputError, match=name):
        open_run(tmp_path / "run").labels()


def test_parts_of_different_lengths(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    np.save(tmp_path / "run" / "codes.npy", np.zeros(COUNT - 1, np.int32))
    with pytest.raises(InputError, match="59 codes but 60 opacities"):
        open_run(tmp_path / "run")


@pytest.mark.parametrize("bits", [None, [], [40], [0, 4], "12", [1.5, "x"], {"a": 1}])
def test_unusable_level_bits(tmp_path: Path, bits: object) -> None:
    make_run(tmp_path / "run")
    for name in ("run.json", "labels.json"):
        path = tmp_path / "run" / name
        whole = path.read_text("utf-8")
        path.write_text(json.dumps({**json.loads(whole), "level_bits": bits}), "utf-8")
        with pytest.raises(InputError, match=name):
            open_run(tmp_path / "run").labels()
        path.write_text(whole, "utf-8")
