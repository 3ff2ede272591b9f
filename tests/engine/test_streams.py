"""Standard output and standard error that are full, closed, or whose reader has gone; and too little memory."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numba import njit

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.label_table import build_label_table
from bgs_engine.devices.choice import is_out_of_memory
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.run_folder import finish, partial_folder, write_run
from tests.helpers.made_files import ply_bytes, splat_dtype, splat_rows, write_splat

FULL = Path("/dev/full")  # every write to it fails with ENOSPC
needs_full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
HUGE = 1 << 46  # bytes: more than any machine has, less than an address can say


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    ply = write_splat(folder / "scene.ply", splat_rows(20, splat_dtype(0)))
    splat, codes = load_gaussians(ply), np.arange(20, dtype=np.int32) << 20
    table = build_label_table(BitLayout(), codes, splat.means, splat.opacities, splat.base_colors)
    write_run(partial_folder(folder / "run"), ply, codes, splat.opacities, table, {})
    finish(folder / "run")
    return folder / "run"


def bgs(command: Sequence[object], redirection: str = "") -> subprocess.CompletedProcess[str]:
    """The engine, started by a shell with a redirection. Standard input stays open, as Blender keeps it."""
    line = f'"$0" -m bgs_engine "$@" {redirection}'
    arguments = ["bash", "-c", f"set -o pipefail; {line}", sys.executable, *map(str, command)]
    with subprocess.Popen(["sleep", "100"], stdout=subprocess.PIPE) as silent:
        done = subprocess.run(arguments, stdin=silent.stdout, capture_output=True, text=True, check=False)
        silent.kill()
    return done


@needs_full
@pytest.mark.parametrize(
    ("options", "redirection", "code", "sentence"),
    [
        (["--events"], "> /dev/full", 3, "Events cannot be written to standard output: No space left on device."),
        (["--events"], ">&-", 3, "Events cannot be written to standard output: it is closed."),
        (["--events"], "| head -n 1 > /dev/null", 0, ""),  # who wanted the first line got it
        ([], ">&-", 0, "Done in"),
        ([], "2> /dev/full", 0, ""),
        ([], "2>&-", 0, ""),
    ],
)
def test_a_job_whose_events_nobody_can_read(
    run: Path, tmp_path: Path, options: list[str], redirection: str, code: int, sentence: str
) -> None:
    done = bgs(["export", run, "-o", tmp_path / "out", "--level", 1, *options], redirection)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr and "bug" not in done.stderr and "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert code != 0 or len(list((tmp_path / "out").iterdir())) == 20


@needs_full
@pytest.mark.parametrize(
    ("redirection", "code", "sentence"),
    [
        ("> /dev/full", 3, "The answer cannot be written to standard output: No space left on device."),
        (">&-", 3, "The answer cannot be written to standard output: it is closed."),
        ("| true", 0, ""),
    ],
)
def test_an_answer_that_nobody_can_read(redirection: str, code: int, sentence: str) -> None:
    done = bgs(["doctor", "--json"], redirection)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr and "bug" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the memory of a process")
def test_a_splat_for_which_there_is_no_memory(tmp_path: Path) -> None:
    dtype, count = splat_dtype(0), 40_000_000
    head = ply_bytes(splat_rows(1, dtype), promised=count)
    with (tmp_path / "large.ply").open("wb") as stream:  # a sparse file: it takes no room
        stream.write(head)
        stream.truncate(len(head) + count * dtype.itemsize)
    program = (
        "import resource, sys\n"
        "from bgs_engine.cli.main import main\n"
        "import bgs_engine.views.make\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize() + 400_000_000\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size, size))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "views", str(tmp_path / "large.ply"), "-o", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert "Memory ran out" in done.stderr and "bug" not in done.stderr
    assert list((tmp_path / "data").iterdir()) == []


@njit
def _take(count):
    return np.empty(count, np.uint8)


def _read(count: int) -> object:
    raise OSError(12, os.strerror(12))


@pytest.mark.parametrize(
    "take",
    [
        lambda: torch.empty(HUGE, dtype=torch.uint8),
        lambda: np.empty(HUGE, np.uint8),
        lambda: bytearray(HUGE),
        lambda: _take(HUGE),
        lambda: _read(HUGE),
    ],
    ids=["torch", "numpy", "python", "numba", "system"],
)
def test_every_library_says_in_its_own_words_that_memory_ran_out(take: Callable[[], object]) -> None:
    with pytest.raises(Exception) as caught:
        take()
    assert is_out_of_memory(caught.value), caught.value
    assert not is_out_of_memory(ValueError("a matrix of another size"))
