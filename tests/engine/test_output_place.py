"""Nothing of the user's is lost where a run is written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.errors import UsageError
from bgs_engine.core.files import PARTIAL_SUFFIX, write_json
from bgs_engine.io import output_place
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.output_folder import one_writer_into, only_writer_into
from bgs_engine.io.output_place import (
    checked_run_place,
    files_below,
    move_into_place,
    old_folder,
    partial_folder,
    recover,
)


def write_files(folder: Path, names: dict[str, str]) -> None:
    for name, text in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def make_run(folder: Path, text: str, listed: bool = True) -> None:
    """Files that pass for a run; `text` tells one run from another."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "codes.npy", np.zeros(1, np.int32))
    write_files(folder, {"scene.ply": text, "preview/labels_level_1.png": text})
    files = ["codes.npy", "preview/labels_level_1.png", "run.json", "scene.ply"]
    write_json(folder / "run.json", {"format": 1, **({"files": files} if listed else {})})


@pytest.mark.parametrize("name", ["thesis.txt", "photos/a.jpg", "run.json", ".hidden"])
def test_a_folder_of_the_users_files_is_refused(tmp_path: Path, name: str) -> None:
    write_files(tmp_path / "mine", {name: "mine"})
    with pytest.raises(UsageError, match="no run has written"):
        checked_run_place(tmp_path / "mine", ())
    assert (tmp_path / "mine" / name).read_text() == "mine"


@pytest.mark.parametrize("out", ["", "   ", "/", "//", "/.."])
def test_places_that_are_no_folder_for_a_run(out: str) -> None:
    with pytest.raises(UsageError):
        checked_run_place(Path(out) if out.strip() else Path(out or " "), ())


def test_dots_and_links_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "work", {"a.blend": "mine"})
    monkeypatch.chdir(tmp_path / "work")
    for out in (".", "../work", "x/../../work", str(tmp_path / "work") + "/."):
        with pytest.raises(UsageError, match=r"a\.blend"):
            checked_run_place(Path(out), ())
    assert checked_run_place(Path("../work/new"), ()) == tmp_path / "work" / "new"
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert checked_run_place(tmp_path / "link", ()) == tmp_path / "empty"
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        checked_run_place(tmp_path / "file", ())


def test_a_place_that_holds_an_input_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "old")
    write_files(tmp_path / "run", {"photos/transforms.json": "{}", "mine.ply": "ply"})
    for source in ("photos", "mine.ply", "."):
        with pytest.raises(UsageError, match="which this job reads"):
            checked_run_place(tmp_path / "run", [tmp_path / "run" / source])
    # The splat of a run may be segmented again in its place.
    assert checked_run_place(tmp_path / "run", [tmp_path / "run" / "scene.ply"]) == tmp_path / "run"


def test_an_unwritable_parent_is_said_before_the_work(tmp_path: Path) -> None:
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("root and Windows may write to a read-only folder")
    tmp_path.chmod(0o500)
    with pytest.raises(Exception, match="cannot be written"):
        checked_run_place(tmp_path / "run", ())


@pytest.mark.parametrize("listed", [True, False])
def test_only_our_own_files_are_replaced(tmp_path: Path, listed: bool) -> None:
    final = tmp_path / "run"
    make_run(final, "old", listed)
    theirs = {"scene.blend": "mine", "photos/a.jpg": "mine", "preview/my picture.txt": "mine"}
    write_files(final, theirs)
    (final / "link").symlink_to("scene.blend")
    make_run(partial_folder(final), "new")
    write_files(partial_folder(final), {"scene.blend": "a file of the new run"})  # same name: both are kept
    move_into_place(partial_folder(final), final)
    assert (final / "scene.ply").read_text() == "new"
    assert (final / "scene (2).blend").read_text() == "mine" and (final / "link").is_symlink()
    assert all((final / name).read_text() == "mine" for name in list(theirs)[1:])
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_what_a_kill_between_the_renames_leaves_is_put_right(tmp_path: Path) -> None:
    final = tmp_path / "run"
    make_run(final, "old")
    write_files(final, {"scene.blend": "mine"})
    before = files_below(final)
    final.replace(old_folder(final))  # killed after the first rename
    recover(final)
    assert files_below(final) == before and (final / "scene.ply").read_text() == "old"
    final.replace(old_folder(final))
    make_run(final, "new")  # killed after the second one
    recover(final)
    assert (final / "scene.ply").read_text() == "new" and (final / "scene.blend").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_rename_that_fails_leaves_the_earlier_run(
    tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "run"
    make_run(final, "old")
    make_run(partial_folder(final), "new")
    renames: list[Path] = []
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        renames.append(self)
        if len(renames) == failing + 1:
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="Input/output"):
        move_into_place(partial_folder(final), final)
    assert (final / "scene.ply").read_text() == "old" and not old_folder(final).exists()


def test_a_second_writer_is_refused_and_a_dead_one_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    hold = (
        "import sys; from pathlib import Path; from bgs_engine.io.job_lock import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", hold, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None and owner.stdout.readline() == "held\n"
    with pytest.raises(UsageError, match=f"process {owner.pid}"), only_writer(folder):
        pass
    owner.kill()
    owner.wait()
    with only_writer(folder):
        pass


def test_known_names_cover_what_a_run_writes() -> None:
    assert {"codes.npy", "run.json", "labels_engine.json"} <= output_place.KNOWN_FILES


def test_jobs_of_a_farm_share_a_folder_of_frames_and_exports_do_not(tmp_path: Path) -> None:
    out = tmp_path / "frames"
    with one_writer_into(out, "color"):
        (out / "color").mkdir()
        (out / "color" / f".0001.png{PARTIAL_SUFFIX}").write_bytes(b"another job is at work")
        with one_writer_into(out, "color"):
            (out / "color" / "0002.png").write_bytes(b"")
    with (
        only_writer_into(tmp_path / "exports"),
        pytest.raises(UsageError, match="Another job writes to"),
        only_writer_into(tmp_path / "exports"),
    ):
        pytest.fail("two jobs export into one folder")
    assert {path.name for path in (out / "color").iterdir()} == {f".0001.png{PARTIAL_SUFFIX}", "0002.png"}
