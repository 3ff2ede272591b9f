"""Seconds, memory and size of `bgs publish` for a million made Gaussians: `python benchmarks/publish.py [--sh 3]`."""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bgs_engine.core.codes import BitLayout
from bgs_engine.core.events import Reporter
from bgs_engine.core.label_table import build_label_table
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.output_place import partial_folder
from bgs_engine.io.ply import SplatPly
from bgs_engine.io.run_folder import finish, open_run, write_run
from bgs_engine.output.publish import publish_run
from tests.helpers.made_splat import LEVEL_BITS, made_splat


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaussians", type=int, default=1_000_000)
    parser.add_argument("--sh", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_run(folder / "run", options.gaussians)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, cpu = time.perf_counter(), time.process_time()
        publish_run(open_run(folder / "run"), folder / "page", None, options.sh, Reporter())
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        size = sum(path.stat().st_size for path in (folder / "page").rglob("*") if path.is_file())
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{options.gaussians:,} Gaussians, --sh {options.sh}: {seconds:.1f} s ({cpu:.1f} s of one core), page of "
        f"{size / 1e6:.0f} MB, at most {most / 1e3:.0f} MB of memory ({before / 1e3:.0f} MB before)"
    )


def _write_run(folder: Path, count: int) -> None:
    rows, codes = made_splat(count // 4)
    ply, layout = SplatPly.of_rows(folder / "made.ply", rows), BitLayout(LEVEL_BITS)
    splat = load_gaussians(ply)
    table = build_label_table(layout, codes, splat.means, splat.opacities, splat.base_colors)
    write_run(partial_folder(folder), ply, codes, splat.opacities, table, {})
    finish(folder)


if __name__ == "__main__":
    main()
