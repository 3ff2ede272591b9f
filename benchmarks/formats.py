"""What each splat format costs and loses: 1,000,000 Gaussians with harmonics of degree 3, written and read.

    python benchmarks/formats.py [--save] [--rows 1000000] [--only NAME] [--splat FILE]

Each format of the table is measured in processes of its own: processor seconds (best of two), wall seconds of the same
try, the peak of memory in multiples of the splat's arrays (236 bytes a Gaussian), bytes of the file, and what a value
differs by after writing and reading: the largest and the root of the mean square. The made splat has its Gaussians in
random order, which is the worst case for formats that sort. --splat FILE measures another splat, of any format.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ply import load, peak_megabytes
from bgs_engine.formats.format import Format
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.read import missing_packages, open_splat
from bgs_engine.formats.table import FORMATS
from bgs_engine.io.gaussians import SH_C0, sigmoid
from bgs_engine.io.ply import read_ply, write_ply

RESULTS = Path(__file__).parent / "results" / "formats.txt"
ARRAYS = ("means", "scales", "quats", "opacities", "sh", "offset")


def write_rows(path: Path, splat: RawSplat) -> None:
    """A 3DGS PLY, as all others are written."""
    ply = splat.to_ply(path)
    write_ply(path, ply.dtype, (rows for _, rows in ply.chunks()), ply.count)


PLY = Format("PLY", (".ply",), read=lambda path: RawSplat.of_ply(read_ply(path)), write=write_rows)
MEASURED = {one.name: one for one in (PLY, *FORMATS)}


def made_splat(count: int) -> RawSplat:
    """Random Gaussians with values as trained ones have them."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.standard_normal((count, *shape), np.float32)  # noqa: E731
    sh = draw(16, 3) * np.float32(0.1)
    sh[:, 0] *= 8
    return RawSplat(draw(3) * 3, draw(3) - 5, draw(4), draw(1).ravel() * 2, sh)


def megabytes(splat: RawSplat) -> float:
    """The size of the arrays."""
    return sum(getattr(splat, name).nbytes for name in ARRAYS) / 1e6


def losses(splat: RawSplat, back: RawSplat) -> dict[str, tuple[float, float]]:
    """(largest, root mean square) of the differences of each field. Values that are not finite are left out."""
    quats = [one.quats / np.linalg.norm(one.quats.astype(float), axis=1, keepdims=True) for one in (splat, back)]
    # The sine of half the angle: the arc cosine of a product near 1 has no digits left.
    apart = np.minimum(np.linalg.norm(quats[0] - quats[1], axis=1), np.linalg.norm(quats[0] + quats[1], axis=1))
    rest = min(splat.sh.shape[1], back.sh.shape[1])
    missing = splat.sh[:, rest:]
    found = {
        "position": (splat.means.astype(float) + splat.offset) - (back.means.astype(float) + back.offset),
        "log scale": splat.scales - back.scales,
        "degrees": np.degrees(4 * np.arcsin((apart / 2).clip(0, 1))),
        "opacity": sigmoid(splat.opacities) - sigmoid(back.opacities),
        "colour": (splat.sh[:, 0] - back.sh[:, 0]) * SH_C0,
        "harmonics": np.concatenate([splat.sh[:, 1:rest] - back.sh[:, 1:rest], missing], axis=1),
    }
    out = {}
    for name, values in found.items():
        finite = values[np.isfinite(values)]
        out[name] = (float(np.abs(finite).max(initial=0)), float(np.sqrt((finite.astype(float) ** 2).mean() or 0))
                     if finite.size else 0.0)  # fmt: skip
    return out


def timed(work: Callable[[], object]) -> tuple[object, float, float]:
    """(result, processor seconds, wall seconds)."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.process_time() - processor, time.perf_counter() - wall


def stored(folder: Path) -> RawSplat:
    """The splat that `main` has put there."""
    return RawSplat(**{name: np.load(folder / f"{name}.npy") for name in ARRAYS})


def measure(what: str, one: Format, folder: Path) -> dict[str, object]:
    """Write or read the file of a format, in this process."""
    path = folder / f"a{one.suffixes[0]}"
    assert one.write is not None and one.read is not None
    write, read = one.write, one.read
    splat = stored(folder) if what == "write" else None
    before = peak_megabytes()
    result, processor, wall = timed((lambda: write(path, splat)) if splat else (lambda: read(path)))
    peak = peak_megabytes() - before + (megabytes(splat) if splat else 0)
    if splat is not None:
        order = np.arange(len(splat)) if result is None else np.asarray(result)
        np.save(folder / "order.npy", order)
        again = timed(lambda: write(path, splat))
        size = sum(file.stat().st_size for file in folder.glob("a*"))
        found: dict[str, object] = {"bytes": size}
    else:
        assert isinstance(result, RawSplat)
        found = {"losses": losses(stored(folder).take(np.load(folder / "order.npy")), result)}
        del result
        again = timed(lambda: read(path))
    best = min((processor, wall), again[1:])
    return {**found, "processor": best[0], "wall": best[1], "peak": peak}


def table(folder: Path, splat: RawSplat, only: str) -> list[str]:
    """The lines of all formats."""
    data = megabytes(splat)
    fields = ("position", "log scale", "degrees", "opacity", "colour", "harmonics")
    lines = [
        f"{len(splat):,} Gaussians of degree {splat.degree}, {data:.0f} MB in arrays; {platform.machine()}, "
        f"{os.cpu_count()} processors, Python {platform.python_version()}, numpy {np.__version__}; load {load():.1f}",
        f"{'':24}{'write s':>15}{'peak':>7}{'read s':>15}{'peak':>7}{'bytes':>8}  largest and root mean square loss of",
        f"{'format':24}{'cpu':>8}{'wall':>7}{'x data':>7}{'cpu':>8}{'wall':>7}{'x data':>7}{'each':>8}"
        + "".join(f"{field:>19}" for field in fields),
    ]
    for name, one in MEASURED.items():
        if only.lower() not in name.lower():
            continue
        if one.write is None or one.read is None or missing_packages(one):
            lacks = ", ".join(missing_packages(one))
            lines.append(f"{name:24} left out: {f'needs {lacks}' if lacks else 'it is not written'}")
            continue
        for file in folder.glob("a*"):
            file.unlink()
        written, read = (_child(what, name, folder) for what in ("write", "read"))
        costs = "".join(
            f"{one['processor']:8.2f}{one['wall']:7.2f}{one['peak'] / data:7.2f}" for one in (written, read)
        )
        lost = "".join(f"{read['losses'][field][0]:10.2g}{read['losses'][field][1]:9.2g}" for field in fields)
        lines.append(f"{name:24}{costs}{written['bytes'] / len(splat):8.1f}{lost}")
    return lines


def _child(what: str, name: str, folder: Path) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.formats", "--one", what, "--only", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise SystemExit(f"{name}, {what}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure every format, print the table, keep it with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", default="", help="formats with this in their name")
    parser.add_argument("--splat", type=Path, help="a splat to measure instead of the made one")
    parser.add_argument("--save", action="store_true", help="also write results/formats.txt")
    parser.add_argument("--one", choices=("write", "read"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, MEASURED[args.only], args.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        splat = RawSplat.of_ply(open_splat(args.splat).ply) if args.splat else made_splat(args.rows)
        for array in ARRAYS:
            np.save(folder / f"{array}.npy", getattr(splat, array))
        lines = table(folder, splat, args.only)
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if args.save:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
