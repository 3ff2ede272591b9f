"""How long a splat takes to read and what memory it needs beyond the result: 1,000,000 Gaussians x 62 floats.

    python benchmarks/ply.py [--save] [--rows 1000000]

Reads what training needs (means, scales, rotations, opacities: 11 of 62 columns) and everything with colours. Warm:
the file is in the operating system's cache, best of several reads. Memory is the process's peak resident size in a
fresh process, less what it had before and less the arrays that it keeps.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import read_ply, write_ply
from bgs_engine.io.ply_rows import plain_dtype

RESULTS = Path(__file__).parent / "results" / "ply.txt"
REPEATS = 7
GEOMETRY = ("x", "y", "z", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")
ALL = plain_dtype().names or ()


def geometry(path: Path) -> list[np.ndarray]:
    """The 11 columns that geometry needs, in one pass."""
    return [read_ply(path).columns(GEOMETRY)]


def every_column(path: Path) -> list[np.ndarray]:
    """All 62 columns."""
    return [read_ply(path).columns(ALL)]


def activated(path: Path) -> list[np.ndarray]:
    """`load_gaussians` without colours."""
    g = load_gaussians(read_ply(path), colors=False)
    return [g.means, g.quats, g.scales, g.opacities, g.valid]


def activated_with_colors(path: Path) -> list[np.ndarray]:
    """`load_gaussians` with all spherical harmonics."""
    g = load_gaussians(read_ply(path))
    assert g.sh is not None
    return [g.means, g.quats, g.scales, g.opacities, g.valid, g.sh]


CASES: dict[str, Callable[[Path], list[np.ndarray]]] = {
    "geometry": geometry,
    "every_column": every_column,
    "activated": activated,
    "activated_with_colors": activated_with_colors,
}


def make_file(path: Path, rows: int) -> None:
    """A splat of random floats in the layout of the first 3DGS release."""
    rng = np.random.default_rng(0)
    block = 100_000
    sizes = [min(block, rows - start) for start in range(0, rows, block)]
    chunks = (rng.standard_normal((n, len(ALL)), np.float32).view(plain_dtype()).ravel() for n in sizes)
    write_ply(path, plain_dtype(), chunks, rows)


def warm_milliseconds(case: str, path: Path) -> tuple[float, float, float]:
    """(best, median, best processor time) of REPEATS reads after one that warms the cache."""
    CASES[case](path)
    times, processor = [], []
    for _ in range(REPEATS):
        start, start_processor = time.perf_counter(), time.process_time()
        CASES[case](path)
        times.append(1e3 * (time.perf_counter() - start))
        processor.append(1e3 * (time.process_time() - start_processor))
    return min(times), sorted(times)[REPEATS // 2], min(processor)


def peak_megabytes() -> float:
    """Peak resident size of this process.

    From /proc where there is one: getrusage's figure survives exec on Linux, so a child starts with its parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS: bytes


def extra_megabytes(case: str, path: Path) -> tuple[float, float]:
    """(kept, peak beyond what is kept), measured in a process of its own."""
    command = [sys.executable, __file__, "--one", case, "--file", str(path)]
    kept, extra = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(kept), float(extra)


def measure_one(case: str, path: Path) -> None:
    """What `extra_megabytes` starts: read once and print kept and extra megabytes."""
    before = peak_megabytes()
    kept = CASES[case](path)
    held = sum(array.nbytes for array in kept) / 1e6
    print(held, peak_megabytes() - before - held)


def load() -> float:
    """Processes that wanted a processor in the last minute: above their number, only `cpu ms` means anything."""
    return os.getloadavg()[0]


def main() -> None:
    """Measure every case, print the table, keep it with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--save", action="store_true", help="also write results/ply.txt")
    parser.add_argument("--one", choices=sorted(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure_one(args.one, args.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.ply"
        make_file(path, args.rows)
        lines = [
            f"{args.rows:,} Gaussians x {len(ALL)} floats, {path.stat().st_size / 1e6:.0f} MB; "
            f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, "
            f"numpy {np.__version__}; load {load():.1f}",
            f"{'case':24}{'best ms':>10}{'median ms':>11}{'cpu ms':>9}{'kept MB':>10}{'beyond MB':>11}",
        ]
        for case in CASES:
            best, median, processor = warm_milliseconds(case, path)
            kept, extra = extra_megabytes(case, path)
            lines.append(f"{case:24}{best:10.1f}{median:11.1f}{processor:9.1f}{kept:10.1f}{extra:11.1f}")
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if args.save:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
