"""Labels that replace others in a run: all files or none, killed at every moment, and never those of another run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.files import read_json, write_json
from bgs_engine.core.label_table import LabelTable, build_label_table, read_labels
from bgs_engine.io import os_lock
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.output_place import recover
from bgs_engine.io.run_folder import codes_in, finish, open_run, partial_folder, save_labels
from bgs_engine.io.run_update import COMPLETE, finish_update
from tests.engine.test_run_folder import LAYOUT, make_run
from tests.helpers.killed import ends_before
from tests.helpers.made_files import all_rows

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot copy a process")
FILES = {"codes.npy", "confidence.npy", "labels.json", "opacity.npy", "run.json", "scene.ply"}
ANSWER = {"codes_engine.npy", "labels_engine.json"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run folder."""
    folder = tmp_path / "place" / "run"
    folder.parent.mkdir()
    make_run(partial_folder(folder))
    finish(folder)
    return folder


def changed(folder: Path, add: int) -> tuple[np.ndarray, LabelTable]:
    """Other codes for a run, with their label table, in which the first label has a name of its own."""
    opened = open_run(folder)
    codes = (opened.codes + add) % (1 << LAYOUT.total)
    splat = load_gaussians(opened.ply)
    table = build_label_table(LAYOUT, codes, splat.means, splat.opacities, splat.base_colors)
    table.levels[0][0].name = f"name {add}"
    return codes, table


def save(folder: Path, codes: np.ndarray, table: LabelTable) -> None:
    """As Blender saves."""
    with only_writer(folder):
        finish_update(folder)
        save_labels(open_run(folder), codes, table)


def state(folder: Path) -> bytes:
    """The codes of a run as every program finds them. All files must agree, and nothing else lies about."""
    opened = open_run(folder)
    table = opened.labels()
    beside = codes_in(opened.ply)
    assert beside is not None and np.array_equal(beside, opened.codes)
    for level in (1, 2):
        ids, counts = np.unique(LAYOUT.labels(opened.codes, level), return_counts=True)
        want = dict(zip(ids.tolist(), counts.tolist(), strict=True))
        assert {row.label: row.count for row in table.of(level)} == want
    assert opened.info["labels_per_level"] == [len(level) for level in table.levels]
    assert {path.name for path in folder.iterdir()} in (FILES, FILES | ANSWER)
    assert {path.name for path in folder.parent.iterdir()} == {"run", "source.ply"}
    return opened.codes.tobytes()


@needs_fork
@pytest.mark.parametrize("second", [False, True])
def test_killed_at_every_file_operation_a_save_is_whole_or_has_not_been(
    run: Path, tmp_path: Path, second: bool
) -> None:
    if second:  # the engine's answer is kept already
        save(run, *changed(run, 5))
    before, kept = state(run), shutil.copytree(run, tmp_path / "kept")
    new = changed(run, 1)
    were_new: list[bool] = []
    died = True
    while died:
        died = ends_before(len(were_new), lambda: save(run, *new))
        for name in (".run.lock", ".run.owner.json"):  # a dead process leaves them, but they lock nothing
            (run.parent / name).unlink(missing_ok=True)
        now = state(run)
        assert now in (before, new[0].tobytes())
        were_new.append(now != before)
        shutil.rmtree(run)
        shutil.copytree(kept, run)
    # Killed early, nothing has happened; killed late, everything has. Five files are opened, and five are moved.
    assert were_new == sorted(were_new)
    assert were_new.count(False) > 5 and were_new.count(True) > 5, were_new


@needs_fork
def test_killed_at_every_file_operation_the_next_save_is_whole(run: Path, tmp_path: Path) -> None:
    kept, number, died = shutil.copytree(run, tmp_path / "kept"), 0, True
    killed, later = changed(run, 1), changed(run, 2)
    while died:
        died = ends_before(number, lambda: save(run, *killed))
        save(run, *later)
        assert state(run) == later[0].tobytes() and open_run(run).labels().levels[0][0].name == "name 2"
        shutil.rmtree(run)
        shutil.copytree(kept, run)
        number += 1
    assert number > 20


def pending(folder: Path, add: int) -> np.ndarray:
    """What a kill leaves after the new files have come to count and before the first has moved."""
    codes, table = changed(folder, add)
    aside = folder.with_name("aside")
    shutil.copytree(folder, aside)
    save(aside, codes, table)
    shutil.copytree(aside, folder / COMPLETE)
    shutil.rmtree(aside)
    for name in ("opacity.npy", "confidence.npy"):
        (folder / COMPLETE / name).unlink()
    return codes


def test_a_complete_update_is_mended_by_every_reader(run: Path) -> None:
    codes = pending(run, 3)
    assert state(run) == codes.tobytes()


def test_a_new_run_finds_no_old_update(run: Path) -> None:
    pending(run, 3)
    recover(run)  # what every job does first
    assert not (run / COMPLETE).exists()
    codes = pending(run, 4)
    new = make_run(partial_folder(run), seed=7)  # a program that does not know of updates replaces the run
    write_json(partial_folder(run) / "run.json", {**read_json(partial_folder(run) / "run.json"), "id": "another"})
    shutil.copytree(run / COMPLETE, partial_folder(run) / COMPLETE)
    shutil.rmtree(run)
    partial_folder(run).replace(run)
    assert not np.array_equal(new, codes)
    assert state(run) == new.tobytes()


def test_links_and_strange_files_in_an_update_are_not_followed(run: Path, tmp_path: Path) -> None:
    before = state(run)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "codes.npy").write_text("mine")
    (mine / "run.json").write_bytes((run / "run.json").read_bytes())
    (run / COMPLETE).symlink_to(mine)
    assert state(run) == before and (mine / "codes.npy").read_text() == "mine"
    (run / COMPLETE).mkdir()
    (run / COMPLETE / "run.json").write_bytes((run / "run.json").read_bytes())
    (run / COMPLETE / "opacity.npy").write_text("not one of the files that an update has")
    assert state(run) == before


def test_a_reader_waits_for_no_living_writer_for_ever(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pending(run, 3)
    monkeypatch.setattr("bgs_engine.io.run_update.WAIT_SECONDS", 0.1)
    with only_writer(run), pytest.raises(UsageError, match="Another job writes"):
        open_run(run)
    open_run(run)


def test_a_full_disk_leaves_the_run_as_it_was(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, new = state(run), changed(run, 1)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        save(run, *new)
    monkeypatch.undo()
    assert state(run) == before


def test_a_scene_that_was_sorted_gets_no_codes(run: Path) -> None:
    """The same number of rows, the same run id, another order: row numbers mean other Gaussians."""
    new = changed(run, 1)
    data = (run / "scene.ply").read_bytes()
    start = data.index(b"end_header\n") + 11
    rows = all_rows(open_run(run).ply)
    (run / "scene.ply").write_bytes(data[:start] + rows[::-1].tobytes())
    codes = (run / "codes.npy").read_bytes()
    with pytest.raises(InputError, match="is not the one that the run labelled"):
        save(run, *new)
    assert (run / "codes.npy").read_bytes() == codes
    assert {path.name for path in run.iterdir()} == FILES


def test_a_lock_whose_file_was_removed_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = os_lock.take_lock(path)
    assert first is not None and os_lock.take_lock(path) is None
    path.unlink()
    second = os_lock.take_lock(path)
    assert second is not None and path.exists()  # those who come now see this one
    assert os_lock.take_lock(path) is None
    os_lock.give_lock_back(first)
    assert os_lock.take_lock(path) is None
    os_lock.give_lock_back(second)
    third = os_lock.take_lock(path)
    assert third is not None
    os_lock.give_lock_back(third)


def test_it_is_the_lock_of_earlier_engines(tmp_path: Path) -> None:
    """They take it with the package filelock. An older engine that is still installed must see ours, and we see its."""
    filelock = pytest.importorskip("filelock")
    path = tmp_path / "lock"
    ours = os_lock.take_lock(path)
    assert ours is not None
    with pytest.raises(filelock.Timeout):
        filelock.FileLock(path, timeout=0).acquire()
    os_lock.give_lock_back(ours)
    hold = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(path)]
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None and owner.stdout.readline() == "held\n"
    assert os_lock.take_lock(path) is None
    owner.kill()
    owner.communicate()
    assert os_lock.take_lock(path) is not None


def test_half_characters_in_names_become_text(run: Path) -> None:
    table = read_json(run / "labels.json")
    table["levels"][0][0]["name"] = "a\ud800b\0c"
    write_json(run / "labels.json", table)
    assert read_labels(run / "labels.json").levels[0][0].name == "a?bc"


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "1" * 10_000, "\ud800", ""])
def test_a_strange_run_json_is_named(run: Path, text: str) -> None:
    (run / "run.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=r"run\.json"):
        open_run(run)


def test_a_huge_run_json_is_not_read(run: Path) -> None:
    with (run / "run.json").open("r+b") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(InputError, match="more than such a file can have"):
        open_run(run)


def test_codes_beyond_the_level_bits_are_named(run: Path) -> None:
    codes = open_run(run).codes
    codes[3] = 1 << LAYOUT.total
    np.save(run / "codes.npy", codes)
    with pytest.raises(InputError, match="more than 5 bits"):
        open_run(run)
