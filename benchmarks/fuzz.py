"""Feeds damaged files to every reader of the engine and of the extension.

    python benchmarks/fuzz.py [--inputs 1000000] [--seed 0] [--only NAME] [--failures FOLDER] [--save]

Each input is a small valid file with one to three mutations: bits flipped, parts cut, repeated, removed or inserted,
numbers replaced by extremes, lines moved. A reader may return or raise a BgsError. Everything else is a failure:
another exception, more than 10 s, more than 2 GB, also where the reader turned that into a BgsError. Input N of a
reader is the same in every run with the same seed. The files of a failure are kept in the folder of failures; the exit
code is 1 if there is one.

Everything runs in one process with a limit on its memory and a timer. Linux and macOS only.
"""

import argparse
import platform
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from types import FrameType

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bgs_engine.core.errors import BgsError
from tests.helpers.fuzz_damage import damaged
from tests.helpers.fuzz_targets import Target, targets

RESULTS = Path(__file__).parent / "results" / "fuzz.txt"
SECONDS = 10.0  # the longest that a reader may take with a small file
MEMORY = 2 << 30  # bytes that it may add to the process
KEPT = 3  # failures of one kind whose files are kept


class TooLong(BaseException):
    """The reader did not come back in time. No reader catches it."""


def ring(_signal: int, _frame: FrameType | None) -> None:
    """The timer's signal."""
    raise TooLong


def limit_memory() -> None:
    """Let this process ask for no more than MEMORY beyond what it has now."""
    with Path("/proc/self/statm").open(encoding="ascii") as stream:
        have = int(stream.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (have + MEMORY, have + MEMORY))


def inputs_of(target: Target, seed: int, number: int) -> dict[str, bytes]:
    """The files of input `number`, one or two of them damaged."""
    rng = random.Random(f"{target.name} {seed} {number}")
    names = {rng.choice(target.damage) for _ in range(rng.choice((1, 1, 2)))}
    return {**target.files, **{name: damaged(target.files[name], rng) for name in sorted(names)}}


def problem_with(target: Target, folder: Path) -> str:
    """What the reader did wrong with the files in `folder`; "" if nothing."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        target.read(folder)
    except TooLong:
        return f"took more than {SECONDS:g} s"
    except BgsError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError):
                return f"asked for too much memory: {_place(cause)}"
            cause = cause.__context__
        return "" if error.message.rstrip().endswith((".", ")")) else f"has no sentence: {error.message[:80]}"
    except MemoryError as error:
        return f"asked for too much memory: {_place(error)}"
    except Exception as error:
        return f"{type(error).__name__} at {_place(error)}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def _place(error: BaseException) -> str:
    """The last line of our own code that an error came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "bgs_engine" in frame.filename or "blender_bgs" in frame.filename]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"


def write(folder: Path, files: dict[str, bytes], before: dict[str, bytes]) -> None:
    """Write the files that differ from `before`."""
    for name, data in files.items():
        if before.get(name) is not data:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def fuzz(target: Target, count: int, seed: int, scratch: Path, failures: Path) -> Counter[str]:
    """Feed `count` inputs to a reader; returns how often each problem came."""
    found: Counter[str] = Counter()
    folder = scratch / "input"
    shutil.rmtree(folder, ignore_errors=True)
    before: dict[str, bytes] = {}
    for number in range(count):
        files = inputs_of(target, seed, number)
        write(folder, files, before)
        before = files
        problem = problem_with(target, folder)
        if problem:
            found[problem] += 1
            if found[problem] <= KEPT:
                kept = failures / f"{target.name.replace(' ', '_').replace(',', '')}_{seed}_{number}"
                write(kept, files, {})
                (kept / "PROBLEM.txt").write_text(f"{target.name}, seed {seed}, input {number}: {problem}\n")
    return found


def main() -> int:
    """Fuzz every reader, print the table, keep it with --save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name contains this")
    parser.add_argument("--failures", type=Path, default=Path(tempfile.gettempdir()) / "bgs_fuzz_failures")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    chosen = [target for target in targets() if arguments.only in target.name]
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, ring)
    limit_memory()
    total = sum(target.weight for target in chosen)
    lines = [
        f"{arguments.inputs:,} damaged inputs, seed {arguments.seed}; {platform.machine()}, Python "
        f"{platform.python_version()}, numpy {np.__version__}",
        f"{'reader':32}{'inputs':>10}{'seconds':>9}{'problems':>10}",
    ]
    print("\n".join(lines), flush=True)
    all_found: list[str] = []
    done = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        for target in chosen:
            count = -(-arguments.inputs * target.weight // total)
            begun = time.perf_counter()
            found = fuzz(target, count, arguments.seed, Path(scratch), arguments.failures)
            done += count
            seconds = time.perf_counter() - begun
            lines.append(f"{target.name:32}{count:10,}{seconds:9.1f}{sum(found.values()):10,}")
            print(lines[-1], flush=True)
            all_found += [f"{target.name}: {times:,} times {problem}" for problem, times in found.most_common()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines.append(f"{done:,} inputs, {len(all_found)} kinds of problems, at most {peak:,.0f} MB in memory.")
    print("\n".join([*lines[-1:], *all_found]))
    if arguments.save:
        RESULTS.write_text("\n".join([*lines, *all_found, ""]), encoding="utf-8")
    return 1 if all_found else 0


if __name__ == "__main__":
    sys.exit(main())
