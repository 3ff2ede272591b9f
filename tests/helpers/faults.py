"""Lets the k-th operation on the disk fail, or ends the job in front of it, and looks at what is left.

A `Job` has a place with an earlier result and a file of the user's. `check_failures` and `check_kills` let it fail at
every operation that a clean run does (or at some of them) and raise `AssertionError` where something was lost, is half
written or is left over after the next run. SQLite tests its files in this way (https://sqlite.org/testing.html).
"""

import contextlib
import errno
import gc
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgs_engine.core.disk import LOG, watched
from bgs_engine.core.errors import BgsError
from bgs_engine.core.events import Reporter

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)
NEEDS_ROOM = ("create", "write", "sync", "close", "make folder")  # operations that a full disk refuses
# Of run.json: each run has its own. Warnings: a resumed run does not say again what the stages before it said.
VOLATILE = ("id", "created", "timings", "metrics", "configuration", "versions", "warnings")
LOGS = ("engine.log", "events.jsonl")
LEFT = (".partial", ".bgs-partial", ".ready", ".old", ".lock", ".owner.json")
FOREIGN = "mine.txt"


class Killed(BaseException):
    """The process is gone: nothing that it would still do reaches the disk."""


@dataclass
class Fault:
    """Counts the operations of a job; the one with number `at` (from 1) fails with `error`, or kills where it is None.

    full: not one operation alone fails, but from there on all that need room. A killed job does nothing any more.
    """

    at: int = 0
    error: int | None = None
    full: bool = False
    count: int = 0
    where: str = ""

    def __call__(self, operation: str, path: Path) -> None:
        if operation == LOG:
            if self.at and self.error is None and self.count >= self.at:
                raise Killed
            return  # how many lines a log has depends on the time of day
        self.count += 1
        if self.at == 0 or self.count < self.at:
            return
        if self.count == self.at:
            self.where = f"{operation} {path}"
        if self.error is None:
            raise Killed
        if self.count == self.at or (self.full and operation in NEEDS_ROOM):
            raise OSError(self.error, os.strerror(self.error), str(path))


@dataclass(frozen=True)
class Job:
    """A command that writes below a folder.

    prepare: writes the inputs and an earlier result into an empty folder. run: the command; returns its exit code.
    outputs: folders of results, relative to the folder. whole: all files of a result change together, or none.
    """

    name: str
    prepare: Callable[[Path], None]
    run: Callable[[Path], int]
    outputs: tuple[str, ...]
    whole: bool = True
    resume: Callable[[Path], int] | None = None  # the next run, where it is another command


def library(call: Callable[[], object]) -> int:
    """The exit code of a call to the library, as the command line gives it; its sentence goes to standard error."""
    import sys

    try:
        call()
    except BgsError as error:
        sys.stderr.write(f"Error: {error}\n")
        return int(error.exit_code)
    return 0


def contents(folder: Path, hidden: bool = False) -> dict[str, Any]:
    """Every file by name. Of run.json the facts that every run has alike, of logs nothing."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not hidden and any(part.startswith(".") for part in name.split("/")):
            continue
        if path.is_symlink():
            found[name] = os.readlink(path)  # noqa: PTH115
        elif path.is_file():
            found[name] = path.read_bytes()
            if path.name == "run.json":
                facts = json.loads(found[name])
                found[name] = {key: value for key, value in facts.items() if key not in VOLATILE}
            elif path.name in LOGS:
                found[name] = b""
    return found


def leftovers(folder: Path) -> list[str]:
    """Files and folders that only a running job may have."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")))
    return [name for name in names if name.rpartition("/")[2].startswith(".") and name.endswith(LEFT)]


@contextlib.contextmanager
def silent() -> Iterator[io.StringIO]:
    """What the block says on standard error."""
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        yield said


@dataclass
class Bench:
    """A job with its states: `before`, with the earlier result, and `after` a clean run."""

    job: Job
    folder: Path  # an empty one to work in
    operations: int = 0

    def __post_init__(self) -> None:
        self.template = self.folder / "template"
        self.template.mkdir(parents=True)
        with silent():
            self.job.prepare(self.template)
        for output in self.job.outputs:
            (self.template / output).mkdir(parents=True, exist_ok=True)
            (self.template / output / FOREIGN).write_text("mine")
        self.before = contents(self.template)
        work, count = self.fresh(), Fault()
        with silent() as said, watched(count):
            assert self.job.run(work) == 0, said.getvalue()
        self.operations, self.after, self.left_clean = count.count, contents(work), leftovers(work)
        gc.freeze()  # `check` collects what a killed job held, and nothing of the libraries
        assert self.left_clean == [], f"a clean run leaves {self.left_clean}"
        assert self.before != self.after, "the second result cannot be told from the first"

    def fresh(self) -> Path:
        """A new copy of the folder as it was before the job; always at the same path, as results may name it."""
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self.template, work, symlinks=True)
        return work

    def check(self, fault: Fault) -> str:
        """Run with a fault, look, run again, look; returns the exit code and the sentence."""
        work = self.fresh()
        code: int | None = None
        with silent() as said, contextlib.suppress(Killed), watched(fault):
            code = self.job.run(work)
        if fault.error is None:
            gc.collect()  # a killed process holds no locks
        what = f"{self.job.name}, operation {fault.at} of {self.operations} ({fault.where}), error {fault.error}: "
        text = said.getvalue()
        if fault.error is not None:
            assert code in (0, 3), f"{what}exit code {code}\n{text}"
            assert "bug" not in text and "Traceback" not in text, what + text
            if code:
                assert "cannot be" in text or "are left in" in text, what + text
        self.look(work, what + text, killed=fault.error is None, failed=code != 0)
        with silent() as said:
            again = (self.job.resume or self.job.run)(work)
        assert again == 0, f"{what}the next run ends with {again}\n{said.getvalue()}"
        found = contents(work)
        wrong = sorted(name for name in found.keys() | self.after.keys() if found.get(name) != self.after.get(name))
        assert not wrong, f"{what}after the next run these differ: {wrong}"
        assert leftovers(work) == [], f"{what}leftovers after the next run: {leftovers(work)}"
        return f"{code}: {text.strip()}"

    def look(self, work: Path, what: str, killed: bool, failed: bool) -> None:
        """No file is half written, and none of the user's or of the earlier result is lost."""
        found = contents(work, hidden=True)
        for name, value in contents(work).items():
            assert value in (self.before.get(name), self.after.get(name)), f"{what}{name} is neither old nor new"
        done = contents(work) == self.after
        waiting = [name for name in found if ".old/" in name or ".ready/" in name]
        for name, value in self.before.items():
            if done or found.get(name) == value or name in self.after or waiting:
                continue
            raise AssertionError(f"{what}{name} is lost")
        mine = [name for name, value in found.items() if name.endswith(FOREIGN) and value == b"mine"]
        assert len(mine) == len(self.job.outputs), f"{what}files of the user's: {mine}"
        if not self.job.whole or waiting:
            return
        if not failed and not killed:
            assert done, f"{what}it says that it is done, and it is not"
        else:
            assert done or contents(work) == self.before, f"{what}the result is neither the old nor the new one"


def some(count: int, most: int | None) -> Iterable[int]:
    """Numbers 1 to count, or `most` of them from the middles of equal parts."""
    if most is None or most >= count:
        return range(1, count + 1)
    return [1 + int((k + 0.5) * count / most) for k in range(most)]


def check_failures(bench: Bench, most: int | None = None, errors: Sequence[int] | None = None) -> list[str]:
    """Each operation fails once, and from each on the disk is full; returns what was said.

    Args:
        most: operations to try, spread evenly; None: all. Of some, every second finds a full disk instead of failing.
        errors: tried at each operation; None: one after the other, in turn.
    """
    said = []
    for number, at in enumerate(some(bench.operations, most)):
        if most is None or number % 2 == 0:
            for error in errors or (ERRORS[at % len(ERRORS)],):
                said.append(bench.check(Fault(at, error)))
        if most is None or number % 2:
            said.append(bench.check(Fault(at, errno.ENOSPC, full=True)))
    return said


def check_kills(bench: Bench, most: int | None = None) -> None:
    """The job is killed in front of each operation, or of `most` of them."""
    for at in some(bench.operations, most):
        bench.check(Fault(at))


def reporter() -> Reporter:
    """A reporter that tells nobody."""
    return Reporter()
