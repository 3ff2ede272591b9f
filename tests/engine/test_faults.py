"""A disk that fails or fills at any operation, and jobs that are killed there, lose nothing.

This is the short form: a few operations of each command. `benchmarks/faults.py` tries all of them, and kills real
processes. `tests/helpers/faults.py` says what is looked at.
"""

import errno
import os
import re
from pathlib import Path

import pytest

from bgs_engine.core import disk
from bgs_engine.core.disk import watched
from bgs_engine.formats.read import missing_packages
from bgs_engine.formats.table import FORMATS
from bgs_engine.io.run_folder import open_run
from tests.helpers.fault_jobs import jobs, make_material
from tests.helpers.faults import FOREIGN, Bench, check_failures, check_kills, contents, silent
from tools.environments import ROOT

# Operations tried of each job, spread evenly over a clean run. Seconds decide: a training takes two.
TRIED = {"names": 5, "automatic names": 4, "embeddings": 6, "export": 4, "frames": 4, "frames exr": 2, "render": 4,
         "write run": 8, "views": 2, "masks": 4, "fetch": 8, "made scene": 3, "export clean": 2,
         "export fill": 2, "convert": 4, "publish": 4, "animated GLB": 4}  # fmt: skip
TRIED |= {f"format {one.name}": 4 for one in FORMATS if one.write is not None and not missing_packages(one)}
WRITERS_OF_THEIR_OWN = {  # they fetch what is not here, or run before there is an engine
    "bgs_engine/masks/sources/minisam.py",
}
# What changes a disk. Moving and removing have names that other types have too: `replace` of text, `remove` of lists.
CHANGES = re.compile(
    r"\.(mkdir|touch|write_text|write_bytes|unlink|rmdir|rename|symlink_to|hardlink_to|tofile)\("
    r"|\b(os|shutil)\.(replace|rename|remove|unlink|mkdir|makedirs|rmdir|rmtree|move|copy\w*|link|symlink|truncate)\("
    r"|open\([^)]*[\"'][waxr]?b?[wax+]b?\+?[\"']|np\.(save|savez\w*|savetxt)\([^s]|FileHandler\("
)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.mark.parametrize("name", TRIED)
def test_a_disk_that_fails_or_fills_and_a_kill_lose_nothing(name: str, material: Path, tmp_path: Path) -> None:
    bench = Bench(jobs(material)[name], tmp_path)
    check_failures(bench, TRIED[name])
    check_kills(bench, TRIED[name])


def test_a_disk_that_is_full_at_the_end_of_a_training(material: Path, tmp_path: Path) -> None:
    """The checkpoint stays, and `--resume` makes the run from it once there is room."""
    job = jobs(material)["train"]
    job.prepare(tmp_path)
    before = contents(tmp_path)

    def full(operation: str, path: Path) -> None:
        if path.name == ".scene.ply.bgs-partial" and operation == "write":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with silent() as said, watched(full):
        assert job.run(tmp_path) == 3
    assert "No space left on device. Free some disk space" in said.getvalue()
    assert "with --resume goes on" in said.getvalue()
    assert contents(tmp_path) == before
    partial = tmp_path / ".run.partial"
    assert sorted(path.name for path in partial.iterdir()) == ["checkpoint.npz", "engine.log", "events.jsonl"]
    assert job.resume is not None
    with silent() as said:
        assert job.resume(tmp_path) == 0
    assert open_run(tmp_path / "run").info["seed"] == 2 and not partial.exists()


def test_no_other_module_changes_a_disk() -> None:
    """So that faults can be tried at every operation."""
    found = []
    for path in sorted((ROOT / "bgs_engine").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name in WRITERS_OF_THEIR_OWN or name == "bgs_engine/core/disk.py":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if CHANGES.search(line.split("#")[0].replace('os.devnull, "w"', "")):
                found.append(f"{name}:{number}: {line.strip()}")
    assert found == []
    own = (ROOT / "bgs_engine" / "core" / "disk.py").read_text(encoding="utf-8")
    assert len(CHANGES.findall(own)) >= 4  # the pattern finds what it is to find


def test_results_are_on_the_disk_before_they_get_their_names(material: Path, tmp_path: Path) -> None:
    """Each file is synced after its last byte and before it is moved; a folder before it is moved as a whole."""
    bench = Bench(jobs(material)["write run"], tmp_path)
    work = bench.fresh()
    seen: list[tuple[str, Path]] = []
    with silent(), watched(lambda operation, path: seen.append((operation, path))):
        bench.job.run(work)
    for number, (operation, path) in enumerate(seen):
        if operation == "move" and path.name not in ("run", ".run.old", FOREIGN):
            source = path.with_name(f".{path.name}.bgs-partial")
            synced = max(k for k in range(number) if seen[k] == ("sync", source))
            assert ("write", source) not in seen[synced:number]
    whole = seen.index(("move", work / "run"))
    folders = [path for operation, path in seen[:whole] if operation == "sync folder"]
    assert work / ".run.partial" in folders
    assert seen[whole + 1] == ("sync folder", work)


def test_a_folder_that_cannot_be_synced_is_left_out(tmp_path: Path) -> None:
    disk.sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        disk.sync_folder(tmp_path / "nothing")


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """Hidden names can be guessed. In a folder that others may write to, a link could lead to a file of the user's."""
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".a.bgs-partial").symlink_to(tmp_path / "precious")
    with disk.NewFile(tmp_path / ".a.bgs-partial") as stream:
        stream.write(b"new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / ".a.bgs-partial").read_bytes() == b"new"
