# ruff: noqa: E402 - the repository is put on the path first
"""Is anything lost when a disk fails or a job is killed? All operations of all commands, and real kills.

    python benchmarks/faults.py [--save] [--only NAME ...] [--kills 200] [--seed 0] [--blender PYTHON]

Three parts. It uses one thread, and needs a system that can fork:

operations   Every operation on the disk of every command fails with ENOSPC, EIO, EACCES and EROFS, and from it on the
             disk is full; the job is ended (`os._exit`) in front of every operation. Of train and segment some
             operations are tried.
kills        `kill -9`, with some SIGTERM and SIGINT, at random moments of real commands: train, segment, views, masks,
             export; with --blender (the Python of a bpy wheel, or Blender itself) also its Save to Run Folder. The
             seconds are drawn from the length of a clean run, half of them from its last second, in which files move.
cost         What syncing costs: a run folder of 300,000 Gaussians and 100 pictures, with `fsync` and without.

After each: earlier results and foreign files are there, bit for bit, or the new result is, whole; the next run (with
`--resume` where there is such) gives the files of an uncut run, bit for bit, and leaves nothing else behind.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

os.environ |= {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "NUMBA_THREADING_LAYER": "workqueue"}  # it may fork

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.helpers.fault_jobs import jobs, make_material
from tests.helpers.faults import ERRORS, Bench, check_failures, check_kills, contents, leftovers

RESULTS = Path(__file__).parent / "results" / "faults.txt"
SAMPLED = {"train": 10, "segment": 4, "masks": 25, "made scene": 25, "views": 25}  # operations tried of the slow jobs
KILLED = ("train", "segment", "views", "masks", "export", "render", "made scene")
SHARES = {"train": 4, "segment": 2, "views": 3, "masks": 4, "export": 4, "render": 2, "made scene": 1}
SIGNALS = (signal.SIGKILL,) * 8 + (signal.SIGTERM, signal.SIGINT)
WAIT_SECONDS = 600


@dataclass
class Log:
    """The lines of a campaign, printed and kept in a file as they come."""

    file: Path | None = None
    lines: list[str] = field(default_factory=list)
    failures: int = 0

    def __call__(self, line: str) -> None:
        """Add a line."""
        print(line, flush=True)
        self.lines.append(line)
        if self.file is not None:
            self.file.write_text("\n".join(self.lines) + "\n", encoding="utf-8")


def operations(material: Path, names: list[str], log: Log) -> None:
    """Every operation of every job fails, or ends the job."""
    for name in names:
        with tempfile.TemporaryDirectory(prefix="bgs-faults-") as folder:
            started = time.monotonic()
            bench = Bench(jobs(material)[name], Path(folder) / "b")
            tried = min(SAMPLED.get(name, bench.operations), bench.operations)
            errors = ERRORS if name not in SAMPLED else None
            try:
                most = None if tried == bench.operations else tried
                said = check_failures(bench, most, errors)
                check_kills(bench, most)
                ends = Counter(line.split(":")[0] for line in said)
                result = f"{len(said)} failures ({', '.join(f'exit code {c}: {n}' for c, n in sorted(ends.items()))})"
                result += f", {tried} kills: nothing lost"
            except AssertionError as error:
                log.failures += 1
                result = f"LOST SOMETHING: {error}"
            seconds = time.monotonic() - started
            log(f"  {name:12} {tried:4} of {bench.operations:4} operations  {result}  ({seconds:.0f} s)")


def kills(material: Path, names: list[str], count: int, seed: int, minutes: float, log: Log) -> None:
    """Signals at random moments of real processes, until `count` of them met a running job or the time is over."""
    rng, end = random.Random(seed), time.monotonic() + 60 * minutes
    shares = [name for name in names for _ in range(SHARES[name])]
    ends: dict[str, Counter[str]] = {name: Counter() for name in names}
    with tempfile.TemporaryDirectory(prefix="bgs-faults-") as folder:
        benches: dict[str, tuple[Bench, float]] = {}
        hits = 0
        while hits < count and time.monotonic() < end:
            name = rng.choice(shares)
            if name not in benches:
                bench = Bench(jobs(material)[name], Path(folder) / name)
                started = time.monotonic()
                assert _end_of(_forked(bench, bench.fresh()), WAIT_SECONDS) == 0
                benches[name] = bench, time.monotonic() - started
            end_of_it = _kill_once(*benches[name], rng, log)
            hits += end_of_it != "over before"
            ends[name][end_of_it] += 1
    for name, counts in ends.items():
        said = ", ".join(f"{end}: {n}" for end, n in sorted(counts.items()))
        length = f"runs of {benches[name][1]:.1f} s" if name in benches else "never drawn"
        log(f"  {name:12} {counts.total() - counts['over before']:4} signals, {length}  ({said})")
    log(f"  all          {hits:4} signals met a running job")


def _kill_once(bench: Bench, length: float, rng: random.Random, log: Log) -> str:
    """One job, one signal, and a look at what is left; returns how the job ended."""
    work = bench.fresh()
    process = _forked(bench, work)
    moment = rng.uniform(0, length) if rng.random() < 0.5 else rng.uniform(max(0.0, length - 1.0), length)
    what = rng.choice(SIGNALS)
    code, how = _end_of(process, moment), "over before"
    if code is None:
        os.kill(process, what)
        code = _end_of(process, WAIT_SECONDS)
        how = f"{what.name} → {code}"
    where = f"{bench.job.name}, {what.name} after {moment:.3f} s of {length:.2f} s: "
    try:
        assert code in (0, -what, 130), f"{where}exit code {code}"
        bench.look(work, where, killed=True, failed=True)
        again = _end_of(_forked(bench, work, resume=True), WAIT_SECONDS)
        assert again == 0, f"{where}the next run ends with {again}"
        found = contents(work)
        wrong = [file for file in found.keys() | bench.after.keys() if found.get(file) != bench.after.get(file)]
        assert not wrong, f"{where}after the next run these differ: {sorted(wrong)}"
        assert leftovers(work) == [], f"{where}leftovers: {leftovers(work)}"
    except AssertionError as error:
        log.failures += 1
        log(f"  LOST SOMETHING: {error}")
    return how


def _forked(bench: Bench, work: Path, resume: bool = False) -> int:
    """The job as a process of its own, with all libraries loaded; its number."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        run = bench.job.resume if resume and bench.job.resume else bench.job.run
        code = run(work)
    except KeyboardInterrupt:
        code = 130
    finally:
        os._exit(code)


def _end_of(process: int, seconds: float) -> int | None:
    """Its exit code, or minus the signal that ended it; None if it still runs after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def cost(log: Log) -> None:
    """The time of writing with and without syncing, best of three."""
    import numpy as np

    from bgs_engine.core import disk
    from bgs_engine.core.codes import BitLayout
    from bgs_engine.core.label_table import build_label_table
    from bgs_engine.io.images import write_label_png
    from bgs_engine.io.ply import read_ply, write_ply
    from bgs_engine.io.ply_rows import plain_dtype
    from bgs_engine.io.run_folder import finish, partial_folder, write_run

    rng, count = np.random.default_rng(0), 300_000
    rows = np.zeros(count, plain_dtype())
    for name in rows.dtype.names or ():
        rows[name] = rng.random(count, np.float32)
    codes, layout = rng.integers(0, 1 << 12, count).astype(np.int32) << 20, BitLayout()
    means, ones = rng.random((count, 3), np.float32), np.ones(count, np.float32)
    table = build_label_table(layout, codes, means, ones, means)
    maps = rng.integers(0, 30, (480, 640)).astype(np.int32)
    sync_file, sync_folder = disk.NewFile.sync, disk.sync_folder
    for synced in (True, False):
        disk.NewFile.sync = sync_file if synced else disk.NewFile.flush  # type: ignore[method-assign]
        disk.sync_folder = sync_folder if synced else lambda path: None
        times: dict[str, list[float]] = {"run": [], "pictures": []}
        for _ in range(3):
            with tempfile.TemporaryDirectory(prefix="bgs-faults-") as name:
                folder = Path(name)
                write_ply(folder / "scene.ply", rows.dtype, iter([rows]), count)
                ply = read_ply(folder / "scene.ply")
                started = time.monotonic()
                write_run(partial_folder(folder / "run"), ply, codes, ones, table, {}, ones)
                finish(folder / "run")
                times["run"].append(time.monotonic() - started)
                started = time.monotonic()
                for k in range(100):
                    write_label_png(folder / "maps" / f"{k}.png", maps)
                times["pictures"].append(time.monotonic() - started)
        best = {name: min(values) for name, values in times.items()}
        how = "with fsync" if synced else "without"
        pictures = f"100 label maps {best['pictures']:.2f} s"
        log(f"  {how:11} run folder of 300,000 Gaussians (79 MB) {best['run']:.2f} s, {pictures}")
    disk.NewFile.sync, disk.sync_folder = sync_file, sync_folder  # type: ignore[method-assign]


def blender(python: str, count: int, seed: int, log: Log) -> None:
    """Kill Blender at random moments of Save to Run Folder."""
    rng = random.Random(seed)
    script = Path(__file__).parent / "faults_in_blender.py"
    with tempfile.TemporaryDirectory(prefix="bgs-faults-") as name:
        folder = Path(name)
        material = make_material(folder / "material")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "BLENDER_USER_RESOURCES": str(folder / "user")}

        def start(run: Path) -> "subprocess.Popen[str]":
            command = [python, str(script), str(run)]
            return subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )

        shutil.copytree(material / "run", folder / "uncut")
        assert start(folder / "uncut").wait(WAIT_SECONDS) == 0
        before, after = contents(material / "run"), contents(folder / "uncut")
        mixed = 0
        for _ in range(count):
            work = folder / "work"
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(material / "run", work)
            process = start(work)
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("saving"):
                    break
            time.sleep(rng.uniform(0, 0.12))
            process.kill()
            process.wait()
            found = contents(work)
            for file, value in found.items():
                if value not in (before.get(file), after.get(file)):
                    log.failures += 1
                    log(f"  Save to Run Folder: LOST SOMETHING: {file} is neither old nor new")
            mixed += found != before and found != after
            if start(work).wait(WAIT_SECONDS) or contents(work) != after or leftovers(work):
                log.failures += 1
                log(f"  Save to Run Folder: the next save does not mend it; left {leftovers(work)}")
        log(f"  Save to Run Folder  {count} kills, {mixed} between two of its files; the next save completes them")


def main() -> int:
    """Run the campaign; the exit code is 1 if anything was lost."""
    parser = argparse.ArgumentParser(description="Fail disks and kill jobs, and look whether anything is lost.")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these jobs only")
    parser.add_argument(
        "--parts", nargs="+", choices=("operations", "kills", "cost"), default=["operations", "kills", "cost"]
    )
    parser.add_argument("--kills", type=int, default=200, help="signals to send")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blender", metavar="PYTHON", help="the Python of a bpy wheel: also kill it while it saves")
    parser.add_argument("--budget", type=float, default=600, metavar="MINUTES", help="longest time for the kills")
    arguments = parser.parse_args()
    log, started = Log(RESULTS if arguments.save else None), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bgs-faults-") as folder:
        material = make_material(Path(folder) / "material")
        names = arguments.only or list(jobs(material))
        if "cost" in arguments.parts:
            log("What fsync costs, best of 3:")
            cost(log)
        if "kills" in arguments.parts:
            log(f"Signals at random moments, seed {arguments.seed}: nothing lost unless a line says so.")
            kills(material, [n for n in names if n in KILLED], arguments.kills, arguments.seed, arguments.budget, log)
        if "operations" in arguments.parts:
            log(f"Failures ({', '.join(map(os.strerror, ERRORS))}; full disk) and kills at operations on the disk:")
            operations(material, names, log)
        if arguments.blender:
            blender(arguments.blender, arguments.kills // 10, arguments.seed, log)
    log(f"{log.failures} failures; {(time.monotonic() - started) / 60:.0f} minutes; {os.cpu_count()} processors")
    return 1 if log.failures else 0


if __name__ == "__main__":
    sys.exit(main())
